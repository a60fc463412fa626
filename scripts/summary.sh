#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/summary.sh RESULTS-DIR
# One line a suite, then "N passed, N failed": test cases, counted from what the runs left behind. Programs
# that passed at a further attempt only are listed; more than $FLAKY_MAX (3) of them are a failure.
set -u
shopt -s nullglob
files=("$1"/*)
[ ${#files[@]} -gt 0 ] || { echo "no test has run"; echo "0 passed, 0 failed"; exit 1; }
for f in "${files[@]}"; do
	awk -v name="${f##*/}" '{ p += $2; f += $3; s += $4; if ($3) bad = bad " " $1; if ($5) bad = bad " " $1 "(flaky)" }
		END { if (!NR) { f++; bad = " (left no result)" }
		      printf "%-34s %6d passed %4d failed %4d skipped%s\n", name, p, f, s, bad }' "$f"
done | awk -v max="${FLAKY_MAX:-3}" '{ print; p += $2; f += $4; s += $6; n += gsub(/\(flaky\)/, "") }
	END { if (s) printf "%d skipped\n", s
	      if (n) printf "%d flaky: failed a check, then passed alone%s\n", n, (n > max ? "; too many" : "")
	      if (n > max) f += n
	      printf "%d passed, %d failed\n", p, f; exit f > 0 }'
