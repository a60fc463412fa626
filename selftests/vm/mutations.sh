#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: mutations.sh DIR BUILD-DIR ONLY SUITE...
# Builds the module with each bug of mutations.list and runs the named suite on
# it, which has to fail. A bug that survives is a hole in the suites.
. "$(dirname "$0")/lib.sh"

dir=$1 o=$2 only=$3 bad=0 n=0
shift 3
unset RESULTS
mkdir -p "$dir"
while read -r name k suite what; do
	[ -z "$only" ] || [ "$only" = "$name" ] || continue
	n=$((n + 1))
	bin=$(printf '%s\n' "$@" | grep "/$suite\$") || { echo "not ok $n $name: no suite $suite"; bad=1; continue; }
	if [ "$k" != "${k%-debug}" ]; then
		"$VM_DIR/debug-kernel.sh" "${k%-debug}"
	else
		"$VM_DIR/fetch.sh" kernel "$k"
	fi
	"$VM_DIR/build.sh" "$k" "$o/kmod-mutate-$name" GSK_MUTATE="$name" $([ "$k" = "${k%-debug}" ] || echo KCOV_INSTRUMENT=y)
	# Caught is only what a verdict says: a run that broke down proves nothing.
	KO=$o/kmod-mutate-$name/greenstk.ko LIMIT=600 MEM=2G VARIANT=${VARIANT:-default} \
		"$VM_DIR/run.sh" suites "$k" "$dir/$name" $bin >"$dir/$name.out" 2>&1 || true
	if ! grep -q '^not ok - ' "$dir/$name.out" || ! grep -qE 'failed|not clean' "$dir/$name.out"; then
		echo "not ok $n $name survives $suite on $k: $what"
		bad=1
	else
		echo "ok $n $name ($what): $(grep -m1 -E 'failed|not clean' "$dir/$name.out" | sed 's/^# //')"
	fi
done < <(grep -vE '^(#|$)' "$VM_DIR/mutations.list")
echo "1..$n"
exit $bad
