#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: cost.sh K DIR COST-BINARY [WAY [PAGES]]
# Prints "vm.K.way.kPAGES.nBATCH[.best].what value unit" lines; with no WAY also
# writes Documentation/vm-cost-K.rst. Three guests: one counts instructions, one
# interrupts with a spinning thread, one interrupts with idle workers as well.
. "$(dirname "$0")/lib.sh"

k=$1 dir=$2 bin=$3 way=${4:-all} pages=${5:-}
export KO LIMIT=${LIMIT:-1800}
mkdir -p "$dir"
lines=$dir/lines.txt

guest() { # COMMAND: lines with the kernel's name in front
	"$VM_DIR/run.sh" cmd "$k" "$dir/guest" "$1" "$bin" | sed -u "/^#/! s/^/vm.$k./" | tee -a "$lines"
}

: >"$lines"
ACCEL=tcg,thread=single SMP=1 QEMU_ARGS="-icount shift=0,sleep=off" \
	guest "/vm/cost instr $way $pages && /vm/cost touch"
SMP=2 guest "/vm/cost ipi $way $pages"
SMP=4 guest "/vm/cost idle $way ${pages:-1} && /vm/cost idle $way ${pages:-16}"
if [ "$way$pages" = all ]; then
	awk -v k="$k" -v kver="$(grep -om1 'Linux version [^ ]*' "$dir/guest/console.log" | cut -d' ' -f3)" \
		-f "$VM_DIR/cost.awk" "$lines" >"$TOP/Documentation/vm-cost-$k.rst"
fi
