#!/bin/bash
# SPDX-License-Identifier: MIT
# The C code shown in README.md, Documentation/ and hand-written man pages compiles. Blocks: ```c in Markdown; .EX to .EE
# in man pages, and what a tab indents in .rst, when they begin with #include. Not those with headers of the library's own.
set -u -o pipefail
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
awk -v d="$dir" '
	FNR == 1 { on = 0 }
	FILENAME ~ /\.rst$/ {
		if (!on && /^\t#include </) { f = d "/" ++n ".c"; on = 1; printf "#line %d \"%s\"\n", FNR, FILENAME >f }
		if (/^[^\t]/) on = 0
		if (on) print >f
		next
	}
	/^```c$/ { f = d "/" ++n ".c"; on = 1; printf "#line %d \"%s\"\n", FNR + 1, FILENAME >f; next }
	/^```$/ { on = 0 }
	/^\.EX/ { wait = 1; next }
	/^\.EE/ { on = 0; wait = 0 }
	wait && !on { wait = 0; if (/^#include/) { f = d "/" ++n ".c"; on = 1; printf "#line %d \"%s\"\n", FNR, FILENAME >f } }
	on { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); sub(/^\\&/, ""); print >f }
' README.md Documentation/*.rst $(ls Documentation/man/*.[1-9] 2>/dev/null) || exit 2
bad=0 n=0
for f in "$dir"/*.c; do
	[ -e "$f" ] || continue
	grep '#include "' "$f" >/dev/null && continue
	n=$((n + 1))
	${CC:-gcc} -std=gnu11 -Iinclude -Iinclude/uapi -Wall -Wextra -Wno-unused-parameter -Wno-unused-function -Werror -fsyntax-only "$f" || bad=1
done
[ "$n" -gt 0 ] || { echo "no code found"; exit 1; }
exit $bad
