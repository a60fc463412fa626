#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: verdict.sh K DIR NONCE QEMU-STATUS
# Judges one guest from DIR/ktap.log and DIR/console.log; silent trust in
# neither: the guest must have said the nonce, every suite must have passed, no
# result may be missing, no skip unexpected, and the kernel's log clean.
. "$(dirname "$0")/lib.sh"

k=$1 dir=$2 nonce=$3 status=$4 bad=0
fail() { echo "# $k: $*"; bad=1; }

tr -d '\r' <"$dir/ktap.log" >"$dir/ktap" 2>/dev/null || true
tr -d '\r' <"$dir/console.log" | sed 's/\x1b[^a-zA-Z]*[a-zA-Z]//g' >"$dir/dmesg" 2>/dev/null || true

# Sub-results: count what each suite planned and delivered, collect skips.
results=
[ -z "${RESULTS:-}" ] || { mkdir -p "$RESULTS"; results=$RESULTS/${SET:-uapi}.$k; : >"$results"; }
awk -v k="$k" -v results="$results" -v skips="$VM_DIR/skips.list" '
BEGIN { while ((getline l < skips) > 0) { if (l ~ /^#/ || l == "") continue; split(l, a, " "); if (a[1] == "*" || a[1] == k) ok[a[2]] = 1 } }
function expected(s, x) { for (x in ok) if (index(s, x)) return 1; return 0 }
/^# selftests: / { suite = $3; planned = -1; got = 0; next }
/^# (#? ?)?1\.\.[0-9]+/ { if (planned < 0) { sub(/^.*1\.\./, ""); planned = $1 + 0 } next }
/^# ok [0-9]/ { got++; all++; if (/# SKIP/) skip[suite]++; else pass[suite]++ }
/^# not ok [0-9]/ { got++; all++; fail[suite]++; print "failed " suite ": " substr($0, 3) }
/^# ok [0-9].*# SKIP/ { if (!expected(suite " " $0)) print "unexpected skip in " suite ": " substr($0, 3) }
/^(not )?ok [0-9]+ selftests: / {
	if (/^not/) print "failed: " $0
	else if (/# SKIP/) { if (!expected($0)) print "unexpected skip: " $0 }
	else if (planned >= 0 && got != planned) print suite " planned " planned " results and gave " got
	seen[suite]
	if (!got && /# SKIP/) skip[suite]++
	else if (/^not/ && !fail[suite]) fail[suite]++
	else if (!got && !/^not/) pass[suite]++
	n++
}
/^1\.\.[0-9]+$/ { sub(/^1\.\./, ""); suites = $1 + 0 }
/^# vm: / { print }
/^# kmemleak: / { print }
END {
	if (results != "") for (s in seen) print s, pass[s] + 0, fail[s] + 0, skip[s] + 0 > results
	if (!n) print "no results"
	if (n != suites) print "ran " n + 0 " suites of " suites + 0
	printf "%d %d\n", n, all > "/dev/stderr"
}' "$dir/ktap" >"$dir/faults" 2>"$dir/counts"
while read -r line; do fail "$line"; done <"$dir/faults"

grep -nE -f <(grep -vE '^#|^$' "$VM_DIR/dmesg.deny") "$dir/dmesg" |
	{ grep -vE -f <(grep -vE '^#|^$' "$VM_DIR/dmesg.allow") || true; } >"$dir/dmesg.bad" || true
if [ -s "$dir/dmesg.bad" ]; then
	fail "the kernel's log is not clean ($dir/dmesg):"
	head -5 "$dir/dmesg.bad" | sed 's/^/#   /'
	first=$(head -1 "$dir/dmesg.bad" | cut -d: -f1)
	echo "#   in: $(head -"$first" "$dir/dmesg" | grep -o 'greenstk-vm: suite .*' | tail -1)"
fi

if [ "$status" = 124 ] || [ "$status" = 137 ]; then
	fail "the guest did not end in time"
elif [ "$status" != 0 ]; then
	fail "qemu ended with $status"
fi
grep -qx "vm: exit 0 $nonce" "$dir/ktap" || fail "the guest did not report success"
# What the suites did not notice counts as a failure of its own.
[ $bad = 0 ] || [ -z "$results" ] || echo "guest 0 1 0" >>"$results"
[ $bad = 0 ] || { tail -3 "$dir/dmesg" | sed 's/^/#   last: /'; }
read -r suites tests <"$dir/counts"
word="ok"; [ $bad = 0 ] || word="not ok"
echo "$word - $k: $suites suites, $tests tests, kernel $(grep -om1 'Linux version [^ ]*' "$dir/dmesg" | cut -d' ' -f3), $(cat "$dir/seconds" 2>/dev/null || echo '?') s"
exit $bad
