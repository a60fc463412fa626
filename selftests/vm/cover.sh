#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: cover.sh GREENSTK.KO KTAP
# How much of the module a KCOV run reached: "# pc OFFSET..." lines against the
# places where the compiler planted a call.
. "$(dirname "$0")/lib.sh"
need readelf binutils

awk '
function hex(s,   i, n) { # not every awk has strtonum
	s = tolower(s)
	for (i = 1; i <= length(s); i++) n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
	return n + 0
}
FILENAME == ARGV[1] && /__sanitizer_cov_trace_pc/ && section == ".rela.text" { all[hex($1) + 4] = 1; next }
FILENAME == ARGV[1] && /^Relocation section/ { section = $3; gsub(/[^a-z._]/, "", section); next }
FILENAME == ARGV[2] { if ($4 == "FUNC" && $7 == text) { n++; from[n] = hex($2); size[n] = $3; name[n] = $8 } else if ($2 == ".text") text = $1; next }
/^# # pc / { for (i = 4; i <= NF; i++) seen[hex($i)] = 1 }
END {
	for (i = 1; i <= n; i++) {
		t = h = 0
		for (a in all) if (a + 0 >= from[i] && a + 0 < from[i] + size[i]) { t++; if (a in seen) h++ }
		total += t; hit += h
		if (t) { funcs++; if (h) entered++; else never = never " " name[i] }
		if (t && h < t) part[++np] = sprintf("#   %3d of %3d  %s", h, t, name[i])
	}
	if (!total) { print "# coverage: none (module or kernel without KCOV)"; exit }
	printf "# coverage: %d of %d places (%d %%), %d of %d functions\n", hit, total, 100 * hit / total, entered, funcs
	print "# never entered:" never
	for (i = 1; i <= np; i++) print part[i]
}' <(readelf -rW "$1") <(readelf -SW "$1" | sed -n 's/^ *\[ *\([0-9]*\)\] \(\.text\) .*/\1 \2/p'; readelf -sW "$1") "$2"
