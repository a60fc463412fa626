#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/man-names.sh PAGE...
# Prints the names that the NAME sections of man pages (man or mdoc macros) claim.
awk '
	/^\.S[Hh]/ { in_name = ($2 ~ /^"?NAME"?$/) ; next }
	in_name && /^\.Nm/ { gsub(/,/, " "); for (i = 2; i <= NF; i++) print $i; next }
	in_name && /^\.Nd/ { next }
	in_name { sub(/ (\\-|\\\(em|-) .*/, ""); gsub(/[,\\]/, " "); for (i = 1; i <= NF; i++) if ($i !~ /^\./) print $i }
' "$@"
