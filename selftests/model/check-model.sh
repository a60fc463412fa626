#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: check-model.sh TRANSITIONS_TEST DIR MODEL[,DEFINE...]
# Searches every state of MODEL.pml (spin), on the transitions that TRANSITIONS_TEST takes from the
# library, and reports each property by its name (PROP() in the model). A DEFINE PLANT_... is a bug: then
# some property has to fail. KTAP.
set -u
src=$(cd "$(dirname "$0")" && pwd) emit=$(realpath "$1") dir=$2
IFS=, read -r model defines <<<"$3"
command -v spin >/dev/null || { echo "SKIP no spin"; exit 4; }
flags=() planted=
for d in ${defines//,/ }; do flags+=("-D$d"); case $d in PLANT_*) planted=$d ;; esac; done
dir=$dir/${3//,/-}
rm -rf "$dir"; mkdir -p "$dir" && cp "$src/prop.h" "$src/$model.pml" "$dir/" && cd "$dir" || exit 2
"$emit" --emit >transitions.h || exit 2
mapfile -t props < <(tr '\n' ' ' <"$model.pml" | grep -oP 'hidden byte \K[^;]*' | head -1 | tr -d ' \t' | tr ',' '\n')
echo "TAP version 13"
bail() { echo "1..1"; echo "not ok 1 $1"; exit 1; }
spin ${flags[@]+"${flags[@]}"} -a "$model.pml" >spin.log 2>&1 || { sed 's/^/# /' spin.log; bail "spin reads $model"; }
# -O0: the search's one big function takes gcc minutes at more.
gcc -O0 -w -DSAFETY -DCOLLAPSE -DMEMLIM="${MODEL_MEMORY:-2048}" -o pan pan.c || bail "pan.c compiles"
./pan -m200000 -n $([ -n "$planted" ] && echo -c1 || echo -c0) >pan.log 2>&1
grep -E 'states, stored|errors:|elapsed' pan.log | sed 's/^ */# /'
if [ -n "$planted" ]; then
	echo "1..1"
	by=$(grep -oE 'violated .*' pan.log | grep -oE "$(IFS='|'; echo "${props[*]}")" | head -1)
	[ -n "$by" ] && { echo "ok 1 $planted is caught: $by"; exit 0; }
	echo "not ok 1 $planted is caught"; exit 1
fi
echo "1..$((${#props[@]} + 2))"
n=0 bad=0
for p in "${props[@]}"; do
	n=$((n + 1))
	if grep -q "violated.*$p" pan.log; then echo "not ok $n $p"; bad=1; else echo "ok $n $p"; fi
done
# A state in which nobody can go on, or a search that did not come to its end, is a failure, too.
n=$((n + 1))
if grep -q 'invalid end state (' pan.log; then echo "not ok $n no_deadlock"; bad=1; else echo "ok $n no_deadlock"; fi
n=$((n + 1))
if grep -qE 'errors: 0$' pan.log && ! grep -qiE 'too small|out of memory|not completed|max.* depth' pan.log; then
	echo "ok $n every state was searched"
else
	echo "not ok $n every state was searched"; bad=1
fi
exit $bad
