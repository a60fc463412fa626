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
# Late once, then never; once wrong, later worse; wrong as often as it is run.
plant late    "echo 1..2; echo ok 1 a; [ -e $dir/been ] && echo ok 2 b && exit; : >$dir/been; echo '# a_test.c:7: x() is 1, 0 is 0' >&2; echo not ok 2 b; exit 1"
plant worse   "echo 1..1; echo '# a_test.c:7: not true: x'; echo not ok 1 b; [ ! -e $dir/worse.been ] || kill -SEGV \$\$; : >$dir/worse.been; exit 1"
plant wrong   "echo 1..1; echo '# a_test.c:7: not true: x'; echo not ok 1 b; exit 1"
plant reports "echo 1..1; echo '# a_test.c:7: not true: x'; echo 'WARNING: ThreadSanitizer: data race'; echo not ok 1 b; exit 1"
plant signals "echo 1..2; echo '# a_test.c:7: not true: x'; echo not ok 1 b; echo not ok 2 c; exit 1"
n=0 bad=0
export AGAIN=0
expect() { # what expected-result expected-status
	n=$((n + 1))
	RESULTS=$dir/results LOGS=$dir/logs scripts/run-tests.sh -s planted -t 2 "$dir/$1" >"$dir/out" 2>&1
	local rc=$? got
	got=$(cat "$dir/results/planted.plain")
	if [ "$got" = "$1 $2" ] && [ $((rc != 0)) = "$3" ]; then echo "ok $n $1 counts $2"
	else bad=1; echo "# got \"$got\", exit $rc"; cat "$dir/out"; echo "not ok $n $1 counts $2"; fi
}
echo "TAP version 13"; echo "1..18"
expect good     "1 0 1" 0
expect failing  "1 1 0" 1
expect crashing "1 2 0" 1
expect lying    "1 1 0" 1
expect hanging  "1 1 0" 1
expect silent   "0 1 0" 1
expect plain    "1 0 0" 0
expect skipping "0 0 1" 0
expect harness  "1 2 1" 1
export AGAIN=2
expect late     "2 0 0 flaky" 0
expect worse    "0 1 0" 1
expect wrong    "0 1 0" 1
expect reports  "0 1 0" 1
expect signals  "0 2 0" 1
expect harness  "1 2 1" 1
export AGAIN=0
# A wrapper that fails the program must not be overlooked, and totals add up over suites.
RESULTS=$dir/results LOGS=$dir/logs scripts/run-tests.sh -s wrapped -w false "$dir/good" >/dev/null 2>&1 &&
	{ bad=1; echo "not ok 16 a failing wrapper fails"; } || echo "ok 16 a failing wrapper fails"
printf 'a 3 0 0\nb 4 2 1\n' >"$dir/results/planted.plain"; rm "$dir/results/wrapped.plain"
printf 'c 1 0 0\n' >"$dir/results/other.plain"
last=$(scripts/summary.sh "$dir/results" | tail -n 1)
[ "$last" = "8 passed, 2 failed" ] && echo "ok 17 totals add up" || { bad=1; echo "# $last"; echo "not ok 17 totals add up"; }
printf 'd 1 0 0 flaky\ne 1 0 0 flaky\n' >"$dir/results/other.plain"
told() { FLAKY_MAX=$1 scripts/summary.sh "$dir/results" | tail -n 2 | paste -sd /; }
last=$(told 2) many=$(told 1) say="2 flaky: failed a check, then passed alone"
[ "$last $many" = "$say/9 passed, 2 failed $say; too many/9 passed, 4 failed" ] && echo "ok 18 few are flaky" ||
	{ bad=1; echo "# $last $many"; echo "not ok 18 few are flaky"; }
exit $bad
