#!/bin/bash
# SPDX-License-Identifier: MIT
# The C code shown in README.md and in hand-written man pages compiles. Blocks: ```c in Markdown;
# .EX to .EE in man pages, when they begin with #include.
set -u -o pipefail
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
awk -v d="$dir" '
	FNR == 1 { on = 0 }
	/^```c$/ { f = d "/" ++n ".c"; on = 1; printf "#line %d \"%s\"\n", FNR + 1, FILENAME >f; next }
	/^```$/ { on = 0 }
	/^\.EX/ { wait = 1; next }
	/^\.EE/ { on = 0; wait = 0 }
	wait && !on { wait = 0; if (/^#include/) { f = d "/" ++n ".c"; on = 1; printf "#line %d \"%s\"\n", FNR, FILENAME >f } }
	on { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); sub(/^\\&/, ""); print >f }
' README.md $(ls Documentation/man/*.[1-9] 2>/dev/null) || exit 2
bad=0 n=0
for f in "$dir"/*.c; do
	[ -e "$f" ] || continue
	n=$((n + 1))
	${CC:-gcc} -std=gnu11 -Iinclude -Wall -Wextra -Wno-unused-parameter -Wno-unused-function -Werror -fsyntax-only "$f" || bad=1
done
[ "$n" -gt 0 ] || { echo "no code found"; exit 1; }
exit $bad
