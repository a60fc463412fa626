#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: fetch.sh kernel K | root NAME | cross K | kselftest | source K
# Brings packages into the cache; installs nothing on the machine.
#   kernel K     $CACHE/kernels/K/{vmlinuz,version,modules/}
#   root NAME    $CACHE/root-NAME: a directory to chroot into that can build
#                modules (and kernels) for every kernel of the list with that root
#   cross K      into K's root: a compiler for arm64, and K's headers for it
#   kselftest    $CACHE/kselftest-6.12: kselftest.h, harness, lib.mk, checkpatch.pl
#   source K     $CACHE/root-NAME/src/linux-K: the whole kernel source
. "$(dirname "$0")/lib.sh"

# What a build root holds beside the headers: enough for modules, W=1, sparse,
# pahole and for a kernel itself.
ROOT_PACKAGES="make gcc libc6-dev libc-bin dash bash coreutils sed grep gawk findutils diffutils hostname
	bc flex bison libelf-dev libssl-dev perl-base perl xz-utils kmod cpio sparse pahole tar gzip busybox-static"
# Emulators before 8.1 lose a race between patched code and its translation: a
# guest with two CPUs died of "Oops: int3" in one boot here. So QEMU is trixie's
# too, started by its own loader (run.sh); nothing of it is installed.
ROOT_PACKAGES_trixie="qemu-system-x86"
# Modules that guests load; absent ones are built in.
GUEST_MODULES="zram lz4_compress lz4hc_compress zstd_compress zsmalloc loop"

unpack_all() { # DIR DEB...
	local dir=$1; shift
	# Not dpkg-deb -x: it would replace the links of the merged /usr by directories.
	printf '%s\0' "$@" | xargs -0 -P2 -I{} sh -c \
		'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"' sh {} "$dir"
}

fetch_root() {
	local root=$1 dir=$CACHE/root-$1 pkgs=$ROOT_PACKAGES k more=ROOT_PACKAGES_$1
	pkgs+=" ${!more:-}"
	apt_setup "$root"
	for k in $(kernels); do
		kernel_line "$k"
		[ "$ROOT" = "$root" ] || continue
		kernel_version "$k"
		pkgs+=" $KPKG"
	done
	pkgs=$(echo $pkgs)
	[ "$(cat "$dir/.packages" 2>/dev/null)" = "$pkgs" ] && return
	need dpkg-deb dpkg
	local archives=$CACHE/apt-$root/cache/archives list
	say "build root $root: $(wc -w <<<"$pkgs") packages and what they need"
	list=$(apt_in "$root" apt-get install -s $pkgs | awk '/^Inst / {
		gsub(/[(\[\])]/, ""); v = $3; gsub(/:/, "%3a", v); print $2 "_" v "_" $NF ".deb" }')
	apt_in "$root" apt-get install -y --download-only $pkgs >"$CACHE/apt-$root/download.log" 2>&1 ||
		{ tail "$CACHE/apt-$root/download.log" >&2; die "download for $root"; }
	rm -rf "$dir.new" && mkdir -p "$dir.new/usr"
	local d
	for d in bin sbin lib lib64; do # merged /usr, whatever the packages say
		mkdir -p "$dir.new/usr/$d" && ln -s "usr/$d" "$dir.new/$d"
	done
	# The kernel image is not for building: its package is only pulled in by name.
	unpack_all "$dir.new" $(for d in $list; do
		case $d in linux-image-*) ;; *) echo "$archives/$d" ;; esac; done)
	mkdir -p "$dir.new"/{dev,tmp,build,proc/self}
	# objtool 7.2 looks for [stack] there; mounting proc would need more rights.
	cp /proc/self/maps "$dir.new/proc/self/"
	[ -e "$dir.new/usr/bin/awk" ] || ln -s gawk "$dir.new/usr/bin/awk"
	mknod -m 666 "$dir.new/dev/null" c 1 3
	mknod -m 666 "$dir.new/dev/urandom" c 1 9
	chroot "$dir.new" /sbin/ldconfig
	chroot "$dir.new" /bin/sh -c 'make --version && gcc --version' >/dev/null || die "root $root does not work"
	echo "$pkgs" >"$dir.new/.packages"
	local keep # sources and built kernels outlive the packages
	for keep in src debug; do
		if [ -d "$dir/$keep" ]; then mv "$dir/$keep" "$dir.new/"; else mkdir "$dir.new/$keep"; fi
	done
	rm -rf "$dir" && mv "$dir.new" "$dir"
}

