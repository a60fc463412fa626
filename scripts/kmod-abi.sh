#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/kmod-abi.sh DIR
# The ABI's structures have no holes and the same layout for 32 and 64 bit; plan.c is right for
# every small input.
set -eu -o pipefail
mkdir -p "$1"
{
	echo '#include <stddef.h>'
	echo '#include "linux/greenstk.h"'
	awk '/^struct greenstk_/ { s = $2 }
	     /^\t__/ && s { sub(/;.*/, "", $2); sub(/\[.*/, "", $2); print s, $2 }
	     /^};/ { s = "" }' include/uapi/linux/greenstk.h >"$1/fields"
	awk '{ printf "const unsigned long %s__%s = offsetof(struct %s, %s) * 10000 + sizeof(struct %s);\n", $1, $2, $1, $2, $1 }' "$1/fields"
} >"$1/layout.c"
layout() { # compiler flags: the constants that the layout comes to
	gcc -std=gnu11 -Wall -Wpadded -Werror "$@" -Iinclude/uapi -S -o - "$dir/layout.c" |
		awk '/^greenstk_.*__.*:/ { n = $1 } /^\t\.(long|quad)/ && n { print n, $2; n = "" }'
}
dir=$1
layout -m64 >"$1/64"
[ -s "$1/64" ] && [ "$(wc -l <"$1/64")" = "$(wc -l <"$1/fields")" ] || { echo "kmod-abi: fields are missing"; exit 1; }
# The kernel's own headers serve both; a 32-bit libc is not needed.
layout -m32 -idirafter "/usr/include/$(gcc -print-multiarch)" >"$1/32"
diff "$1/64" "$1/32" || { echo "kmod-abi: the layout differs between 32 and 64 bit"; exit 1; }
if command -v pahole >/dev/null; then
	gcc -g -c -Iinclude/uapi -include linux/greenstk.h -o "$1/dbg.o" -x c - <<-X
	$(awk '{ print $1 }' "$1/fields" | sort -u | sed 's/.*/struct & v_&;/')
	X
	! pahole "$1/dbg.o" | grep -E 'XXX|hole'
fi
cat >"$1/plan_model.c" <<'X'
#include <stdio.h>
#include <string.h>
#include "kmod/plan.c"
/* Windows of 2..512 pages: runs are what the bits say, in order, and a page that came is in one. */
static int came(void)
{
	struct gsk_shape s = { .guard_pages = 1, .page_shift = 12 };
	u64 x = 88172645463325252ULL;

	for (u32 pages = 2; pages <= 512; pages *= 2)
	for (int i = 0; i < 20000; i++) {
		u64 bits = 0;
		u32 low, first, nr, end, at;
		char want[512] = "";

		if (gsk_plan_setup((u64)pages << 12, 4096, 4096, 1, 12, 1, 4096, &s) || pages >> s.came_shift > 64)
			return printf("shape of %u\n", pages);
		for (int k = i % 5; k-- > 0;) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			first = (x >> 20) % pages, nr = (x >> 40) % (pages - first + 1);
			bits |= gsk_came_bits(&s, first, nr);
			if (nr)
				for (at = first >> s.came_shift << s.came_shift;
				     at < (((first + nr - 1) >> s.came_shift) + 1) << s.came_shift && at < pages; at++)
					want[at] = 1;
		}
		if (!(i % 1000))
			bits = ~0ULL, memset(want, 1, pages);
		low = (x >> 30) % pages, end = low + (x >> 50) % (pages - low + 1);
		for (at = low, first = low; (nr = gsk_came_run(&s, bits, &first, end)); first += nr) {
			for (; at < first; at++)
				if (want[at])
					return printf("%u pages: %u is left out\n", pages, at);
			for (; at < first + nr; at++)
				if (!want[at] || at >= end)
					return printf("%u pages: %u is in no run\n", pages, at);
		}
		for (; at < end; at++)
			if (want[at])
				return printf("%u pages: %u is left out at the end\n", pages, at);
	}
	return 0;
}

int main(void)
{
	struct gsk_shape shape = { .page_shift = 12 };
	struct gsk_plan p;
	unsigned long n = 0;

	for (shape.window_pages = 2; shape.window_pages <= 8; shape.window_pages *= 2)
	for (shape.guard_pages = 1; shape.guard_pages < shape.window_pages; shape.guard_pages++)
	for (u32 bytes = 0; bytes <= 10 << 12; bytes += 1024)
	for (u32 in = 0; in <= 10; in++)
	for (u32 eager = 0; eager <= 11; eager++, n++) {
		u32 room = shape.window_pages - shape.guard_pages, out = (bytes + 4095) / 4096;
		int want = out > room || in > room ? -EINVAL : 0;

		if (gsk_plan_switch(&shape, bytes, in, eager == 11 ? 0xffffffffU : eager, &p) != want)
			return printf("bytes %u in %u eager %u\n", bytes, in, eager), 1;
		if (!want && (p.nr_out != out || p.nr_in != in || p.nr_eager > in ||
			      (eager <= in && p.nr_eager != eager) || p.nr_range < out ||
			      p.nr_range < in || (p.nr_range != out && p.nr_range != in)))
			return printf("plan of bytes %u in %u eager %u\n", bytes, in, eager), 1;
	}
	return !n + came();
}
X
gcc -std=gnu11 -Wall -Wextra -Werror -Wno-sign-compare -Ikmod -I. -o "$1/plan" "$1/plan_model.c"
"$1/plan"
