#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: mm.sh K DIR
# The kernel's own mm selftests that touch mremap, userfaultfd and madvise (from
# linux-source 6.12), in a guest without the module and in one with it loaded. Each
# test is a result here: it must end in time, give the same results in both, and
# leave the log of the second guest clean. What this kernel fails or skips in both
# is no fault of ours, but at least one result must be a pass.
. "$(dirname "$0")/lib.sh"

k=$1 dir=$2
# Name, seconds it may take, the command. The emulator is 20 to 50 times slower than a machine:
# not the "events" of uffd-unit-tests, which take minutes there.
TESTS="mremap_test          300 ./mremap_test -t1
mremap_dontunmap     120 ./mremap_dontunmap
madv_populate        120 ./madv_populate
uffd.register        60 ./uffd-unit-tests -f register
uffd.zeropage        120 ./uffd-unit-tests -f zeropage
uffd.move            120 ./uffd-unit-tests -f move
uffd.wp              120 ./uffd-unit-tests -f wp-
uffd.minor           120 ./uffd-unit-tests -f minor
uffd.sigbus          120 ./uffd-unit-tests -f sigbus
uffd.poison          240 ./uffd-unit-tests -f poison
uffd-stress.anon     180 ./uffd-stress anon 8 2
uffd-stress.shmem    180 ./uffd-stress shmem 8 2
mseal_test           120 ./mseal_test
soft-dirty           180 ./soft-dirty"
BINARIES="mremap_test mremap_dontunmap madv_populate uffd-unit-tests uffd-stress mseal_test soft-dirty"
kernel_line 6.12
root=$CACHE/root-$ROOT
built=$root/debug/mm-selftests
inside() { chroot "$root" env -i PATH=/usr/bin:/usr/sbin LC_ALL=C HOME=/ "$@"; }

build_tests() {
	local out=/debug/mm-selftests t
	[ "$(cat "$built/.done" 2>/dev/null)" = "$BINARIES" ] && return
	say "building the kernel's mm selftests (two minutes, once)"
	mkdir -p "$built/headers"
	inside make -s -C "/src/linux-$K" O=$out/headers headers >"$built/log" 2>&1 || die "headers: $built/log"
	for t in $BINARIES; do
		inside sh -c "cd /src/linux-$K/tools/testing/selftests/mm && gcc -O2 -D_GNU_SOURCE= -static \
			-isystem $out/headers/usr/include -isystem ../../../include/uapi -I.. -o $out/$t $t.c \
			\$(case $t in uffd*) echo uffd-common.c ;; esac) vm_util.c thp_settings.c -lpthread -lrt" \
			>>"$built/log" 2>&1 || die "$t does not build: $built/log"
	done
	echo "$BINARIES" >"$built/.done"
}

guest() { # DIR WITH-MODULE
	local name secs cmd
	{
		[ -z "$2" ] || echo "insmod /vm/greenstk.ko"
		while read -r name secs cmd; do
			echo "suite $secs $name cd /vm && $cmd"
		done <<<"$TESTS"
		[ -z "$2" ] || echo "rmmod greenstk"
	} | KO=${2:+$KO} RESULTS= LIMIT=2000 MEM=2G "$VM_DIR/run.sh" plan "$k" "$1" $(printf "$built/%s " $BINARIES) >"$1.verdict" 2>&1 || true
}

# What one test said in a guest, without what differs from run to run.
results() { # DIR NAME
	awk -v want="$2" '
		/^# selftests: / { on = $3 == want; next }
		/^(not )?ok [0-9]+ selftests: / { if (on) { sub(/ # time=.*/, ""); sub(/ok [0-9]+/, "ok"); print } on = 0; next }
		on && /^# (not )?ok [0-9]|^# Testing |^# .*pass=|\.\.\. (done|failed|skipped)/' "$1/ktap" |
	sed -E 's/[0-9,.]+ ?(ns|us|ms)\b//g; s/-?[0-9]+ (wp|missing|poison|minor|move) faults?//g; s/\t.*mremap time.*//; s/0x[0-9a-f]+//g'
}

"$VM_DIR/fetch.sh" root "$ROOT"
"$VM_DIR/fetch.sh" source "$K"
with_lock mm-selftests build_tests
mkdir -p "$dir"
guest "$dir/without" ""
guest "$dir/with" module

n=0 bad=0
echo "KTAP version 1"
echo "1..$(($(wc -l <<<"$TESTS") + 1))"
while read -r name _; do
	n=$((n + 1))
	results "$dir/without" "$name" >"$dir/$name.without"
	results "$dir/with" "$name" >"$dir/$name.with"
	passed=$(grep -cE '^# ok |^ok |done$' "$dir/$name.with" || true)
	skipped=$(grep -cE 'SKIP|skipped' "$dir/$name.with" || true)
	if grep -q 'TIMEOUT' "$dir/$name.with"; then why="no end in time"
	elif ! diff -U0 "$dir/$name.without" "$dir/$name.with" >"$dir/$name.diff"; then why="the module changes its results: $dir/$name.diff"
	elif [ "$passed" = 0 ]; then why="no result"
	else why=; fi
	if [ -n "$why" ]; then echo "not ok $n $name # $why"; bad=1
	elif [ "$passed" = "$skipped" ]; then echo "ok $n $name # SKIP by this kernel, with the module and without"
	else echo "ok $n $name # $(wc -l <"$dir/$name.with") results as without the module, $(grep -c '^# not ok\|\.\.\. failed' "$dir/$name.with" || true) failed in both, $skipped skipped"; fi
done <<<"$TESTS"
n=$((n + 1))
if grep -E "not clean|did not end|tainted|rmmod|# vm:" "$dir/with.verdict"; then echo "not ok $n log"; bad=1; else echo "ok $n log"; fi
exit $bad
