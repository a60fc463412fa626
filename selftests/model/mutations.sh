#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: mutations.sh BUILD-DIR [NAME...]
# Plants each bug of mutations.list in a copy of the tree, builds that, and runs the suites until one
# fails: transitions, windows and joins with a long pause at one point, stress. A bug that survives is a hole. KTAP.
set -u
o=$1; shift
list=selftests/model/mutations.list n=0 bad=0
echo "TAP version 13"
fails() { # suite command...
	local suite=$1; shift
	timeout -k 2 "${MUTATION_SECONDS:-40}" "$@" >"$dir/$suite.log" 2>&1 </dev/null && return 1
	by=$suite
}
while read -r name file from to; do
	[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
	n=$((n + 1))
	dir=$o/mutate-$name by=
	rm -rf "$dir"; mkdir -p "$dir/build"
	cp -a Makefile mk scripts userspace selftests include "$dir/"
	mkdir -p "$dir/build/obj" && cp -a "$o/inject/obj/lib" "$dir/build/obj/"
	# Else a bug in a header would not be compiled in.
	find "$dir/build/obj" -name '*.d' -exec sed -i "s|$o/inject/obj/|build/obj/|g" {} +
	from=${from//\~/ } to=${to//\~/ } perl -0pi -e '$h = s/$ENV{from}/$ENV{to}/; END { exit !$h }' "$dir/$file" ||
		{ echo "not ok $n $name: its text is not in $file"; bad=1; continue; }
	[[ $name != unlock_before_parked ]] || sed -i '0,/#include/s//#include <sched.h>\n#include/' "$dir/$file"
	touch "$dir/$file"
	if ! make -C "$dir" O=build CACHE="$(realpath "$CACHE")" CFLAGS=-DGSTK__INJECTION build/lib/libgreenstk.a >"$dir/build.log" 2>&1 ||
		! gcc -O1 -w -std=gnu11 -D_GNU_SOURCE -I"$dir/include" -I"$dir/userspace/lib" -o "$dir/transitions_test" \
			selftests/model/transitions_test.c >>"$dir/build.log" 2>&1 ||
		! gcc -O1 -D_GNU_SOURCE -I"$dir/include" -o "$dir/moves" selftests/stress/moves.c "$dir/build/lib/libgreenstk.a" \
			-llz4 -lzstd -lunwind-generic -lunwind -pthread >>"$dir/build.log" 2>&1 ||
		! gcc -O1 -w -D_GNU_SOURCE -I"$dir/include" -I"$dir/userspace/lib" -isystem "$CACHE/kselftest" -o "$dir/window_share_test" \
			selftests/lib/window_share_test.c "$dir/build/lib/libgreenstk.a" -lzstd -pthread >>"$dir/build.log" 2>&1; then
		echo "not ok $n $name: does not build, see $dir/build.log"; bad=1; continue
	fi
	fails transitions "$dir/transitions_test" selftests/model/transitions.list ||
		fails windows env GREENSTK_INJECT=earn_back "$dir/window_share_test" ||
		fails joins env GREENSTK_INJECT=join_registered "$dir/window_share_test" ||
		fails stress-1 env GREENSTK_WORKERS=1 GREENSTK_WINDOWS=2 "$dir/moves" 1 4 200 ||
		fails stress-2 env GREENSTK_WORKERS=2 GREENSTK_WINDOWS=4 "$dir/moves" 2 6 400 ||
		fails stress-4 env GREENSTK_WORKERS=4 GREENSTK_WINDOWS=64 "$dir/moves" 3 15 100 ||
		fails stress-alone env GREENSTK_WORKERS=2 GREENSTK_WINDOWS=4096 "$dir/moves" 4 15 20
	if [ -n "$by" ]; then echo "ok $n $name is caught by $by"; rm -rf "$dir/build" "$dir/userspace"; else echo "not ok $n $name survives"; bad=1; fi
done < <(grep -v '^#' "$list")
echo "1..$n"
exit $bad
