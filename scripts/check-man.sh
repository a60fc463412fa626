#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/check-man.sh DIR
# Every public function is on the NAME line of exactly one page, every page names only what there
# is, every tool that is installed has a page, a page written by hand has all sections, each function in its
# synopsis and each error that the headers name, and mandoc has nothing to say.
set -u -o pipefail
export LC_ALL=C
bad=0
report() { [ -z "$2" ] || { bad=1; echo "$1:"; sed 's/^/  /' <<<"$2"; }; }
pages=("$1"/*.3)
public() { sed -n 's/^\t\(gstk_[a-z0-9_]*\);$/\1/p' userspace/lib/greenstk.map | sort -u; }
named() { scripts/man-names.sh "${pages[@]}" | grep '^gstk_'; }
report "no man page names" "$(comm -23 <(public) <(named | sort -u))"
report "named twice" "$(named | sort | uniq -d)"
report "a man page names what no header has" "$(named | while read -r n; do grep -qrw -- "$n" include || echo "$n"; done)"
# What a call returns is said: by a section in a page written by hand, by the header's comment elsewhere.
for p in Documentation/man/*.3; do
	[ -e "$p" ] || continue
	for s in NAME SYNOPSIS DESCRIPTION "RETURN VALUE" "SEE ALSO"; do
		grep -q "^\.SH \"\?$s" "$p" || report "no section $s" "$p"
	done
	report "functions that its header does not declare" "$(scripts/man-names.sh "$p" | grep '^gstk_' | while read -r n; do
		grep -qrw -- "$n" include || echo "$p: $n"; done)"
	report "functions of its NAME line that its SYNOPSIS leaves out" "$(scripts/man-names.sh "$p" | grep '^gstk_' | while read -r n; do
		sed -n '/^\.SH SYNOPSIS/,/^\.SH DESCRIPTION/p' "$p" | grep -qw -- "$n" || echo "$p: $n"; done)"
	report "errors of the headers that it leaves out" "$(scripts/man-names.sh "$p" | grep '^gstk_' | while read -r n; do
		perl -0ne 'while (m{/\*\*(?!<)((?:(?!\*/).)*)\*/\s*((?:GSTK_API[^;]*;[^\n]*\n)+)}sg) { my ($c, $d) = ($1, $2); next unless $d =~ /\b'"$n"'\(/; print "$1\n" while $c =~ /-(E[A-Z]+)\b/g }' include/greenstk/*.h |
		sort -u | while read -r e; do grep -qw -- "$e" "$p" || echo "$p: $n: $e"; done; done)"
done
for t in userspace/tools/*.c userspace/tools/gstk-*; do
	[ -f "$t" ] || continue
	t=$(basename "$t" .c)
	case $t in gstk-*|gstk_*) [ -e "Documentation/man/${t//_/-}.1" ] || report "no man page" "${t//_/-}(1)" ;; esac
done
# A variable that is misspelt is told by the list of those there are.
report "variables that greenstk(7) and api/misspelt.c do not both have" "$(diff \
	<(grep -o 'GREENSTK_[A-Z_]*' Documentation/man/greenstk.7 | sort -u) \
	<(sed -n '/^static const char \*const known/,/^};/p' userspace/lib/api/misspelt.c | grep -o '"[A-Z_]*"' | sed 's/"\(.*\)"/GREENSTK_\1/' | sort -u))"
if command -v mandoc >/dev/null; then
	shopt -s nullglob
	out=$(mandoc -Tlint -Wwarning "${pages[@]}" Documentation/man/*.[1-9] 2>&1 | grep -v 'referenced manual not found') && report "mandoc" "$out"
fi
exit $bad
