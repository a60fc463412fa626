#!/bin/bash
# SPDX-License-Identifier: MIT
# Each public header compiles alone, without warnings, as strict C11 and C++17, with gcc and clang.
set -u
bad=0
cd include || exit 2
# With what careful applications turn on.
strict="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wundef -Wpointer-arith -Wwrite-strings -Werror"
compilers=()
for c in "gcc -std=c11 -xc" "g++ -std=c++17 -xc++" "clang -std=c11 -xc" "clang -std=c++17 -xc++"; do
	command -v "${c%% *}" >/dev/null && compilers+=("$c") || echo "# no ${c%% *} here"
done
# A CPU's own header is assembly of that CPU.
for h in greenstk.h greenstk/*.h; do
	case $h in *-"$(gcc -dumpmachine | cut -d- -f1)".h) ;; *-x86_64.h | *-aarch64.h) continue ;; esac
	for c in "${compilers[@]}"; do
		# shellcheck disable=SC2086
		printf '#include <%s>\n#include <%s>\n' "$h" "$h" |
			$c -I. $strict -fsyntax-only - || { bad=1; echo "$h: not with $c"; }
	done
done
for c in "g++ -std=c++17 -xc++" "clang -std=c++17 -xc++"; do
	command -v "${c%% *}" >/dev/null || continue
	# shellcheck disable=SC2086
	printf '#include <greenstk.hpp>\n#include <greenstk.hpp>\n' | $c -I. $strict -fsyntax-only - ||
		{ bad=1; echo "greenstk.hpp: not with $c"; }
done
exit $bad
