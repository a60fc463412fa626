// SPDX-License-Identifier: MIT
/* Where windows lie: inside the range, apart, with their guards, and spread over the sets of a TLB. */
#include <stdio.h>

#include <sys/mman.h>
#include "host/host.h"
#include "kselftest_harness.h"
#include "window/window.h"

enum { PAGE = 4096, SETS = 64, BLOCK = 2 << 20 };

FIXTURE(layout) {
	int err;
};

FIXTURE_VARIANT(layout) {
	size_t nr, size;
};

/* clang-format off */
FIXTURE_VARIANT_ADD(layout, default_size) { .nr = 1024, .size = 256u << 10 };
FIXTURE_VARIANT_ADD(layout, two_in_a_page_table) { .nr = 63, .size = 1u << 20 };
FIXTURE_VARIANT_ADD(layout, larger_than_a_page_table) { .nr = 9, .size = 4u << 20 };
FIXTURE_VARIANT_ADD(layout, a_group_that_is_not_full) { .nr = 11, .size = 256u << 10 };
FIXTURE_VARIANT_ADD(layout, one_window) { .nr = 1, .size = 256u << 10 };
/* clang-format on */

FIXTURE_SETUP(layout)
{
	self->err = gstk__windows_init(variant->nr, variant->size, 1, false);
	ASSERT_EQ(0, self->err);
	ASSERT_EQ(variant->nr, gstk__windows.nr);
}

FIXTURE_TEARDOWN(layout)
{
	if (!self->err)
		gstk__windows_fini();
}

TEST_F(layout, windows_are_inside_the_range_and_apart_and_hold_what_is_promised)
{
	char *free_from = gstk__windows.region;

	for (uint32_t i = 1; i <= gstk__windows.nr; i++) {
		char *limit = gstk__win_limit(i), *base = gstk__win_base(i);

		EXPECT_EQ(0, (uintptr_t)limit % PAGE);
		EXPECT_EQ(0, (uintptr_t)base % 64);
		/* Below the limit is nothing but this window's guard. */
		EXPECT_LE(free_from, limit - gstk__windows.guard);
		EXPECT_LE(gstk__windows.stack, (size_t)(base - limit));
		EXPECT_LE(base, gstk__windows.region + gstk__windows.region_bytes);
		EXPECT_TRUE(gstk__in_shared_window(limit));
		EXPECT_TRUE(gstk__in_shared_window(base - 1));
		free_from = gstk__win_start(i) + gstk__windows.stride;
		EXPECT_LE(base, free_from);
	}
	EXPECT_GE(gstk__windows.guard, 64u << 10);
}

TEST_F(layout, a_block_of_the_sweep_holds_whole_windows_and_their_guards)
{
	size_t block = BLOCK < variant->size ? variant->size : BLOCK;
	uint32_t per_block = (uint32_t)(block / variant->size);

	for (uint32_t i = 1; i <= gstk__windows.nr; i++) {
		char *from = gstk__windows.region + (i - 1) / per_block * block;

		EXPECT_EQ(from, gstk__win_group(i));
		EXPECT_LE(from, gstk__win_limit(i) - gstk__windows.guard);
		EXPECT_LE(gstk__win_base(i), from + block);
	}
}

TEST_F(layout, tops_of_stacks_use_all_sets_of_a_tlb)
{
	uint32_t in_set[SETS] = { 0 }, most = 0, empty = 0;

	if (variant->nr < 1000)
		SKIP(return, "too few windows to tell");
	for (uint32_t i = 1; i <= gstk__windows.nr; i++) {
		uint32_t *n = &in_set[(uintptr_t)(gstk__win_base(i) - 1) / PAGE % SETS];

		if (++*n > most)
			most = *n;
	}
	TH_LOG("%zu windows in %d sets: %u in the fullest", gstk__windows.nr, SETS, most);
	EXPECT_GE(gstk__windows.nr * 2 / SETS, most);
	for (uint32_t s = 0; s < SETS; s++)
		empty += !in_set[s];
	EXPECT_GE(SETS / 8, empty);
}

TEST(a_page_is_made_present_without_a_signal_where_there_can_be_none)
{
	char *p = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, mprotect(p + 4096, 4096, PROT_NONE));
	EXPECT_TRUE(gstk__mem_make_present(p));
	EXPECT_NE(0, *(volatile long *)p); /* the time; mincore(2) would tell, but not under qemu-user */
	EXPECT_FALSE(gstk__mem_make_present(p + 4096));
	munmap(p, 2 * 4096);
	EXPECT_FALSE(gstk__mem_make_present(p));
}

TEST_HARNESS_MAIN
