#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: run.sh OUT LIBRARY.a      (TAP)
# gstk-tlscheck over samples.c and samples.cc as each compiler makes them: every bad_* must be found and no
# good_*; and what it says of files that it cannot check.
set -u
cd "$(dirname "$0")/../.." || exit 2
out=$1 lib=$2
tool=userspace/tools/gstk-tlscheck dir=selftests/tlscheck n=0 bad=0
mkdir -p "$out" || exit 2
export PYTHONDONTWRITEBYTECODE=1

result() { # ok-or-not text [details-file]
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n $2" && return
	bad=1
	[ -z "${3-}" ] || sed 's/^/# /' "$3"
	echo "not ok $n $2"
}

names() { # the functions that it reported, without parameters and namespaces
	sed -n 's/^[^ ]*: \([^ ]*::\)\?\([A-Za-z_]*\)\(([^:]*)\)\?: .*/\2/p' "$1" | sort -u
}

expected() { # SOURCE... : what is to be found there
	grep -hoE '^SAMPLE .*\<(bad_[a-z_]+)\(' "$@" | grep -oE 'bad_[a-z_]+' | grep -v '^bad_pointer_' | sort -u
}

finds() { # WHAT FILE SOURCES... : exactly the bad ones of SOURCES
	local what=$1 file=$2; shift 2
	$tool "$file" >"$out/said" 2>"$out/err"
	local rc=$?
	diff <(expected "$@") <(names "$out/said") >"$out/diff"
	local differs=$?
	[ $rc = 1 ] || echo "exit $rc" >>"$out/diff"
	cat "$out/err" >>"$out/diff"
	[ $differs = 0 ] && [ $rc = 1 ] && [ ! -s "$out/err" ]
	result $? "$what: finds what is bad, and only that" "$out/diff"
}

refuses() { # WHAT TEXT ARGUMENTS...
	local what=$1 text=$2; shift 2
	$tool "$@" >"$out/said" 2>&1
	[ $? = 2 ] && grep -q -- "$text" "$out/said"
	result $? "$what" "$out/said"
}

compile() { # OBJECT COMPILER FLAGS SOURCE
	# shellcheck disable=SC2086
	$2 $3 -g -w -Iinclude $(case $4 in *.cc) ;; *) echo -std=gnu11 ;; esac) -c -o "$1" "$4" || { echo "# $2 $3 does not compile $4"; exit 2; }
}

combos() {
	local cc
	for cc in gcc clang; do
		command -v $cc >/dev/null || continue
		for f in -O0 -O1 -O2 -O3 -Os "-O2 -fPIC" "-O0 -fPIC" "-O2 -fcf-protection=full -fstack-protector-all" \
			"-O2 -fno-omit-frame-pointer -ffunction-sections"; do
			echo "$cc $f"
		done
	done
	echo "gcc -O2 -fPIC -mtls-dialect=gnu2"
	command -v aarch64-linux-gnu-gcc >/dev/null || return
	for f in -O0 -O2 -O3 "-O2 -fPIC"; do echo "aarch64-linux-gnu-gcc $f"; done
}

echo "TAP version 13"
while read -r cc flags; do
	case $cc in *gcc) cxx=${cc%gcc}g++ ;; *) cxx=$cc++ ;; esac
	compile "$out/c.o" "$cc" "$flags" $dir/samples.c
	compile "$out/cc.o" "$cxx" "$flags" $dir/samples.cc
	rm -f "$out/both.a"; ar rcs "$out/both.a" "$out/c.o" "$out/cc.o" 2>/dev/null
	finds "$cc $flags" "$out/both.a" $dir/samples.c $dir/samples.cc
done < <(combos)

# Linked: names are those of the linker's tables, and calls go through the PLT or to the library's code.
for cc in gcc clang; do
	command -v $cc >/dev/null || continue
	libs="-llz4 -lzstd -pthread -lm"
	$cc -O2 -g -w -Iinclude -o "$out/exe" $dir/samples.c $dir/rest.c "$lib" $libs || exit 2
	finds "$cc, a program with the library in it" "$out/exe" $dir/samples.c
	$cc -O2 -g -w -fPIC -shared -Iinclude -o "$out/shared.so" $dir/samples.c $dir/rest.c || exit 2
	finds "$cc, a shared library" "$out/shared.so" $dir/samples.c
	lto=$(dirname "$lib")/../lto-$cc/lib/libgreenstk.a
	[ -e "$lto" ] || continue
	# shellcheck disable=SC2046
	$cc -O3 -g -w -flto $([ $cc = gcc ] || echo -fuse-ld=lld) -Iinclude -o "$out/exe" $dir/samples.c $dir/rest.c "$lto" $libs || exit 2
	finds "$cc, LTO of program and library" "$out/exe" $dir/samples.c
