// SPDX-License-Identifier: MIT
/* The copy routines: exact, for every size, at every alignment, in every variant. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "park/copy.h"

#define MAX	(70u << 10)

static uint8_t *src_map, *dst_map;

/* Both buffers end at an unmapped page and begin after one. */
static uint8_t *fenced(void)
{
	size_t size = MAX + 3 * 4096;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p, 4096, PROT_NONE);
	mprotect(p + size - 4096, 4096, PROT_NONE);
	return p + 4096;
}

static int copies_exactly(gstk__copy_fn *fn, uint8_t *d, const uint8_t *s, size_t n)
{
	uint8_t *lo = dst_map, *hi = dst_map + MAX + 4096;
	size_t before = d - lo < 64 ? (size_t)(d - lo) : 64, after = hi - (d + n);

	after = after < 64 ? after : 64;
	memset(d - before, 0xee, before + n + after);
	if (fn)
		fn(d, s, n);
	else
		gstk__copy(d, s, n);
	for (size_t i = 1; i <= before; i++)
		if (d[-(ptrdiff_t)i] != 0xee)
			return 0;
	for (size_t i = 0; i < after; i++)
		if (d[n + i] != 0xee)
			return 0;
	return !memcmp(d, s, n);
}

static int all_places(gstk__copy_fn *fn, size_t n)
{
	for (size_t sa = 0; sa < 64; sa += 8)
		for (size_t da = 0; da < 64; da += n > 2048 ? 24 : 8)
			if (!copies_exactly(fn, dst_map + da, src_map + sa, n))
				return 0;
	/* Against the fences on both sides. */
	return copies_exactly(fn, dst_map + MAX + 4096 - n, src_map + MAX + 4096 - n, n);
}

FIXTURE(copy) { int unused; };
FIXTURE_SETUP(copy)
{
	src_map = fenced();
	dst_map = fenced();
	for (size_t i = 0; i < MAX + 4096; i++)
		src_map[i] = (uint8_t)(i * 131 + (i >> 8) * 7 + 1);
}
FIXTURE_TEARDOWN(copy)
{
}

TEST_F(copy, every_routine_is_exact_for_every_size)
{
	for (const struct gstk__copy_impl *im = gstk__copy_impls(); im->name; im++) {
		if (!im->usable)
			continue;
		for (size_t n = 64; n <= 2304; n += 8) {
			ASSERT_TRUE(all_places(im->fn, n)) TH_LOG("%s %zu", im->name, n);
		}
		for (size_t n = 4096 - 8; n <= MAX; n += 4096 + 8 * (n % 11)) {
			ASSERT_TRUE(all_places(im->fn, n)) TH_LOG("%s %zu", im->name, n);
		}
	}
}

TEST_F(copy, before_and_after_the_choice)
{
	for (int chosen = 0; chosen < 2; chosen++) {
		for (size_t n = 0; n <= 2304; n += 8) {
			ASSERT_TRUE(all_places(NULL, n)) TH_LOG("%zu", n);
		}
		ASSERT_TRUE(all_places(NULL, 65536));
		ASSERT_NE(NULL, gstk__copy_init());
	}
}

TEST_F(copy, an_image_is_saved_and_restored)
{
	uint64_t *w = (uint64_t *)src_map;
	uint32_t ref;

	ASSERT_EQ(0, gstk__arena_init(0));
	for (uint32_t n = 8; n <= 16384; n += 8) {
		ref = gstk__arena_alloc(NULL, n);
		ASSERT_NE(0, ref);
		gstk__copy_save(ref, w, n);
		gstk__copy_prefetch(ref, n);
		memset(dst_map, 0, n);
		gstk__copy_restore(dst_map, ref, n);
		ASSERT_EQ(0, memcmp(dst_map, w, n));
		gstk__arena_free(NULL, ref, n);
	}
	gstk__arena_fini();
}

TEST_HARNESS_MAIN
