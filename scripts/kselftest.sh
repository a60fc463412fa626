#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/kselftest.sh DIR
# Puts the kernel's kselftest.h, kselftest_harness.h, lib.mk and checkpatch.pl into DIR. They come
# from Debian's linux-source package: an installed one, else a download. No network the second time.
set -eu -o pipefail
pkg=linux-source-6.1
dir=$1
want=(tools/testing/selftests/kselftest.h tools/testing/selftests/kselftest_harness.h
      tools/testing/selftests/lib.mk scripts/checkpatch.pl scripts/spelling.txt
      scripts/const_structs.checkpatch)
have() { for f in "${want[@]}"; do [ -s "$dir/${f##*/}" ] || return 1; done; }
have && exit 0
mkdir -p "$dir"
exec 9>"$dir/.lock"; flock 9
have && exit 0

tmp=$(mktemp -d -p "$dir"); trap 'rm -rf "$tmp"' EXIT
tar=$(ls /usr/src/linux-source-*.tar.xz 2>/dev/null | tail -n 1 || true)
if [ -z "$tar" ]; then
	echo "fetching $pkg (kselftest headers)"
	[ "$(id -u)" != 0 ] || chown _apt "$tmp" 2>/dev/null || true
	fetch() { (cd "$tmp" && apt-get -q download $pkg >log 2>&1); }
	fetch || { [ "$(id -u)" = 0 ] && apt-get -q update >"$tmp/log" 2>&1 && fetch; } ||
		{ tail -5 "$tmp/log" >&2; echo "cannot fetch $pkg: install that package, or run as root once" >&2; exit 1; }
	(cd "$tmp" && dpkg-deb --fsys-tarfile ${pkg}_*.deb | tar -x --wildcards './usr/src/linux-source-*.tar.xz')
	tar=$(ls "$tmp"/usr/src/*.tar.xz)
fi
echo "unpacking the kselftest headers from ${tar##*/}"
tar -xJf "$tar" -C "$tmp" --wildcards --no-anchored --no-wildcards-match-slash \
	"${want[@]/#/*/}"
for f in "${want[@]}"; do cp "$tmp"/linux-source-*/"$f" "$dir/.new" && mv "$dir/.new" "$dir/${f##*/}"; done
