// SPDX-License-Identifier: MIT
/*
 * Deep stacks that come back in part and leave again. What stayed in the slot is not moved, and of the window
 * only what may have come is looked at: so whatever brought a page, it must be found.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

#define DEEP   256
#define ROOM   500
#define WINDOW 1

FIXTURE(stay)
{
	struct object o;
	char *base;
	int pipe[2];
};

FIXTURE_VARIANT(stay)
{
	uint64_t window_bytes;
	unsigned int room; /* pages that a stack may have */
};

/* A bit of the module's for each eight pages, and one for each. */
FIXTURE_VARIANT_ADD(stay, large_windows) { .window_bytes = 2 << 20, .room = ROOM };
FIXTURE_VARIANT_ADD(stay, small_windows) { .window_bytes = 256 << 10, .room = 48 };

FIXTURE_SETUP(stay)
{
	struct object_opts opts = { .nr_windows = 4, .window_bytes = variant->window_bytes, .guard_bytes = 4 * PAGE };

	ASSERT_EQ(0, object_open(&self->o, opts));
	ASSERT_EQ(0, pipe(self->pipe));
	self->base = window_base(&self->o, WINDOW);
}

FIXTURE_TEARDOWN(stay)
{
	object_close(&self->o);
	close(self->pipe[0]);
	close(self->pipe[1]);
}

/* With move_path=3 pages are inserted and zapped, and a slot is never kept. */
static bool moves_entries(void)
{
	char path[8] = "";

	read_param("move_path", path, sizeof(path));
	return !!strcmp(path, "3");
}

static unsigned int rnd(unsigned int below)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (x >> 20) % below;
}

/* The word of a page that the tests look at, page 1 the highest. */
static volatile uint64_t *word(char *base, unsigned int page)
{
	return (volatile uint64_t *)(base - page * PAGE + 64);
}

static unsigned int out_of(const struct object *o, struct greenstk_switch *e, unsigned int pages, uint64_t in,
			   unsigned int eager)
{
	*e = (struct greenstk_switch){ .window = WINDOW, .out_bytes = pages * PAGE, .handle_in = in,
				       .eager_pages = eager };
	return -do_switch(o, e);
}

static void fill(char *base, unsigned int pages, uint64_t *shadow)
{
	for (unsigned int k = 1; k <= pages; k++)
		*word(base, k) = shadow[k] = k * 0x10001ULL + pages;
}

/* Changes a page, or looks at it: as the task, or as the kernel does it for the task or for a stranger. */
static bool touch(int *fd, char *base, unsigned int page, uint64_t *shadow)
{
	uint64_t value = rnd(1 << 30) + 1;
	struct iovec mine = { &value, sizeof(value) }, theirs = { (void *)word(base, page), sizeof(value) };

	switch (rnd(4)) {
	case 0:
		*word(base, page) = value;
		break;
	case 1:
		if (write(fd[1], &value, sizeof(value)) != sizeof(value) ||
		    read(fd[0], (void *)word(base, page), sizeof(value)) != sizeof(value))
			return false;
		break;
	case 2:
		if (process_vm_writev(getpid(), &mine, 1, &theirs, 1, 0) != sizeof(value))
			return false;
		break;
	default:
		return *word(base, page) == shadow[page];
	}
	shadow[page] = value;
	return true;
}

/* How many pages are not as they were written. */
static unsigned int wrong(char *base, unsigned int pages, const uint64_t *shadow)
{
	unsigned int bad = 0;

	for (unsigned int k = 1; k <= pages; k++)
		bad += *word(base, k) != shadow[k];
	return bad;
}

TEST_F(stay, what_came_in_part_goes_back_to_its_slot)
{
	unsigned int pages = variant->room / 2;
	uint64_t shadow[ROOM + 1], offset;
	struct greenstk_stat before, after;
	struct greenstk_switch e;

	fill(self->base, pages, shadow);
	ASSERT_EQ(0, out_of(&self->o, &e, pages, 0, 0));
	offset = e.slot_offset;
	before = stat_of(&self->o);
	for (int i = 0; i < 20; i++) {
		uint64_t handle = e.handle_out;

		ASSERT_EQ(0, out_of(&self->o, &e, 0, handle, 4));
		ASSERT_TRUE(touch(self->pipe, self->base, 1 + rnd(pages), shadow));
		ASSERT_EQ(0, out_of(&self->o, &e, pages, 0, 0));
		if (moves_entries())
			EXPECT_EQ(offset, e.slot_offset);
		EXPECT_NE(handle, e.handle_out);
		EXPECT_EQ(ESTALE, -drop(&self->o, handle));
		after = stat_of(&self->o);
		EXPECT_EQ(before.pages, after.pages);
		EXPECT_EQ(before.handles, after.handles);
		EXPECT_EQ(before.park_free_pages, after.park_free_pages);
	}
	ASSERT_EQ(0, out_of(&self->o, &e, 0, e.handle_out, EAGER));
	EXPECT_EQ(0, wrong(self->base, pages, shadow));
	EXPECT_EQ(before.pages, stat_of(&self->o).pages);
	EXPECT_EQ(0, stat_of(&self->o).handles);
}

