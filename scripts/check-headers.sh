#!/bin/bash
# SPDX-License-Identifier: MIT
# Each public header compiles alone, without warnings, as strict C11 and C++17, with gcc and clang.
set -u
bad=0
cd include || exit 2
compilers=()
for c in "gcc -std=c11 -xc" "g++ -std=c++17 -xc++" "clang -std=c11 -xc" "clang -std=c++17 -xc++"; do
	command -v "${c%% *}" >/dev/null && compilers+=("$c") || echo "# no ${c%% *} here"
done
for h in greenstk.h greenstk/*.h; do
	for c in "${compilers[@]}"; do
		# shellcheck disable=SC2086
		printf '#include <%s>\n#include <%s>\n' "$h" "$h" |
			$c -I. -Wall -Wextra -Werror -fsyntax-only - || { bad=1; echo "$h: not with $c"; }
	done
done
exit $bad
