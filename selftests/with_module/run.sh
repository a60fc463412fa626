#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: run.sh K DIR PROGRAM...
# The library's programs in one guest of kernel K with the module loaded, in the variants of variants.list
# that name them (VARIANT=name: one). The verdict is that of the module's suites: selftests/vm/verdict.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd) k=$1 dir=$2
shift 2
seed=${SEED:-$(date +%s)}
echo "# seed $seed"
{
	echo "insmod /vm/greenstk.ko"
	while read -r variant suites env; do
		[ -z "${VARIANT:-}" ] || [ "$variant" = "$VARIANT" ] || continue
		for f in "$@"; do
			name=$(basename "$f") args=
			case ,$suites, in
			*,"$name",*) ;;
			,all,) case $name in remap_test | lazy_test | cold_test) continue ;; esac ;; # they say themselves what moves
			*) continue ;;
			esac
			[ "$name" != moves ] || args="$seed ${SECONDS_EACH:-6} 300"
			[ "$name/$variant" != moves/pager ] || args="$seed ${SECONDS_EACH:-6} 200 0 40" # deep ones
			echo "suite 400 lib/$name.$variant cd /tmp && export $env GREENSTK_TEST_VARIANT=vm" \
				"GREENSTK_SEED=$seed GREENSTK_PATIENCE=8 && echo \${PAGER:-0} >/sys/module/greenstk/parameters/pager && exec /vm/$name $args"
		done
	done < <(grep -vE '^(#|$)' "$here/variants.list")
	echo "rmmod greenstk"
} | LIMIT=${LIMIT:-2400} MEM=${MEM:-2G} "$here/../vm/run.sh" plan "$k" "$dir" "$@"
