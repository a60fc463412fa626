#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: selftest.sh K DIR
# Does the harness see what it exists to see? Boots a guest per case; a case
# passes when the verdict is the expected one and names the expected reason. On a
# debug kernel (K=6.12-debug) real faults by LKDTM come on top.
. "$(dirname "$0")/lib.sh"

unset RESULTS
k=$1 dir=$2 n=0 bad=0
mkdir -p "$dir"
cases() { cat <<'END'
good          | ok              | suite 20 t/a echo hello\nsuite 20 t/b echo 1..2; echo ok 1; echo ok 2
exit-1        | failed: not ok  | suite 20 t/a exit 1
killed        | exit=139        | suite 20 t/a kill -SEGV $$
sub-not-ok    | failed t/a      | suite 20 t/a echo 1..2; echo ok 1 x; echo not ok 2 y
missing       | gave 1          | suite 20 t/a echo 1..2; echo ok 1 x
skip          | unexpected skip | suite 20 t/a exit 4
sub-skip      | unexpected skip | suite 20 t/a echo 1..1; echo "ok 1 x # SKIP none"
hang          | TIMEOUT         | suite 2 t/a sleep 1000\nsuite 20 t/b true
guest-hang    | did not end     | suite 1000 t/a sleep 1000
power-off     | did not report  | suite 20 t/a poweroff -f\nsuite 20 t/b true
reset         | did not report  | suite 20 t/a echo b >/proc/sysrq-trigger; sleep 5
panic         | not clean       | suite 20 t/a echo c >/proc/sysrq-trigger; sleep 5
BUG           | not clean       | suite 20 t/a echo "<1>BUG: planted" >/dev/kmsg
WARN          | not clean       | suite 20 t/a echo "<4>WARNING: CPU: 0 PID: 1 at mm/planted.c:1 f+0x0/0x1" >/dev/kmsg
lockdep       | not clean       | suite 20 t/a echo "<4>WARNING: possible circular locking dependency detected" >/dev/kmsg
rss           | not clean       | suite 20 t/a echo "<1>BUG: Bad rss-counter state mm:0 type:MM_FILEPAGES val:1" >/dev/kmsg
bad-page      | not clean       | suite 20 t/a echo "<1>BUG: Bad page map in process x" >/dev/kmsg
kasan         | not clean       | suite 20 t/a echo "<3>BUG: KASAN: use-after-free in f" >/dev/kmsg
leak          | not clean       | suite 20 t/a echo "<3>unreferenced object 0xffff (size 64):" >/dev/kmsg
taint         | tainted         | suite 20 t/a echo 512 >/proc/sys/kernel/tainted
forged        | did not report  | suite 20 t/a echo "vm: exit 0 0123456789abcdef" >/dev/ttyS1; poweroff -f
no-module     | No such file    | insmod /vm/none.ko\nsuite 20 t/a true
left-loaded   | rmmod           | insmod /lib/modules/loop.ko\nsuite 20 t/a dd if=/dev/zero of=/tmp/i bs=64k count=1; losetup /dev/loop0 /tmp/i\nrmmod loop
empty         | no results      | nothing
END
	[ "$k" != "${k%-debug}" ] || return 0
	local crash=/sys/kernel/debug/provoke-crash/DIRECT
	cat <<END
real-WARN     | not clean       | suite 30 t/a echo WARNING >$crash
real-BUG      | not clean       | suite 30 t/a echo BUG >$crash
real-KASAN    | not clean       | suite 30 t/a echo READ_AFTER_FREE >$crash
real-list     | not clean       | suite 30 t/a echo CORRUPT_LIST_ADD >$crash
END
}

while IFS='|' read -r name want plan; do
	name=$(echo $name) want=$(echo "$want" | sed 's/^ *//; s/ *$//')
	plan=${plan# }
	n=$((n + 1))
	[ "$plan" = nothing ] && plan=
	limit=60
	[ "$name" = guest-hang ] && limit=12
	st=0
	printf '%b\n' "${plan//\$\$/\$\$}" | LIMIT=$limit "$VM_DIR/run.sh" plan "$k" "$dir/$name" >"$dir/$name.out" 2>&1 || st=$?
	if { [ "$want" = ok ] && [ $st = 0 ]; } || { [ "$want" != ok ] && [ $st != 0 ] && grep -qF -- "$want" "$dir/$name.out"; }; then
		echo "ok $n $name"
	else
		echo "not ok $n $name: wanted '$want', status $st"
		sed 's/^/#   /' "$dir/$name.out"
		bad=1
	fi
done < <(cases)
echo "1..$n"
exit $bad
