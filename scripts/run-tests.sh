#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/run-tests.sh [-s SUITE] [-v VARIANT] [-t SECONDS] [-j JOBS] [-w WRAPPER] PROGRAM...
# Runs test programs and reports in KTAP. PROGRAM may carry arguments ("prog --seed 1").
#   -t  time limit of each program (default 120); it and what it started are killed then
#   -j  how many at a time (default 2)
#   -w  a command put in front of each program ("valgrind -q")
# A program that prints TAP counts with its test cases: a plan that is not fulfilled, or a bad exit
# without a failed case, counts as one failure more. One that prints none is one case: exit 0
# passed, 4 skipped. The counts go to $RESULTS/SUITE.VARIANT (name passed failed skipped), the
# output to $LOGS/SUITE.VARIANT/name.log.
# AGAIN=n: a program in which a check failed, and nothing worse (a crash, a time limit, a sanitizer, a
# broken plan), runs n times more at the end, with no other of its suite beside it. If it passes each time it counts as
# passed and is marked "flaky"; the first output stays in name.first.log.
set -u -o pipefail
suite=tests variant=plain limit=120 jobs=2 wrapper=
while getopts s:v:t:j:w: o; do
	case $o in
	s) suite=$OPTARG ;; v) variant=$OPTARG ;; t) limit=$OPTARG ;; j) jobs=$OPTARG ;; w) wrapper=$OPTARG ;;
	*) sed -n '3,16s/^# //p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
AGAIN=${AGAIN:-0} RESULTS=${RESULTS:-build/results} LOGS=${LOGS:-build/logs}/$suite.$variant
mkdir -p "$RESULTS" "$LOGS" && rm -f "$LOGS"/.again.* || exit 2
# Planted aborts must not write gigabytes of windows; a test that wants a core raises the limit.
ulimit -S -c 0
# The harness's 30 seconds a case are few for an emulator on a busy machine (selftests/patience.h).
export GREENSTK_PATIENCE=${GREENSTK_PATIENCE:-4}
# Nobody may take the counts of an earlier run for this one's.
results=$RESULTS/$suite.$variant
: >"$results" || exit 2

# Reads a log; prints "passed failed skipped".
count() { # log exit-code
	awk -v rc="$2" '
		/^1\.\.[0-9]+/ && !tap  { sub(/^1\.\./, ""); plan = $1 + 0; tap = 1; next }
		/^ok [0-9]+/            { seen++; if (/# *SKIP/) skip++; else pass++; next }
		/^not ok [0-9]+/        { seen++; fail++; next }
		END {
			if (!tap && !seen)      { if (rc == 0) pass = 1; else if (rc == 4) skip = 1; else fail = 1 }
			else if (seen < plan && !(rc == 4 && !seen)) fail += plan - seen
			else if (rc == 4 && !seen) skip = plan ? plan : 1
			else if (rc != 0 && rc != 4 && !fail) fail = 1
			print pass + 0, fail + 0, skip + 0
		}' "$1"
}

# One program, once: sets rc, p, f, s and what.
run() { # command
	local t0 t1
	t0=${EPOCHREALTIME/./}
	# shellcheck disable=SC2086
	timeout -k 5 "$limit" $wrapper $1 >"$log" 2>&1 </dev/null
	rc=$?
	t1=${EPOCHREALTIME/./}
	read -r p f s < <(count "$log" $rc)
	what="$p passed, $s skipped, $(((t1 - t0) / 1000)) ms"
}

# Of the program that has just run, and failed: did each failed case say which check it was, and none worse?
only_checks() {
	[ "$rc" = 1 ] && [ "$f" = "$(grep -c '^not ok [0-9]' "$log")" ] &&
		[ "$f" -le "$(grep -cE '^# [^ ]+:[0-9]+:( not true| .* is |[A-Za-z0-9_]+:Expected)' "$log")" ] &&
		! grep -qE 'by signal|by timeout|Sanitizer|runtime error:|^==[0-9]+==' "$log"
}

report() { # index
	# A line is written whole, so parallel programs do not mix.
	echo "$name $p $f $s${flaky:+ flaky}" >>"$results"
	if [ "$f" = 0 ] && [ "$p" = 0 ]; then
		echo "ok $1 $name # SKIP $(grep -m1 -oP '(?<=SKIP).*' "$log" | sed 's/^ *//' || true)"
	elif [ "$f" = 0 ]; then
		echo "ok $1 $name # ${flaky:+flaky, }$what"
	else
		[ $rc != 124 ] && [ $rc != 137 ] || echo "# $name: no end after $limit s"
		failures "$log"
		echo "# $name: exit $rc, log $log"
		echo "not ok $1 $name # $f failed, $what"
	fi
}

failures() { sed 's/^/#   /' "$1" | grep -v '^#   \(ok\|#  *\(OK\|RUN\) \)' | tail -n 40; }

# Sets name and log.
name_of() { # command
	name=$(basename "${1%% *}"); [ "$1" = "${1%% *}" ] || name+=$(tr -c 'A-Za-z0-9\n' - <<<"_${1#* }")
	log=$LOGS/$name.log
}

# In the background: its report comes out when it is done, or is left to again().
one() { # index command
	local flaky='' name log rc p f s what
	name_of "$2"; run "$2"
	if [ "$f" != 0 ] && [ "$AGAIN" -gt 0 ] && only_checks; then
		mv "$log" "${log%.log}.first.log"; : >"$LOGS/.again.$1"
		return
	fi
	report "$1" >"$LOGS/.report.$1"
	cat "$LOGS/.report.$1"; rm -f "$LOGS/.report.$1"
}

again() { # index command
	local flaky=1 name log rc p f s what k
	rm "$LOGS/.again.$1"
	name_of "$2"
	echo "# $name: a check failed (${log%.log}.first.log); $AGAIN times more, alone"
	failures "${log%.log}.first.log"
	for ((k = 0; k < AGAIN; k++)); do
		run "$2"
		[ "$f" = 0 ] || { flaky=; break; }
	done
	report "$1"
}

echo "KTAP version 1"
echo "# $suite ($variant)"
echo "1..$#"
i=0
for cmd; do
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
	i=$((i + 1))
	one $i "$cmd" &
done
wait
i=0
for cmd; do
	i=$((i + 1))
	[ ! -e "$LOGS/.again.$i" ] || again $i "$cmd"
done

awk -v n=$# -v name="$suite ($variant)" '
	{ p += $2; f += $3; s += $4; if ($5) flaky++ }
	END {
		if (flaky) print "# " flaky " flaky: failed a check, then passed alone"
		if (NR != n) { f++; print "# " n - NR " programs left no result" }
		printf "# %s: %d passed, %d failed, %d skipped\n", name, p, f, s
		exit f > 0
	}' "$results"