/* Two stacks take turns; each grows, shrinks, is touched anywhere, and loses pages now and then. */
TEST_F(stay, whatever_brought_a_page_it_leaves_with_its_stack)
{
	unsigned int pages[2] = { variant->room / 2, variant->room / 3 }, in = 1, zapped = 0;
	uint64_t shadow[2][ROOM + 1], handle[2];
	struct greenstk_switch e;

	fill(self->base, pages[0], shadow[0]);
	ASSERT_EQ(0, out_of(&self->o, &e, pages[0], 0, 0));
	handle[0] = e.handle_out;
	fill(self->base, pages[1], shadow[1]);
	for (int round = 0; round < 500; round++) {
		unsigned int other = rnd(8) ? 1 - in : in, eager = rnd(2) ? 1 + rnd(20) : rnd(3) ? 0 : EAGER, was = pages[in];

		for (unsigned int i = rnd(6); i-- > 0;)
			ASSERT_TRUE(touch(self->pipe, self->base, 1 + rnd(pages[in]), shadow[in]));
		if (!rnd(8)) {
			unsigned int k = 1 + rnd(pages[in]);

			ASSERT_EQ(0, madvise(self->base - k * PAGE, PAGE, MADV_DONTNEED));
			shadow[in][k] = *word(self->base, k); /* it was here, and is zero now; or in the slot */
			zapped++;
		}
		if (!rnd(3))
			pages[in] = 1 + rnd(variant->room - 1);
		else if (!rnd(2) && pages[in] < variant->room - 8)
			pages[in] += rnd(8);
		for (unsigned int k = was + 1; k <= pages[in]; k++)
			*word(self->base, k) = shadow[in][k] = rnd(1 << 30);
		ASSERT_EQ(0, out_of(&self->o, &e, pages[in], other == in ? 0 : handle[other], eager));
		handle[in] = e.handle_out;
		if (other == in)
			ASSERT_EQ(0, out_of(&self->o, &e, 0, handle[in], eager));
		in = other;
		if (!rnd(20))
			ASSERT_EQ(0, wrong(self->base, pages[in], shadow[in]));
	}
	for (int i = 0; i < 2; i++, in = 1 - in) {
		ASSERT_EQ(0, wrong(self->base, pages[in], shadow[in]));
		ASSERT_EQ(0, out_of(&self->o, &e, pages[in], i ? 0 : handle[1 - in], EAGER));
		handle[in] = e.handle_out;
	}
	/* Nothing is left; what was zapped behind the module's back is counted until a cap is met. */
	ASSERT_EQ(0, drop(&self->o, handle[0]));
	ASSERT_EQ(0, drop(&self->o, handle[1]));
	ASSERT_EQ(0, reclaim(&self->o, WINDOW, 0, NULL));
	EXPECT_LE(stat_of(&self->o).pages, zapped);
	EXPECT_EQ(0, stat_of(&self->o).handles);
}

TEST_F(stay, who_grows_where_another_slot_is_gets_a_new_one)
{
	unsigned int pages = variant->room / 4, nr = pages + 3;
	uint64_t shadow[ROOM + 1], below, handle;
	struct greenstk_switch e;

	/* Two slots, one below the other. */
	fill(self->base, pages, shadow);
	ASSERT_EQ(0, out_of(&self->o, &e, pages, 0, 0));
	below = e.handle_out;
	fill(self->base, pages, shadow);
	ASSERT_EQ(0, out_of(&self->o, &e, pages, 0, 0));
	handle = e.handle_out;
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(0, out_of(&self->o, &e, 0, handle, 2));
		for (unsigned int k = pages + 1; k <= nr; k++)
			*word(self->base, k) = shadow[k] = k;
		ASSERT_TRUE(touch(self->pipe, self->base, 7, shadow));
		ASSERT_EQ(0, out_of(&self->o, &e, nr, 0, 0));
		handle = e.handle_out;
		ASSERT_EQ(0, out_of(&self->o, &e, 0, handle, EAGER));
		EXPECT_EQ(0, wrong(self->base, nr, shadow));
		/* What is below goes, and the next time there is room. */
		ASSERT_EQ(0, out_of(&self->o, &e, pages, 0, 0));
		handle = e.handle_out;
		if (!round)
			ASSERT_EQ(0, drop(&self->o, below));
	}
}

TEST_F(stay, a_batch_of_deep_stacks_takes_one_flush)
{
	unsigned int nr = 64, pages = variant->room / 2;
	struct greenstk_switch e[64] = { 0 };
	struct greenstk_stat before, after;
	struct object o;
	uint32_t done;

	ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = nr, .window_bytes = variant->window_bytes,
							    .guard_bytes = 4 * PAGE, .park_bytes = 128 << 20 }));
	for (int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < nr; i++) {
			if (round)
				*word(window_base(&o, i), 3) = round;
			for (unsigned int k = 1; !round && k <= pages; k++)
				*word(window_base(&o, i), k) = i * 1000 + k;
			e[i] = (struct greenstk_switch){ .window = i, .out_bytes = pages * PAGE };
		}
		before = stat_of(&o);
		for (unsigned int at = 0; at < nr; at += done)
			ASSERT_EQ(0, batch(&o, GREENSTK_SWITCH, e + at, nr - at, sizeof(e[0]), 0, &done));
		after = stat_of(&o);
		if (round && moves_entries()) /* all of the pages the first time: several brackets */
			EXPECT_EQ(before.flushes + 1, after.flushes);
		for (unsigned int i = 0; i < nr; i++)
			e[i] = (struct greenstk_switch){ .window = i, .handle_in = e[i].handle_out, .eager_pages = 16 };
		for (unsigned int at = 0; at < nr; at += done)
			ASSERT_EQ(0, batch(&o, GREENSTK_SWITCH, e + at, nr - at, sizeof(e[0]), 0, &done));
	}
	for (unsigned int i = 0; i < nr; i++)
		for (unsigned int k = 1; k <= pages; k++)
			ASSERT_EQ(k == 3 ? 2 : i * 1000 + k, *word(window_base(&o, i), k));
	object_close(&o);
}

TEST_HARNESS_MAIN