done

# What the header does for errno: without it the compilers keep the address.
for cc in gcc clang; do
	command -v $cc >/dev/null || continue
	compile "$out/keep.o" $cc "-O2 -DGSTK_KEEP_ERRNO" $dir/samples.c
	$tool "$out/keep.o" | grep -q "good_errno: the address of 'errno'"
	result $? "$cc: libc's own errno is kept, and that is found"
done

compile "$out/c.o" gcc -O2 $dir/samples.c
line=$(grep -n '^SAMPLE int bad_kept(void)' $dir/samples.c | cut -d: -f1)
$tool "$out/c.o" >"$out/said"
grep -q "bad_kept: the address of 'global', taken at $dir/samples.c:\($((line + 2))\|$((line + 4))\), is used at $dir/samples.c:$((line + 6)) after gstk_yield() at $dir/samples.c:$((line + 5))$" "$out/said"
result $? "a finding names function, variable, call and lines" "$out/said"
$tool -W "$out/c.o" | grep -q "bad_pointer_called: .*a call through a pointer"
result $? "-W adds calls through pointers"
$tool -b leave_note "$out/c.o" | grep -q "good_over_calls_that_do_not_park: .*leave_note"
result $? "-b names another function that parks"
printf '#include <unistd.h>\n__thread char c; long f(int fd) { char *p = &c; __asm__("" : "+r"(p)); read(fd, 0, 0); return *p; }\n' |
	gcc -O2 -xc -c -o "$out/read.o" -
$tool "$out/read.o" >"$out/said" && ! $tool -p "$out/read.o" >>"$out/said"
result $? "-p adds what the preload library replaces" "$out/said"

expected $dir/samples.c | sed 's/$/ * a sample/' >"$out/allow"
$tool -a "$out/allow" "$out/c.o" >"$out/said" 2>&1
result $? "what is allowed is not reported" "$out/said"
echo "good_value value never found" >>"$out/allow"
$tool -a "$out/allow" "$out/c.o" 2>&1 | grep -q "allowed, but not found any more: good_value value"
result $? "what is allowed in vain is said"
echo "bad_kept global" >"$out/allow"
refuses "an allow file must say why" "allow:1: a line is" -a "$out/allow" "$out/c.o"

compile "$out/rest.o" gcc -O2 $dir/rest.c
$tool "$out/rest.o" >"$out/said" 2>&1 && [ ! -s "$out/said" ]
result $? "a clean file says nothing" "$out/said"
refuses "a file that is not there" "No such file" "$out/none.o"
refuses "a file that is none" "not an ELF file" $dir/samples.c
gcc -O2 -flto -w -Iinclude -c -o "$out/slim.o" $dir/samples.c
refuses "an LTO object" "without machine code; check what it is linked into" "$out/slim.o"
if command -v clang >/dev/null; then
	clang -O2 -flto -w -Iinclude -c -o "$out/slim.o" $dir/samples.c
	refuses "bitcode" "no machine code yet" "$out/slim.o"
fi
strip -o "$out/stripped.so" "$out/shared.so" && $tool "$out/stripped.so" 2>&1 | grep -q "is stripped: only exported functions are checked"
result $? "a stripped file"

diff <($tool --list-parking "$lib") <(python3 -c '
import sys; sys.path.insert(0, "userspace/tools")
from gstk_tlscheck import names
print("\n".join(sorted(set(names.PARKS) - names.CALLS_BACK | names.NEVER_WAITS)))') >"$out/diff"
result $? "the table of functions that park is what the library's code says" "$out/diff"
preload=$(dirname "$lib")/libgreenstk-preload.so
python3 -c '
import sys; sys.path.insert(0, "userspace/tools")
from gstk_tlscheck import names
print("\n".join(sorted(names.PRELOAD_PARKS)))' | LC_ALL=C sort >"$out/table"
nm -D --defined-only "$preload" | awk '{ print $3 }' | LC_ALL=C sort | LC_ALL=C comm -23 "$out/table" - >"$out/diff"
[ ! -s "$out/diff" ]
result $? "what -p adds is what the preload library defines" "$out/diff"
echo "1..$n"
exit $bad
