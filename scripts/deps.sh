#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/deps.sh [-n] GROUP...
# Installs the Debian packages of the named groups that are missing; says nothing when none is.
# -n: only names what is missing, and fails if something is.
# A line of the table: group, package (a|b: either will do), what it is for. A line that ends in
# "(optional)" is left out with a message where the archive does not have it.
set -u -o pipefail

table() { cat <<'TABLE'
build       gcc              compiler
build       g++              headers must serve C++ too
build       libc6-dev        libc headers
build       binutils         nm, for the check of exported symbols
build       pkg-config|pkgconf   finds libraries
build       liblz4-dev       the benchmarks of the codec compare with it
build       libzstd-dev      packed images of long stacks
build       systemtap-sdt-dev   USDT probes
build       libunwind-dev    the tests compare our unwinder with it
test        clang            headers must compile there too
test        xz-utils         unpacks linux-source
test        procps           ps, for the tests that look at processes
test        gdb              backtraces through a switch
test        python3-pyelftools   the gdb script unwinds with it, gstk-tlscheck reads files with it
test        python3-capstone     gstk-tlscheck reads machine code with it
test        lld              clang's LTO
test        redis-tools      redis-cli and redis-benchmark talk to the example server
test        redis-server     two example servers share its messages
test        libhiredis-dev   so does a client library
test        python3-redis    and another
test        libcurl4-openssl-dev|libcurl4-gnutls-dev   a library that runs inside tasks, unmodified
test        libpq-dev        and another
test        postgresql       to which that talks
test        nginx-light|nginx   serves what the example crawler crawls
test        spin             the protocol's model
test        mandoc           lint of man pages
test        git              the cloned-tree test
sanitizers  valgrind         memory checker
sanitizers  libc6-dbg        valgrind reads it
sanitizers  libclang-rt-dev   clang's fuzzer and sanitizers
aarch64     gcc-aarch64-linux-gnu    cross compiler
aarch64     g++-aarch64-linux-gnu    cross compiler
aarch64     libc6-dev-arm64-cross    its C library
aarch64     qemu-user-static         runs what it makes
vm          xz-utils         unpacks linux-source
vm          sparse           checks the module
vm          dwarves          checks the ABI's layout
peers       libboost-context-dev  peer
peers       libboost-fiber-dev    peer
peers       golang-go        peer
peers       libst-dev        peer
peers       libuv1-dev       peer
peers       redis-server     peer
peers       cargo            builds the next one
peers       librust-tokio-dev   peer
demo        redis-server     runs beside the example server
demo        redis-tools      redis-benchmark, redis-cli
demo        nginx-light|nginx   serves what the example crawler crawls
demo        procps           reads the server's memory
docs        gzip             man pages
docs        man-db           reads man pages
TABLE
}

dry=
[ "${1-}" = -n ] && { dry=1; shift; }
[ $# -gt 0 ] || { echo "usage: $0 [-n] GROUP... (groups: $(table | awk '!s[$1]++ { printf "%s ", $1 }'))" >&2; exit 2; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for group; do
	found=
	while read -r g pkg _; do
		[ "$g" = "$group" ] || continue
		found=1
		for alt in ${pkg//|/ }; do installed "$alt" && continue 2; done
		case " ${missing[*]-} " in *" ${pkg%%|*} "*) ;; *) missing+=("${pkg%%|*}") ;; esac
	done < <(table)
	[ -n "$found" ] || { echo "$0: no group \"$group\"" >&2; exit 2; }
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "greenstk needs (named as in Debian): ${missing[*]}" >&2
	exit 1
fi
if [ -n "$dry" ] || [ "$(id -u)" != 0 ]; then
	echo "missing packages; as root run: apt-get install -y ${missing[*]}" >&2
	exit 1
fi

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any -q)
echo "installing (groups $*): ${missing[*]}"
known() { [ -n "$(apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ && $2 != "(none)"')" ]; }
for p in "${missing[@]}"; do
	known "$p" || { "${apt[@]}" update >"$log" 2>&1 || { tail -5 "$log"; exit 1; } >&2; break; }
done
install=()
for p in "${missing[@]}"; do
	if known "$p"; then install+=("$p")
	elif table | grep -qE "[| ]$p[| ].*\(optional\)"; then echo "$p: not in this archive, left out"
	else echo "$p: not in this archive" >&2; exit 1; fi
done
[ ${#install[@]} -gt 0 ] || exit 0
# An old package list names versions that the archive has dropped: update and try once more.
"${apt[@]}" install -y --no-install-recommends "${install[@]}" >"$log" 2>&1 ||
	{ "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${install[@]}"; } >"$log" 2>&1 ||
	{ tail -20 "$log" >&2; echo "apt-get failed; packages wanted: ${install[*]}" >&2; exit 1; }
