#!/bin/bash
# SPDX-License-Identifier: MIT
# Every tracked file: a licence line of the right kind, no path of somebody's machine, tabs where
# the house uses tabs. Prints a warning (no failure) for files past 600 lines.
set -u
bad=0
files() { git ls-files -co --exclude-standard 2>/dev/null || find . -type f -printf '%P\n' | grep -v '^build/'; }
while read -r f; do
	[ -f "$f" ] || continue
	want=
	case $f in
	LICENSES/*|*.md|.gitignore|.gitattributes|*.txt|*.json|*.csv|*.tsv|*.config|*.patch|*.snap|*.bin|*.resp|*.allow|*.deny|*.list) ;;
	include/uapi/*) want='GPL-2\.0\S* WITH Linux-syscall-note' ;;
	kmod/*|Kbuild) want='\(GPL-2\.0\|.*MIT\)' ;;
	*) want='MIT' ;;
	esac
	if [ -n "$want" ] && [ -s "$f" ] && ! head -n 5 "$f" | grep -q "SPDX-License-Identifier: (\?$want"; then
		echo "$f: no SPDX line with $want"; bad=1
	fi
	case $f in
	*.[chS]|*.cc|*.sh|.ci/run)
		out=$(grep -nP '[ \t]+$' "$f" | head -n 3)
		[ -z "$out" ] || { echo "$f: white space at the end of a line: $out"; bad=1; } ;;
	esac
	case $f in
	*.sh|.ci/run)
		[ "$(head -c 2 "$f")" != '#!' ] || [ -x "$f" ] || { echo "$f: not executable"; bad=1; } ;;
	esac
	case $f in
	*.[ch]|*.cc)
		out=$(grep -nP '^ {8}(?! ?\*)(?! *\\$)' "$f" | head -n 3)
		[ -z "$out" ] || { echo "$f: spaces where the house has tabs (make format FILES=$f): $out"; bad=1; } ;;
	esac
	case $f in
	*.[chS]|*.cc|*.sh)
		n=$(wc -l <"$f"); [ "$n" -le 600 ] || echo "# warning: $f has $n lines: which two nouns are in there?" ;;
	esac
done < <(files)
out=$(files | grep -v '^scripts/check-tree\.sh$' | xargs -d '\n' grep -nIE '(^|[^A-Za-z0-9._$~-])/(root|home|work|Users)/[A-Za-z0-9_.]' 2>/dev/null)
[ -z "$out" ] || { echo "paths of one machine:"; echo "$out"; bad=1; }
exit $bad
