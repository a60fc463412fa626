#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: run.sh K DIR PROGRAM...
# The library's programs in one guest of kernel K with the module loaded, in the variants of variants.list
# that name them (VARIANT=name: one). The verdict is that of the module's suites: selftests/vm/verdict.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd) k=$1 dir=$2
shift 2
seed=${SEED:-$(date +%s)} factor=${TIMEOUT_FACTOR:-1} torture_ms=${TORTURE_MS:-500}
limit=$((400 * factor + torture_ms / 20))
echo "# seed $seed"
{
	echo "insmod /vm/greenstk.ko"
	while read -r variant suites env; do
		[ -z "${VARIANT:-}" ] || [ "$variant" = "$VARIANT" ] || continue
		for f in "$@"; do
			name=$(basename "$f") args=
			case ,$suites, in
			*,"$name",*) ;;
			,all,) case $name in remap_test | lazy_test | cold_test | torture) continue ;; esac ;; # they say themselves what moves
			*) continue ;;
			esac
			[ "$name" != moves ] || args="$seed ${SECONDS_EACH:-6} 300"
			[ "$name/$variant" != moves/pager ] || args="$seed ${SECONDS_EACH:-6} 200 0 40" # deep ones
			echo "suite $limit lib/$name.$variant cd /tmp && export $env GREENSTK_TEST_VARIANT=vm" \
				"GREENSTK_SEED=$seed GREENSTK_PATIENCE=$((8 * factor)) GREENSTK_TORTURE_MS=$torture_ms" \
				"GREENSTK_KO=/vm/greenstk.ko && echo \${PAGER:-0} >/sys/module/greenstk/parameters/pager && exec /vm/$name $args"
		done
	done < <(grep -vE '^(#|$)' "$here/variants.list")
	echo "rmmod greenstk"
} | LIMIT=${LIMIT:-$((2400 + 2 * limit))} MEM=${MEM:-2G} "$here/../vm/run.sh" plan "$k" "$dir" "$@"