fetch_kernel() {
	kernel_version "$1"
	local dir=$CACHE/kernels/$K deb m
	[ "$(cat "$dir/version" 2>/dev/null)" = "$KVER" ] && return
	need dpkg-deb dpkg
	say "kernel $K: linux-image-$KVER"
	# Newer packages split the image: -image depends on -binary and -modules. The archive signs an image
	# some days after it has the headers: until then there is the same one without.
	local pkgs= names
	names=$(for m in image binary modules; do apt_in "$ROOT" apt-cache pkgnames "linux-$m-$KVER"; done)
	for m in image binary modules; do
		pkgs+=" $(grep -Fx "linux-$m-$KVER" <<<"$names" || true)"
	done
	[[ $pkgs = *linux-image-* ]] || pkgs+=" $(grep -Fx "linux-image-$KVER-unsigned" <<<"$names" || true)"
	rm -rf "$dir.new" && mkdir -p "$dir.new/modules" "$dir.new/debs"
	(cd "$dir.new/debs" && apt_in "$ROOT" apt-get download $pkgs >/dev/null)
	local pats=("*/vmlinuz" "*/vmlinuz-*")
	for m in $GUEST_MODULES; do pats+=("*/$m.ko" "*/$m.ko.xz"); done
	for deb in "$dir.new"/debs/*.deb; do # not every package has every pattern
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$dir.new" --wildcards "${pats[@]}" 2>/dev/null || true
	done
	mv "$(find "$dir.new" -name 'vmlinuz*' -type f | head -1)" "$dir.new/vmlinuz"
	find "$dir.new" -mindepth 3 -name '*.ko*' -exec mv {} "$dir.new/modules/" \;
	find "$dir.new/modules" -name '*.xz' -exec xz -d {} +
	rm -rf "$dir.new"/{boot,lib,usr,debs}
	echo "$KVER" >"$dir.new/version"
	rm -rf "$dir" && mv "$dir.new" "$dir"
}

# The tools of a kernel's headers (linux-kbuild) are the build machine's; beside them arm64's need only a compiler.
fetch_cross() {
	fetch_root "$ROOT"
	kernel_version "$1"
	local dir=$CACHE/root-$ROOT gcc=gcc-aarch64-linux-gnu base=${KVER%-*} tmp
	if [ ! -e "$dir/.cross-gcc" ]; then
		say "build root $ROOT: $gcc"
		apt_in "$ROOT" apt-get install -y --download-only $gcc >"$CACHE/apt-$ROOT/download.log" 2>&1 ||
			{ tail "$CACHE/apt-$ROOT/download.log" >&2; die "download of $gcc for $ROOT"; }
		unpack_all "$dir" $(apt_in "$ROOT" apt-get install -s $gcc | awk '/^Inst .*(arm64|aarch64|cross)/ {
			gsub(/[(\[\])]/, ""); v = $3; gsub(/:/, "%3a", v); print $2 "_" v "_" $NF ".deb" }' |
			sed "s|^|$CACHE/apt-$ROOT/cache/archives/|")
		chroot "$dir" aarch64-linux-gnu-gcc --version >/dev/null || die "$gcc does not work in root $ROOT"
		touch "$dir/.cross-gcc"
	fi
	[ -d "$dir/usr/src/linux-headers-$base-arm64" ] && return
	say "kernel $K: linux-headers-$base-arm64"
	APT_ARCH=arm64 apt_setup "$ROOT-arm64"
	tmp=$(mktemp -d "$CACHE/cross.XXXXXX")
	(cd "$tmp" && APT_ARCH=arm64 apt_in "$ROOT-arm64" apt-get download "linux-headers-$base-arm64" >/dev/null) ||
		die "the archive has no linux-headers-$base-arm64, though it has amd64's of that version"
	unpack_all "$dir" "$tmp"/*.deb
	rm -rf "$tmp"
}

source_deb() { # K: prints the path of linux-source-K's package
	kernel_line "$1"
	apt_setup "$ROOT"
	mkdir -p "$CACHE/debs"
	if ! ls "$CACHE"/debs/linux-source-"$K"_* >/dev/null 2>&1; then
		say "linux-source-$K"
		(cd "$CACHE/debs" && apt_in "$ROOT" apt-get download "linux-source-$K" >/dev/null)
	fi
	ls -t "$CACHE"/debs/linux-source-"$K"_* | head -1
}

fetch_kselftest() {
	local from=6.12 dir=$CACHE/kselftest-6.12 deb
	[ -e "$dir/kselftest_harness.h" ] && return
	deb=$(source_deb $from)
	rm -rf "$dir.new" && mkdir -p "$dir.new/tree"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards '*/linux-source-*.tar.xz' | xz -dc -T0 |
		tar -x -C "$dir.new/tree" --strip-components=1 --wildcards \
		'*/tools/testing/selftests/*.[hc]' '*/tools/testing/selftests/*.mk' '*/tools/testing/selftests/*.sh' \
		'*/tools/testing/selftests/kselftest/*' '*/tools/testing/selftests/mm/*' \
		'*/tools/include/*' '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
		'*/scripts/const_structs.checkpatch' '*/scripts/subarch.include'
	local s=tree/tools/testing/selftests
	ln -s $s/kselftest.h $s/kselftest_harness.h $s/lib.mk "$dir.new/"
	ln -s tree/scripts/checkpatch.pl "$dir.new/"
	rm -rf "$dir" && mv "$dir.new" "$dir"
}

fetch_source() {
	local dir deb
	kernel_line "$1"
	dir=$CACHE/root-$ROOT/src/linux-$1
	[ -e "$dir/Makefile" ] && return
	deb=$(source_deb "$1")
	rm -rf "$dir.new" && mkdir -p "$dir.new"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards '*/linux-source-*.tar.xz' | xz -dc -T0 |
		tar -x -C "$dir.new" --strip-components=1
	basename "$deb" >"$dir.new/.deb"
	rm -rf "$dir" && mv "$dir.new" "$dir"
}

# One fetch at a time: they share the package lists and archives of a release.
case ${1:-} in
kernel) kernel_line "$2"; with_lock fetch fetch_kernel "$2" ;;
root) with_lock fetch fetch_root "$2" ;;
cross) kernel_line "$2"; with_lock fetch fetch_cross "$2" ;;
kselftest) with_lock fetch fetch_kselftest ;;
source) with_lock fetch fetch_source "$2" ;;
*) die "usage: fetch.sh kernel K | root NAME | cross K | kselftest | source K" ;;
esac
