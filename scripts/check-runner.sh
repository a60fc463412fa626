#!/bin/bash
# SPDX-License-Identifier: MIT
# The test runner must see what goes wrong: planted failures of each kind, and the counts of each.
set -u
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$(dirname "$0")/.." || exit 2
plant() { printf '#!/bin/bash\n%s\n' "$2" >"$dir/$1"; chmod +x "$dir/$1"; }
plant good       'echo 1..2; echo ok 1 a; echo "ok 2 b # SKIP no such thing"'
plant failing    'echo 1..2; echo ok 1 a; echo not ok 2 b; exit 1'
plant crashing   'echo 1..3; echo ok 1 a; kill -SEGV $$'
plant lying      'echo 1..1; echo ok 1 a; exit 3'
plant hanging    'echo 1..2; echo ok 1 a; sleep 60'
plant silent     'exit 1'
plant plain      'exit 0'
plant skipping   'echo no device; exit 4'
cat >"$dir/harness.c" <<'C'
#include "kselftest_harness.h"
TEST(holds) { ASSERT_EQ(1, 1); }
TEST(does_not_hold) { ASSERT_EQ(1, 2); }
TEST(crashes) { raise(SIGSEGV); }
TEST(skips) { SKIP(return, "no such thing"); }
TEST_HARNESS_MAIN
C
${CC:-gcc} -w -D_GNU_SOURCE -isystem "${KSELFTEST_DIR:-build/cache/kselftest}" -o "$dir/harness" "$dir/harness.c" || exit 1
n=0 bad=0
expect() { # what expected-result expected-status
	n=$((n + 1))
	RESULTS=$dir/results LOGS=$dir/logs scripts/run-tests.sh -s planted -t 2 "$dir/$1" >"$dir/out" 2>&1
	local rc=$? got
	got=$(cat "$dir/results/planted.plain")
	if [ "$got" = "$1 $2" ] && [ $((rc != 0)) = "$3" ]; then echo "ok $n $1 counts $2"
	else bad=1; echo "# got \"$got\", exit $rc"; cat "$dir/out"; echo "not ok $n $1 counts $2"; fi
}
echo "TAP version 13"; echo "1..11"
expect good     "1 0 1" 0
expect failing  "1 1 0" 1
expect crashing "1 2 0" 1
expect lying    "1 1 0" 1
expect hanging  "1 1 0" 1
expect silent   "0 1 0" 1
expect plain    "1 0 0" 0
expect skipping "0 0 1" 0
expect harness  "1 2 1" 1
# A wrapper that fails the program must not be overlooked, and totals add up over suites.
n=10; RESULTS=$dir/results LOGS=$dir/logs scripts/run-tests.sh -s wrapped -w false "$dir/good" >/dev/null 2>&1 &&
	{ bad=1; echo "not ok 10 a failing wrapper fails"; } || echo "ok 10 a failing wrapper fails"
printf 'a 3 0 0\nb 4 2 1\n' >"$dir/results/planted.plain"; rm "$dir/results/wrapped.plain"
printf 'c 1 0 0\n' >"$dir/results/other.plain"
last=$(scripts/summary.sh "$dir/results" | tail -n 1)
[ "$last" = "8 passed, 2 failed" ] && echo "ok 11 totals add up" || { bad=1; echo "# $last"; echo "not ok 11 totals add up"; }
exit $bad
