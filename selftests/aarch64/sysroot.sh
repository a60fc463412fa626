#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: sysroot.sh
# Unpacks the libraries that the cross build links, as Debian builds them for arm64, into
# $CACHE/sysroot-arm64, and prints that directory. The cross compiler's packages have the C library only.
. "$(dirname "$0")/../vm/lib.sh"

PACKAGES="libzstd-dev libzstd1 libunwind-dev libunwind8 liblzma5 libhiredis-dev libhiredis0.14"
ROOT=bookworm
APT_ARCH=arm64

fetch() {
	local dir=$CACHE/sysroot-arm64 d=$CACHE/apt-$ROOT-arm64 deb
	[ "$(cat "$dir/.packages" 2>/dev/null)" = "$PACKAGES" ] && return
	need dpkg-deb dpkg
	say "libraries for arm64: $PACKAGES"
	mkdir -p "$dir.new" "$d/debs"
	apt_setup "$ROOT-arm64"
	(cd "$d/debs" && apt_in "$ROOT-arm64" apt-get download $PACKAGES) >"$d/download.log" 2>&1 ||
		{ tail "$d/download.log" >&2; die "download for arm64"; }
	for deb in "$d"/debs/*.deb; do
		dpkg-deb -x "$deb" "$dir.new"
	done
	echo "$PACKAGES" >"$dir.new/.packages"
	rm -rf "$dir" && mv "$dir.new" "$dir"
}

with_lock sysroot-arm64 fetch
echo "$CACHE/sysroot-arm64"
