#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: run.sh suites K DIR SUITE-BINARY...   every suite, a verdict (0 or 1)
#        run.sh plan K DIR FILE...             the same, orders of the plan on stdin
#        run.sh cmd K DIR COMMAND [FILE...]    the module loaded, COMMAND, its status
#        run.sh shell K DIR [FILE...]          the module loaded, a shell here
# FILEs are put into the guest's /vm. From the environment: KO (the module; none
# if empty), PARAMS (of the module), SMP, MEM, LIMIT (seconds), APPEND (kernel
# arguments), QEMU_ARGS, ACCEL.
. "$(dirname "$0")/lib.sh"

mode=${1:?mode} k=${2:?K} dir=${3:?DIR}
shift 3
: "${KO:=}" "${PARAMS:=}" "${SMP:=2}" "${MEM:=1G}" "${LIMIT:=1800}" "${APPEND:=}" "${QEMU_ARGS:=}"
: "${ACCEL:=tcg,thread=multi}" "${CPU:=max,la57=off}"
mkdir -p "$dir" && dir=$(cd "$dir" && pwd)
kernel_line "${k%-debug}"
case $k in
*-debug) image=$CACHE/root-$ROOT/debug/linux-$K/arch/x86/boot/bzImage mods=
	APPEND="page_poison=1 page_owner=on $APPEND" ;;
*) image=$CACHE/kernels/$K/vmlinuz mods=$CACHE/kernels/$K/modules ;;
esac
busybox=$CACHE/root-bookworm/bin/busybox
# The emulator of the trixie root, by that root's loader (why: fetch.sh). QEMU=
# names another.
qroot=$CACHE/root-trixie
QEMU=${QEMU:-$qroot/lib64/ld-linux-x86-64.so.2 --library-path $qroot/usr/lib/x86_64-linux-gnu
	$qroot/usr/bin/qemu-system-x86_64 -L $qroot/usr/share/seabios -L $qroot/usr/share/qemu}
export QEMU_MODULE_DIR=$qroot/usr/lib/x86_64-linux-gnu/qemu

settings_timeout() { # seconds one suite may take: kselftest's settings file beside it
	local s
	s=$(sed -n 's/^timeout=//p' "$TOP/selftests/$1/settings" 2>/dev/null || true)
	echo $((${s:-120} * ${TIMEOUT_FACTOR:-1}))
}

# Lays out the guest's root file system; the plan comes on stdin.
make_initrd() {
	local r=$dir/rootfs f
	rm -rf "$r" && mkdir -p "$r"/{bin,sbin,dev,proc,sys,tmp,run,vm,etc,lib/modules,root}
	cp "$VM_INIT" "$r/init"
	cp "$busybox" "$r/bin/busybox"
	for f in $("$busybox" --list); do ln -s busybox "$r/bin/$f" 2>/dev/null || true; done
	echo root:x:0:0:root:/root:/bin/sh >"$r/etc/passwd"
	echo nobody:x:65534:65534:nobody:/:/bin/sh >>"$r/etc/passwd"
	echo root:x:0: >"$r/etc/group"
	[ -z "$mods" ] || cp "$mods"/*.ko "$r/lib/modules/" 2>/dev/null || true
	[ -z "$KO" ] || cp "$KO" "$r/vm/greenstk.ko"
	for f in "$@"; do cp -r "$f" "$r/vm/"; done
	cat >"$r/vm/plan"
	(cd "$r" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$dir/initrd.cpio"
	rm -rf "$r"
}

# Beside other tests a guest has a fourth of the machine: its CPUs stop for seconds, and what is said to run at the same
# time there does not. Where that is permitted it comes before them.
boot() { # SERIAL-ARGUMENTS...
	renice -n -5 -p "$BASHPID" >/dev/null 2>&1 || true
	timeout --foreground -k 5 "$LIMIT" $QEMU -M pc,hpet=off -accel "$ACCEL" -cpu "$CPU" \
		-smp "$SMP" -m "$MEM" -nodefaults -no-reboot -display none \
		-kernel "$image" -initrd "$dir/initrd.cpio" \
		-append "console=ttyS0 rdinit=/init panic=-1 oops=panic nokaslr random.trust_cpu=on $APPEND" \
		$QEMU_ARGS "$@"
}

module_orders() {
	[ -z "$KO" ] || echo "insmod /vm/greenstk.ko $PARAMS"
}

suite_orders() { # VARIANT FILE...
	local variant=$1 f where
	shift
	for f in "$@"; do
		where=$(basename "$(dirname "$f")")
		echo "suite $(settings_timeout "$where") $where/$(basename "$f")$([ "$variant" = default ] || echo ".$variant")" \
			"cd /tmp && GREENSTK_VARIANT=$variant GREENSTK_PATIENCE=$((4 * ${TIMEOUT_FACTOR:-1})) exec /vm/$(basename "$f")"
	done
}

judged() {
	local status=0 t0=$SECONDS
	rm -f "$dir"/{ktap,console}.log
	boot -serial file:"$dir/console.log" -serial file:"$dir/ktap.log" -monitor none \
		</dev/null >"$dir/qemu.log" 2>&1 || status=$?
	echo $((SECONDS - t0)) >"$dir/seconds"
	"$VM_DIR/verdict.sh" "$k" "$dir" "$nonce" $status
}

nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
case $mode in
suites)
	[ $# -gt 0 ] || die "no suites"
	{
		echo "nonce $nonce"
		while read -r variant params; do
			[ -z "${VARIANT:-}" ] || [ "$variant" = "$VARIANT" ] || continue
			PARAMS="$params" module_orders
			suite_orders "$variant" "$@"
			[ -z "$KO" ] || echo "rmmod greenstk"
		done < <(grep -vE '^(#|$)' "$VM_DIR/variants.list")
	} | make_initrd "$@"
	judged
	;;
plan)
	{ echo "nonce $nonce"; cat; } | make_initrd "$@"
	judged
	;;
cmd)
	cmd=$1; shift
	{ echo "nonce $nonce"; module_orders; echo "run $cmd"; } | make_initrd "$@"
	rm -f "$dir/console.log"
	{ boot -serial file:"$dir/console.log" -serial stdio -monitor none </dev/null || true; } |
		stdbuf -oL tr -d '\r' | tee "$dir/out.log" | grep --line-buffered -v "^vm: exit [0-9]* $nonce" || true
	grep -aE -f <(grep -vE '^#|^$' "$VM_DIR/dmesg.deny") "$dir/console.log" |
		grep -avE -f <(grep -vE '^#|^$' "$VM_DIR/dmesg.allow") >&2 && say "see $dir/console.log"
	st=$(sed -n "s/^vm: exit \([0-9]*\) $nonce.*/\1/p" "$dir/out.log")
	exit "${st:-125}"
	;;
shell)
	{ echo "nonce $nonce"; module_orders; echo "shell"; } | make_initrd "$@"
	say "kernel $k; leave with 'exit' (or Ctrl-A x)"
	LIMIT=86400 APPEND="$APPEND quiet" boot -serial mon:stdio -serial null
	;;
*) die "what is '$mode'?" ;;
esac
