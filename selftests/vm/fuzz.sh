#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: fuzz.sh K DIR FUZZ-BINARY SECONDS SEED
# One guest that fuzzes; the verdict, then the coverage if the kernel has KCOV.
. "$(dirname "$0")/lib.sh"

k=$1 dir=$2 bin=$3 seconds=$4 seed=$5 st=0
{
	echo "insmod /vm/greenstk.ko pager=1"
	echo "suite $((seconds * 2 + 120)) fuzz/$(basename "$bin") /vm/$(basename "$bin") $seconds $seed 4"
	echo "rmmod greenstk"
} | SET=fuzz MEM=3G LIMIT=$((seconds * 2 + 300)) "$VM_DIR/run.sh" plan "$k" "$dir" "$bin" || st=$?
grep -a '^# # fuzz:' "$dir/ktap" || true
"$VM_DIR/cover.sh" "$KO" "$dir/ktap" >"$dir/coverage"
head -2 "$dir/coverage"
exit $st
