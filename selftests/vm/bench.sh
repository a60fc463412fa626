#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: bench.sh K DIR COST-BINARY
# What moving a stack costs on kernel K by every way, up to 1 MiB, alone and 64 at a time, in instructions and
# TLB interrupts; then what was aimed at, as KTAP: not met is a failure.
. "$(dirname "$0")/lib.sh"

k=$1 dir=$2 bin=$3
export KO LIMIT=${LIMIT:-1800}
mkdir -p "$dir"
lines=$dir/lines.txt

guest() { # COMMAND
	"$VM_DIR/run.sh" cmd "$k" "$dir/guest" "$1" "$bin" | sed -u "/^#/! s/^/vm.$k./" | tee -a "$lines"
}

: >"$lines"
ACCEL=tcg,thread=single SMP=1 QEMU_ARGS="-icount shift=0,sleep=off" guest "/vm/cost instr bench && /vm/cost instr deep"
SMP=2 guest "/vm/cost ipi bench && /vm/cost ipi deep"
awk -v k="$k" -f "$VM_DIR/bench.awk" "$lines"
