#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: kselftest.sh K DIR
# Installs the suites as a kernel's tree would (make -C selftests install) and lets
# the kernel's own runner run them in a guest, from what was installed alone.
. "$(dirname "$0")/lib.sh"

k=$1 dir=$2
rm -rf "$dir/kselftest" && mkdir -p "$dir" && dir=$(cd "$dir" && pwd)
make -s --no-print-directory -C "$TOP/selftests" TARGETS=uapi INSTALL_PATH="$dir/kselftest" CACHE="$CACHE" \
	OUTPUT="$dir/obj" USERLDFLAGS=-static USERCFLAGS="-include $TOP/selftests/patience.h" install >"$dir/install.log" 2>&1 ||
	{ tail "$dir/install.log" >&2; die "make -C selftests install"; }
n=$(wc -l <"$dir/kselftest/kselftest-list.txt")
[ "$n" = "$(ls "$TOP"/selftests/uapi/*_test.c | wc -l)" ] || die "kselftest-list.txt has $n tests"
{
	echo "insmod /vm/greenstk.ko"
	echo "suite 1500 kselftest cd /tmp && GREENSTK_PATIENCE=4 sh /vm/kselftest/run_kselftest.sh"
	echo "rmmod greenstk"
} | SET=kselftest LIMIT=1700 "$VM_DIR/run.sh" plan "$k" "$dir/guest" "$dir/kselftest"
