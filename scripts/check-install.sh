#!/bin/bash
# SPDX-License-Identifier: MIT
# make install DESTDIR= gives what a program needs: found by pkg-config, shared and static, C and C++.
set -eu -o pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
make -s -C "$root" install DESTDIR="$dir/root" PREFIX=/opt/gstk >"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 1; }
outside=$(cd "$dir/root" && find . -type f -not -path './opt/gstk/*')
[ -z "$outside" ] || { echo "installed outside of PREFIX: $outside"; exit 1; }
make -s -C "$root" install-kmod DESTDIR="$dir/root" >"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 1; }
lib=$dir/root/opt/gstk/lib
for f in libgreenstk.a libgreenstk.so libgreenstk.so.0 pkgconfig/greenstk.pc \
	libgreenstk-preload.so libgreenstk-preload.a pkgconfig/greenstk-preload.pc; do
	[ -e "$lib/$f" ] || { echo "not installed: $f"; exit 1; }
done
share=$dir/root/opt/gstk/share/man
# gdb takes the script by itself, from below the folder that it is told, at the library's own path.
auto=$dir/root/opt/gstk/share/gdb/auto-load/opt/gstk/lib/libgreenstk.so.0-gdb.py
mkdir -p "$dir/auto$lib" && ln -s "$auto" "$dir/auto$lib/"
if command -v gdb >/dev/null; then
	gdb -nx -batch -iex "set debuginfod enabled off" -iex "add-auto-load-scripts-directory $dir/auto" \
		-iex "add-auto-load-safe-path $dir" -ex "info gstk-tasks" "$lib/libgreenstk.so.0" >"$dir/out" 2>&1 || true
	grep "greenstk: the runtime is not started" "$dir/out" >/dev/null || { echo "gdb does not load the script:"; cat "$dir/out"; exit 1; }
fi
for f in "$dir/root/opt/gstk/bin/gstk-info" "$dir/root/opt/gstk/include/linux/greenstk.h" "$dir/root/opt/gstk/include/greenstk.hpp" "$share"/man1/gstk-info.1* \
	"$share"/man3/gstk_chan_send.3* "$share"/man4/greenstk.4* "$share"/man7/greenstk.7*; do
	[ -e "$f" ] || { echo "not installed: ${f#"$dir/root"}"; exit 1; }
done
if /usr/bin/python3 -c 'import capstone, elftools' 2>/dev/null; then
	(cd "$dir" && "$dir/root/opt/gstk/bin/gstk-tlscheck" "$lib/libgreenstk.so.0") || { echo "the installed gstk-tlscheck does not work"; exit 1; }
fi
[ -n "$(find "$dir/root" -path '*udev/rules.d/*greenstk*.rules')" ] || { echo "not installed: the udev rule"; exit 1; }
# What dkms builds from holds every source that its Kbuild names.
src=$(find "$dir/root/usr/src" -maxdepth 1 -name 'greenstk-*')
[ -e "$src/dkms.conf" ] && [ -e "$src/include/uapi/linux/greenstk.h" ] || { echo "not installed: dkms source"; exit 1; }
diff <(cd "$root/kmod" && find . -name '*.[ch]' | sort) <(cd "$src/kmod" && find . -name '*.[ch]' | sort) ||
	{ echo "dkms source is not the module's"; exit 1; }
export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dir/root LD_LIBRARY_PATH=$lib
read -ra shared < <(pkg-config --cflags --libs greenstk)
read -ra static < <(pkg-config --static --cflags --libs greenstk)
static=("${static[@]/#-lgreenstk/-l:libgreenstk.a}")
src=$root/scripts/install-check.c
gcc -Wall -Werror -o "$dir/c-shared" "$src" "${shared[@]}"
g++ -Wall -Werror -xc++ -o "$dir/cxx-shared" "$src" -xnone "${shared[@]}"
gcc -Wall -Werror -o "$dir/c-static" "$src" "${static[@]}"
# What is left of a library compiled for LTO by the application must work too.
gcc -O2 -flto -Wall -Werror -o "$dir/c-lto" "$src" "${static[@]}"
read -ra preload < <(pkg-config --cflags --libs greenstk-preload)
gcc -Wall -Werror -o "$dir/c-preload" "$src" "${preload[@]}"
# All in one program, by the very command that the document shows.
whole=$(sed -n '/^\tcc.*\\$/N; s/^\t\(cc.*whole-archive.*\)/\1/p' "$root/Documentation/preload.rst" | tr -d '\\\n\t')
[ -n "$whole" ] || { echo "no cc line with --whole-archive in preload.rst"; exit 1; }
(cd "$dir" && cp "$src" program.c && eval "${whole/#cc/gcc -o c-whole}") || { echo "does not build: $whole"; exit 1; }
for p in c-shared cxx-shared c-static c-lto c-preload c-whole; do
	timeout 20 "$dir/$p" >"$dir/out" || { echo "$p fails:"; cat "$dir/out"; exit 1; }
done
ldd "$dir/c-shared" | grep libgreenstk.so.0 >/dev/null || { echo "c-shared does not use the shared library"; exit 1; }
! ldd "$dir/c-static" | grep libgreenstk >/dev/null || { echo "c-static uses the shared library"; exit 1; }
nm "$dir/c-whole" | grep " [TW] sleep$" >/dev/null || { echo "what preload.rst links with --whole-archive is not in the program"; exit 1; }
ldd "$dir/c-preload" | grep libgreenstk-preload.so >/dev/null || { echo "c-preload is not linked with the interposed libc"; exit 1; }
