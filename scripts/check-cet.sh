#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/check-cet.sh [BUILD-DIR]
# What ctx.h says of checked branch targets and shadow stacks: our assembly declares the first and not the second,
# so a program linked with the library keeps IBT (aarch64: BTI) and never gets a shadow stack from glibc; and each
# place that is jumped to through a register is a landing pad.
set -u -o pipefail
O=${1:-build} bad=0
CC=${CC:-gcc}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
complain() { echo "$*"; bad=1; }
features() { readelf -nW "$1" 2>/dev/null | sed -n 's/.*\(x86\|AArch64\) feature: //p'; }

shopt -s nullglob
asm=("$O"/obj/lib/arch/*/*.S.o)
[ ${#asm[@]} -gt 0 ] || { echo "no assembly in $O/obj/lib/arch: build first"; exit 2; }
case $($CC -dumpmachine) in
x86_64-*) want=IBT both="IBT, SHSTK" flags=-fcf-protection=full pad=endbr64 jump='jmp +\*%rcx$' stop=int3 ;;
aarch64-*) want=BTI both="BTI, PAC" flags=-mbranch-protection=standard pad='hint\t#36|bti\tj' jump='br\tx16$' stop=brk ;;
*) echo "SKIP neither x86-64 nor aarch64"; exit 4 ;;
esac

for o in "${asm[@]}"; do
	[ "$(features "$o")" = "$want" ] || complain "$o declares '$(features "$o")', not '$want'"
	# Fresh and suspended are markers for unwinders, before the place itself; ontop_start is jumped to directly.
	objdump -d --no-show-raw-insn "$o" | awk -v pad="$pad|bti\tc|paciasp" -v o="$o" '
		/^[0-9a-f]+ <.*>:$/ { name = $2; next }
		name != "" && NF { if (name !~ /_(fresh|suspended|thunk)>:|ontop_start>:/ && $0 !~ pad) { print o ": " name " is no landing pad"; bad = 1 }
			name = "" }
		END { exit bad }' || bad=1
done

# Linked together, only what all declare is left.
echo 'int user(void) { return 0; } __attribute__((visibility("hidden"))) void *gstk__then_back;' >"$dir/user.c"
$CC $flags -fPIC -c -o "$dir/user.o" "$dir/user.c" && $CC -shared -nostdlib -o "$dir/alone.so" "$dir/user.o" &&
	$CC -shared -nostdlib -o "$dir/with.so" "$dir/user.o" "${asm[@]}" || exit 2
[ "$(features "$dir/alone.so")" = "$both" ] || complain "this check sees nothing: '$both' expected of $flags, not '$(features "$dir/alone.so")'"
[ "$(features "$dir/with.so")" = "$want" ] || complain "linked with our assembly: '$(features "$dir/with.so")', not '$want'"

# The inlined switch lands in the program's own code.
cat >"$dir/inline.c" <<'EOF'
#include <greenstk/ctx.h>
uintptr_t over(struct gstk_ctx *from, struct gstk_ctx *to) { return gstk_ctx_switch_inline(from, to, 1); }
EOF
for l in -O0 -O2; do
	$CC $l $flags -Iinclude -c -o "$dir/inline.o" "$dir/inline.c" || exit 2
	objdump -d --no-show-raw-insn "$dir/inline.o" | awk -v pad="$pad" -v jump="$jump" -v stop="$stop" '
		after == 2 { if ($0 ~ pad) good++; after = 0 }
		after == 1 && $0 ~ stop { after = 2; next }
		$0 ~ jump { after = 1 }
		END { exit good != 1 }' || complain "$CC $l $flags: an inlined switch does not come back to a landing pad"
done
exit $bad
