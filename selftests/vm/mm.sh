#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: mm.sh K DIR
# The kernel's own mm selftests that touch mremap, userfaultfd and madvise (from
# linux-source 6.12), in a guest without the module and in one with it loaded:
# the results must be the same, and the log of the second one clean.
. "$(dirname "$0")/lib.sh"

k=$1 dir=$2
TESTS="mremap_test mremap_dontunmap madv_populate uffd-unit-tests"
kernel_line 6.12
root=$CACHE/root-$ROOT
inside() { chroot "$root" env -i PATH=/usr/bin:/usr/sbin LC_ALL=C HOME=/ "$@"; }

build_tests() {
	local out=/debug/mm-selftests t
	[ -e "$root$out/.done" ] && return
	say "building the kernel's mm selftests"
	mkdir -p "$root$out/headers"
	inside make -s -C "/src/linux-$K" O=$out/headers headers >"$root$out/log" 2>&1 || die "headers: $root$out/log"
	for t in $TESTS; do
		inside sh -c "cd /src/linux-$K/tools/testing/selftests/mm && gcc -O2 -D_GNU_SOURCE= -static \
			-isystem $out/headers/usr/include -isystem ../../../include/uapi -I.. -o $out/$t $t.c \
			\$(case $t in uffd*) echo uffd-common.c ;; esac) vm_util.c thp_settings.c -lpthread -lrt" \
			>>"$root$out/log" 2>&1 || die "$t does not build: $root$out/log"
	done
	touch "$root$out/.done"
}

"$VM_DIR/fetch.sh" root "$ROOT"
"$VM_DIR/fetch.sh" source "$K"
with_lock mm-selftests build_tests
mkdir -p "$dir"
bins=$(for t in $TESTS; do echo "$root/debug/mm-selftests/$t"; done)
cmd='for t in '$TESTS'; do /vm/$t >/tmp/out 2>&1; echo "$t: exit $?"; grep -aE "^(not )?ok |^Testing" /tmp/out | sed "s/^/$t: /"; done'

results() { # FILE: without what differs from run to run
	grep -aE ': (exit|ok|not ok|Testing)' "$1" | sed -E 's/[0-9,]+ ?(ns|us|ms)\b.*//; s/(wp|missing|poison|minor|move|copy|userfaults).*:.*[0-9]+//' | sort
}
KO='' LIMIT=2400 MEM=2G "$VM_DIR/run.sh" cmd "$k" "$dir/without" "$cmd" $bins >"$dir/without.txt" || true
LIMIT=2400 MEM=2G "$VM_DIR/run.sh" cmd "$k" "$dir/with" "$cmd" $bins >"$dir/with.txt" 2>"$dir/with.err" || true
diff <(results "$dir/without.txt") <(results "$dir/with.txt") >"$dir/diff" || { cat "$dir/diff"; die "the module changes their results"; }
n=$(results "$dir/with.txt" | wc -l)
[ "$n" -gt 30 ] || die "only $n results: $dir/with.txt"
if grep -q 'see .*console.log' "$dir/with.err"; then cat "$dir/with.err"; exit 1; fi
grep -a ': exit' "$dir/with.txt"
echo "ok - $k: $n results of the kernel's mm selftests, the same with the module"
