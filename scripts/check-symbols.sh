#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/check-symbols.sh [-u] [LIBRARY]
# The version map, the public headers and the library's dynamic symbols must name the same
# functions. -u rewrites the map from the headers.
set -u -o pipefail
export LC_ALL=C
map=userspace/lib/greenstk.map
# As the compiler sees them: what wears GSTK_API, and the first name before a parenthesis.
declared() {
	(cd include && printf '#include <%s>\n' greenstk.h greenstk/*.h) | ${CC:-gcc} -D_GNU_SOURCE -E -P -Iinclude - |
		tr '\n' ' ' | sed 's/[;{}]/\n/g' | sed -n 's/.*__attribute__ *((visibility("default")))//p' |
		grep -oP '^[^(\[]*?\b\Kgstk_\w+(?=\s*[(\[]|\s*$)' | sort -u
}
mapped() { sed -n 's/^\t\(gstk_[a-z0-9_]*\);$/\1/p' $map | sort -u; }
if [ "${1-}" = -u ]; then
	{
		echo '/* SPDX-License-Identifier: MIT */'
		echo '/* What is public. Written by scripts/check-symbols.sh -u from the headers. */'
		echo 'GREENSTK_0 {'; echo 'global:'
		declared | sed 's/.*/\t&;/'
		echo 'local:'; printf '\t*;\n};\n'
	} >$map.new && { cmp -s $map.new $map && rm $map.new || mv $map.new $map; }
	exit
fi
# Declared, and written next; empty when the library is whole.
pending=""
lib=${1:-build/lib/libgreenstk.so.0} bad=0
exported() { nm -D --defined-only "$lib" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u; }
report() { # message names
	[ -z "$2" ] || { bad=1; echo "$1:"; sed 's/^/  /' <<<"$2"; }
}
report "declared GSTK_API in a header but not in $map (scripts/check-symbols.sh -u)" "$(comm -23 <(declared) <(mapped))"
report "in $map but declared in no header" "$(comm -13 <(declared) <(mapped))"
report "declared public but defined nowhere in the library" \
	"$(comm -23 <(declared) <({ exported; tr ' ' '\n' <<<"$pending"; } | sort -u))"
report "exported but not declared" "$(comm -13 <(declared) <(exported))"
# All the static library defines globally must wear the library's prefix, but for the names that the
# compiler (arch/x86_64/ret.S; DW.ref.* where exceptions pass) and <sys/sdt.h> give; all are hidden.
report "global names of the static library without the prefix gstk_" \
	"$(nm -g --defined-only "${lib%.so.0}.a" 2>/dev/null | awk 'NF == 3 && $3 !~ /^_*gstk_/ && $3 != "__x86_return_thunk" && $3 != "_.stapsdt.base" && $3 !~ /^DW\.ref\./ && $2 != "U" { print $3 }' | sort -u)"
exit $bad
