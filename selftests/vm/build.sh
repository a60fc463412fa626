#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: build.sh K OUT [MAKE-ARGUMENTS...]
# Builds OUT/greenstk.ko for kernel K in that kernel's build root. Kernels (and
# checkouts, and mutations: KCFLAGS=-DGSK_MUTATE_...) each have their own copy of
# the sources, so that no two fight over object files. K-debug: the debug kernel. K-arm64: cross-compiled for
# the stock kernel of that processor.
. "$(dirname "$0")/lib.sh"

k=${1:?K} out=${2:?OUT}
shift 2
mkdir -p "$out" && out=$(cd "$out" && pwd)
kernel_line "${k%-*}"
"$VM_DIR/fetch.sh" root "$ROOT"
root=$CACHE/root-$ROOT
case $k in
*-debug) tree=/debug/linux-$K ;;
*-arm64)
	"$VM_DIR/fetch.sh" cross "$K"
	kernel_version "$K"
	tree=/usr/src/linux-headers-${KVER%-*}-arm64
	set -- ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- "$@"
	;;
*) kernel_version "$k"; tree=/usr/src/linux-headers-$KVER ;;
esac
copy=/build/$(md5sum <<<"$out" | cut -c1-12)

inside() { chroot "$root" env -i PATH=/usr/bin:/usr/sbin LC_ALL=C HOME=/ "$@"; }

build() {
	mkdir -p "$root$copy"
	cp -a "$TOP/kmod" "$TOP/include" "$root$copy/"
	[ "$(cat "$root$copy/tree" 2>/dev/null)" = "$tree $*" ] ||
		inside make -s -C "$tree" M="$copy/kmod" clean >/dev/null 2>&1 || true
	echo "$tree $*" >"$root$copy/tree"
	if ! inside make -j2 -C "$tree" M="$copy/kmod" W=1 "$@" modules >"$out/build.log" 2>&1; then
		grep -E 'error|warning|undefined' -A4 "$out/build.log" >&2 || tail -20 "$out/build.log" >&2
		die "greenstk.ko for $k does not build: $out/build.log"
	fi
	if grep -E "$copy/|^[a-z_/]+\.[ch]:" "$out/build.log" | grep 'warning:' >&2; then
		die "greenstk.ko for $k builds with warnings: $out/build.log"
	fi
	grep '^greenstk: ' "$out/build.log" | sort -u >&2 || true
	cmp -s "$root$copy/kmod/greenstk.ko" "$out/greenstk.ko" || cp "$root$copy/kmod/greenstk.ko" "$out/greenstk.ko"
}
(
	flock -x 9
	build "$@"
) 9>"$out/.lock"
