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
set -u -o pipefail
suite=tests variant=plain limit=120 jobs=2 wrapper=
while getopts s:v:t:j:w: o; do
	case $o in
	s) suite=$OPTARG ;; v) variant=$OPTARG ;; t) limit=$OPTARG ;; j) jobs=$OPTARG ;; w) wrapper=$OPTARG ;;
	*) sed -n '3,13s/^# //p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
RESULTS=${RESULTS:-build/results} LOGS=${LOGS:-build/logs}/$suite.$variant
mkdir -p "$RESULTS" "$LOGS" || exit 2
# Planted aborts must not write gigabytes of windows; a test that wants a core raises the limit.
ulimit -S -c 0
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

# One program, in the background: leaves its report in a file whose name comes out when it is done.
one() { # index command...
	local i=$1 cmd=$2 name log rc t0 t1 p f s
	name=$(basename "${cmd%% *}"); [ "$cmd" = "${cmd%% *}" ] || name+=$(tr -c 'A-Za-z0-9\n' - <<<"_${cmd#* }")
	log=$LOGS/$name.log
	t0=${EPOCHREALTIME/./}
	# shellcheck disable=SC2086
	timeout -k 5 "$limit" $wrapper $cmd >"$log" 2>&1 </dev/null
	rc=$?
	t1=${EPOCHREALTIME/./}
	read -r p f s < <(count "$log" $rc)
	{
		# A line is written whole, so parallel programs do not mix.
		echo "$name $p $f $s" >>"$results"
		local what
		what="$p passed, $s skipped, $(((t1 - t0) / 1000)) ms"
		if [ "$f" = 0 ] && [ "$p" = 0 ]; then
			echo "ok $i $name # SKIP $(grep -m1 -oP '(?<=SKIP).*' "$log" | sed 's/^ *//' || true)"
		elif [ "$f" = 0 ]; then
			echo "ok $i $name # $what"
		else
			[ $rc != 124 ] && [ $rc != 137 ] || echo "# $name: no end after $limit s"
			sed 's/^/#   /' "$log" | grep -v '^#   \(ok\|#  *\(OK\|RUN\) \)' | tail -n 40
			echo "# $name: exit $rc, log $log"
			echo "not ok $i $name # $f failed, $what"
		fi
	} >"$LOGS/.report.$i"
	cat "$LOGS/.report.$i"; rm -f "$LOGS/.report.$i"
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

awk -v n=$# -v name="$suite ($variant)" '
	{ p += $2; f += $3; s += $4 }
	END {
		if (NR != n) { f++; print "# " n - NR " programs left no result" }
		printf "# %s: %d passed, %d failed, %d skipped\n", name, p, f, s
		exit f > 0
	}' "$results"
