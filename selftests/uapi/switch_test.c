// SPDX-License-Identifier: MIT
/* SWITCH: every byte of a stack comes back, whatever way and in whatever parts. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "object.h"

FIXTURE(sw)
{
	struct object o;
};

FIXTURE_SETUP(sw)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
}

FIXTURE_TEARDOWN(sw)
{
	object_close(&self->o);
}

/* Is this the way that keeps scratch pages? */
static bool exchanges(void)
{
	char path[8] = "";

	read_param("move_path", path, sizeof(path));
	return !strcmp(path, "0") || !strcmp(path, "1");
}

TEST_F(sw, first_touch_reads_zero_and_keeps_what_is_written)
{
	char *base = window_base(&self->o, 3);

	EXPECT_TRUE(all_zero(base - 4 * PAGE, 4 * PAGE));
	paint(base, 4 * PAGE, 7);
	EXPECT_EQ(0, painted(base, 4 * PAGE, 7));
	EXPECT_EQ(4, stat_of(&self->o).faults_zero);
}

TEST_F(sw, a_parked_stack_comes_back)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 8, 9, 16, 17, 31, 48 };
	char *base = window_base(&self->o, 0);
	uint64_t handle;
	unsigned int i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t bytes = sizes[i] * PAGE;

		paint(base, bytes, i);
		ASSERT_EQ(0, park(&self->o, 0, bytes, &handle));
		ASSERT_NE(0, handle);
		EXPECT_TRUE(all_zero(base - bytes, bytes));
		ASSERT_EQ(0, resume(&self->o, 0, handle, EAGER));
		EXPECT_EQ(0, painted(base, bytes, i));
		EXPECT_EQ(-ESTALE, resume(&self->o, 0, handle, EAGER));
	}
}

TEST_F(sw, bytes_are_rounded_up_to_pages)
{
	char *base = window_base(&self->o, 0);
	struct greenstk_switch e = { .window = 0, .out_bytes = PAGE + 1 };

	paint(base, 2 * PAGE, 1);
	ASSERT_EQ(0, do_switch(&self->o, &e));
	ASSERT_EQ(0, resume(&self->o, 0, e.handle_out, EAGER));
	EXPECT_EQ(0, painted(base, 2 * PAGE, 1));
}

TEST_F(sw, a_parked_stack_can_be_read_and_written_at_its_slot)
{
	char *base = window_base(&self->o, 0);
	struct greenstk_switch e = { .window = 0, .out_bytes = 3 * PAGE };
	char *slot;

	paint(base, 3 * PAGE, 5);
	ASSERT_EQ(0, do_switch(&self->o, &e));
	ASSERT_GE(e.slot_offset, self->o.s.park_offset);
	slot = self->o.map + e.slot_offset;
	EXPECT_EQ(0, painted(slot + 3 * PAGE, 3 * PAGE, 5));
	paint(slot + 3 * PAGE, 3 * PAGE, 6);
	ASSERT_EQ(0, resume(&self->o, 0, e.handle_out, EAGER));
	EXPECT_EQ(0, painted(base, 3 * PAGE, 6));
	EXPECT_EQ(SIGBUS, touch_signal(slot, false));
}

TEST_F(sw, two_stacks_take_turns_in_one_entry)
{
	char *base = window_base(&self->o, 1);
	struct greenstk_switch e;
	uint64_t waiting;
	size_t size[2] = { 2 * PAGE, 20 * PAGE };
	int turn;

	paint(base, size[0], 0);
	ASSERT_EQ(0, park(&self->o, 1, size[0], &waiting));
	paint(base, size[1], 1);
	for (turn = 1; turn < 40; turn++) {
		int out = turn & 1, in = !out;

		e = (struct greenstk_switch){
			.window = 1, .out_bytes = size[out], .handle_in = waiting,
			.eager_pages = EAGER,
		};
		ASSERT_EQ(0, do_switch(&self->o, &e));
		waiting = e.handle_out;
		EXPECT_EQ(size[in] / PAGE, e.in_pages);
		ASSERT_EQ(0, painted(base, size[in], in));
	}
	EXPECT_EQ(1, stat_of(&self->o).handles);
}

TEST_F(sw, a_stack_may_enter_another_window)
{
	uint64_t handle;

	paint(window_base(&self->o, 5), 6 * PAGE, 9);
	ASSERT_EQ(0, park(&self->o, 5, 6 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 6, handle, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 6), 6 * PAGE, 9));
}

TEST_F(sw, holes_stay_holes)
{
	char *base = window_base(&self->o, 0);
	uint64_t handle;

	*(base - 1) = 1;
	*(base - 10 * PAGE) = 10;
	ASSERT_EQ(0, park(&self->o, 0, 10 * PAGE, &handle));
	EXPECT_EQ(2, stat_of(&self->o).pages);
	paint(base, 10 * PAGE, 3);
	ASSERT_EQ(0, resume(&self->o, 0, handle, EAGER));
	EXPECT_EQ(1, *(base - 1));
	EXPECT_EQ(10, *(base - 10 * PAGE));
	EXPECT_TRUE(all_zero(base - 9 * PAGE, 8 * PAGE));
}

TEST_F(sw, clashing_scratch_pages_are_freed)
{
	char *base = window_base(&self->o, 0);
	struct greenstk_switch e;
	uint64_t deep;
	int i;

	paint(base, 16 * PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, 16 * PAGE, &deep));
	/* 1 live page, 20 scratch pages of an earlier, deeper call. */
	for (i = 0; i < 50; i++) {
		paint(base, 21 * PAGE, 2);
		e = (struct greenstk_switch){
			.window = 0, .out_bytes = PAGE, .handle_in = deep, .eager_pages = EAGER,
		};
		ASSERT_EQ(0, do_switch(&self->o, &e));
		ASSERT_EQ(0, painted(base, 16 * PAGE, 1));
		deep = e.handle_out;
		e = (struct greenstk_switch){
			.window = 0, .out_bytes = 16 * PAGE, .handle_in = deep,
			.eager_pages = EAGER,
		};
		ASSERT_EQ(0, do_switch(&self->o, &e));
		ASSERT_EQ(0, painted(base, PAGE, 2));
		deep = e.handle_out;
	}
	EXPECT_LE(stat_of(&self->o).pages, 16 + 21);
	EXPECT_LE(rss_pages(), 16 + 21 + 1000);
}

/* A page in the way moves below the new stack, and up again when a smaller one enters. */
TEST_F(sw, a_few_scratch_pages_stay_with_the_window)
{
	char *base = window_base(&self->o, 0);
	struct greenstk_switch e[2];
	uint64_t parked, pages;
	uint32_t done, round;

	paint(base, 3 * PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, 3 * PAGE, &parked));
	/* Two pages below the stack of 5, then stacks of 3 and 5 take turns. */
	paint(base, 5 * PAGE, 2);
	*(volatile uint64_t *)(base - 6 * PAGE) = 66;
	*(volatile uint64_t *)(base - 7 * PAGE) = 77;
	pages = stat_of(&self->o).pages;
	for (round = 0; round < 6; round++) {
		e[0] = (struct greenstk_switch){
			.window = 0, .out_bytes = (round & 1 ? 3 : 5) * PAGE, .handle_in = parked,
			.eager_pages = EAGER,
		};
		/* An entry alone is done another way. */
		e[1] = (struct greenstk_switch){ .window = 2 };
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 2, sizeof(*e), 0, &done));
		ASSERT_EQ(2, done);
		ASSERT_EQ(0, e[0].result);
		parked = e[0].handle_out;
		EXPECT_EQ(0, painted(base, (round & 1 ? 5 : 3) * PAGE, round & 1 ? 2 : 1));
		if (exchanges())
			EXPECT_EQ(pages, stat_of(&self->o).pages);
	}
	if (exchanges()) {
		EXPECT_EQ(66, *(volatile uint64_t *)(base - 6 * PAGE));
		EXPECT_EQ(77, *(volatile uint64_t *)(base - 7 * PAGE));
	}
}

TEST_F(sw, lazy_pages_come_on_touch)
{
	char *base = window_base(&self->o, 2);
	unsigned int eager;
	uint64_t handle;

	for (eager = 0; eager <= 33; eager += 11) {
		uint64_t lazy = stat_of(&self->o).faults_lazy;

		paint(base, 33 * PAGE, eager);
		ASSERT_EQ(0, park(&self->o, 2, 33 * PAGE, &handle));
		ASSERT_EQ(0, resume(&self->o, 2, handle, eager));
		EXPECT_EQ(lazy, stat_of(&self->o).faults_lazy);
		EXPECT_EQ(0, painted(base, 33 * PAGE, eager));
		EXPECT_EQ(lazy + 33 - eager, stat_of(&self->o).faults_lazy);
	}
}

TEST_F(sw, lazy_pages_come_out_of_order)
{
	char *base = window_base(&self->o, 2);
	uint64_t handle;
	int i;

	paint(base, 32 * PAGE, 4);
	ASSERT_EQ(0, park(&self->o, 2, 32 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 2, handle, 0));
	for (i = 0; i < 32; i++) {
		char *page = base - ((i * 13) % 32 + 1) * PAGE;

		EXPECT_FALSE(all_zero(page, 8));
	}
	EXPECT_EQ(0, painted(base, 32 * PAGE, 4));
}

TEST_F(sw, a_lazy_stack_can_be_parked_again)
{
	char *base = window_base(&self->o, 2);
	uint64_t handle;
	int round;

	paint(base, 24 * PAGE, 8);
	ASSERT_EQ(0, park(&self->o, 2, 24 * PAGE, &handle));
	for (round = 0; round < 6; round++) {
		ASSERT_EQ(0, resume(&self->o, 2, handle, 2));
		/* Some come by touch, some stay, and it grows by two. */
		*(volatile char *)(base - (round * 3 + 1) * PAGE + 100) = 1;
		*(volatile char *)(base - 25 * PAGE) = round;
		ASSERT_EQ(0, park(&self->o, 2, 26 * PAGE, &handle));
		ASSERT_EQ(0, resume(&self->o, 2, handle, 0));
		ASSERT_EQ(round, *(volatile char *)(base - 25 * PAGE));
		/* It shrinks: what was below is dead, lazy or not. */
		ASSERT_EQ(0, park(&self->o, 2, 24 * PAGE, &handle));
	}
	ASSERT_EQ(0, resume(&self->o, 2, handle, EAGER));
	EXPECT_EQ(0, painted(base, 24 * PAGE, 8));
	EXPECT_LE(stat_of(&self->o).pages, 26);
	EXPECT_EQ(0, stat_of(&self->o).handles);
}

TEST_F(sw, a_dead_lazy_resident_gives_its_slot_back)
{
	char *base = window_base(&self->o, 2);
	struct greenstk_stat before = stat_of(&self->o), after;
	struct greenstk_switch e = { .window = 2 };
	uint64_t handle;

	paint(base, 24 * PAGE, 8);
	ASSERT_EQ(0, park(&self->o, 2, 24 * PAGE, &handle));
	ASSERT_EQ(0, resume(&self->o, 2, handle, 4));
	ASSERT_EQ(0, do_switch(&self->o, &e));
	after = stat_of(&self->o);
	EXPECT_EQ(before.park_free_pages, after.park_free_pages);
	EXPECT_EQ(0, after.handles);
	EXPECT_LE(after.pages, 4);
}

TEST_F(sw, a_batch_moves_many_stacks_with_one_flush)
{
	struct greenstk_switch e[64] = { 0 };
	struct greenstk_stat before, after;
	uint32_t done, i, round;

	for (i = 0; i < 64; i++) {
		paint(window_base(&self->o, i), (i % 8 + 1) * PAGE, i);
		e[i].window = i;
		e[i].out_bytes = (i % 8 + 1) * PAGE;
		e[i].eager_pages = EAGER;
	}
	ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 64, sizeof(*e), 0, &done));
	ASSERT_EQ(64, done);
	before = stat_of(&self->o);
	for (round = 0; round < 8; round++) {
		/* The stacks wander: that of window i goes to window i * 5 + 3. */
		uint64_t handle[64], size[64];

		for (i = 0; i < 64; i++) {
			ASSERT_EQ(0, e[i].result);
			handle[i] = e[i].handle_out;
			size[i] = e[i].out_bytes;
		}
		for (i = 0; i < 64; i++)
			e[i] = (struct greenstk_switch){
				.window = i, .handle_in = handle[(i * 5 + 3) % 64],
				.eager_pages = EAGER,
			};
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 64, sizeof(*e), 0, &done));
		for (i = 0; i < 64; i++)
			e[i] = (struct greenstk_switch){
				.window = i, .out_bytes = size[(i * 5 + 3) % 64],
			};
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 64, sizeof(*e), 0, &done));
		ASSERT_EQ(64, done);
	}
	after = stat_of(&self->o);
	if (!after.fallback_batches)
		EXPECT_EQ(16, after.flushes - before.flushes);
	for (i = 0; i < 64; i++) {
		uint64_t id = i;

		ASSERT_EQ(0, resume(&self->o, i, e[i].handle_out, EAGER));
		for (round = 0; round < 8; round++)
			id = (id * 5 + 3) % 64;
		EXPECT_EQ(0, painted(window_base(&self->o, i), (id % 8 + 1) * PAGE, id));
	}
}

TEST_F(sw, the_same_window_twice_in_a_batch_is_done_in_order)
{
	char *base = window_base(&self->o, 4);
	struct greenstk_switch e[3] = {
		{ .window = 4, .out_bytes = 2 * PAGE },
		{ .window = 4, .out_bytes = 1 * PAGE },
		{ .window = 4, .out_bytes = 3 * PAGE },
	};
	uint32_t done;

	paint(base, 3 * PAGE, 1);
	ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 3, sizeof(*e), 0, &done));
	ASSERT_EQ(3, done);
	ASSERT_EQ(0, resume(&self->o, 5, e[0].handle_out, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 5), 2 * PAGE, 1));
	ASSERT_EQ(0, resume(&self->o, 6, e[2].handle_out, EAGER));
	EXPECT_TRUE(all_zero(window_base(&self->o, 6) - 2 * PAGE, 2 * PAGE));
	EXPECT_FALSE(all_zero(window_base(&self->o, 6) - 3 * PAGE, PAGE));
}

TEST_F(sw, entries_fail_one_by_one)
{
	struct greenstk_switch e[5] = {
		{ .window = 0, .out_bytes = PAGE },
		{ .window = 64, .out_bytes = PAGE },
		{ .window = 1, .handle_in = 0xdeadbeef },
		{ .window = 2, .out_bytes = PAGE, .flags = 1 },
		{ .window = 3, .out_bytes = PAGE },
	};
	uint32_t done;

	paint(window_base(&self->o, 0), PAGE, 1);
	paint(window_base(&self->o, 3), PAGE, 2);
	ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 5, sizeof(*e), 0, &done));
	EXPECT_EQ(5, done);
	EXPECT_EQ(0, e[0].result);
	EXPECT_EQ(-EINVAL, e[1].result);
	EXPECT_EQ(-ESTALE, e[2].result);
	EXPECT_EQ(-EINVAL, e[3].result);
	EXPECT_EQ(0, e[4].result);
	ASSERT_EQ(0, resume(&self->o, 0, e[4].handle_out, EAGER));
	EXPECT_EQ(0, painted(window_base(&self->o, 0), PAGE, 2));
}

TEST_F(sw, a_dropped_stack_frees_its_pages)
{
	uint64_t handle[8];
	struct greenstk_drop e[8] = { 0 };
	uint32_t i, done;

	for (i = 0; i < 8; i++) {
		paint(window_base(&self->o, i), (i + 1) * PAGE, i);
		ASSERT_EQ(0, park(&self->o, i, (i + 1) * PAGE, &handle[i]));
		e[i].handle = handle[i];
	}
	EXPECT_EQ(36, stat_of(&self->o).pages);
	EXPECT_EQ(0, drop(&self->o, handle[0]));
	EXPECT_EQ(-ESTALE, drop(&self->o, handle[0]));
	EXPECT_EQ(35, stat_of(&self->o).pages);
	ASSERT_EQ(0, batch(&self->o, GREENSTK_DROP, e, 8, sizeof(*e), 0, &done));
	EXPECT_EQ(-ESTALE, e[0].result);
	for (i = 1; i < 8; i++)
		EXPECT_EQ(0, e[i].result);
	EXPECT_EQ(0, stat_of(&self->o).pages);
	EXPECT_EQ(0, stat_of(&self->o).handles);
	EXPECT_EQ(-ESTALE, resume(&self->o, 1, handle[1], EAGER));
}

TEST_F(sw, a_populated_slot_is_zero_and_can_enter_a_window)
{
	char *at, *base = window_base(&self->o, 9);
	uint64_t handle = 0;

	ASSERT_EQ(0, populate(&self->o, &handle, 0, 5 * PAGE, &at));
	EXPECT_TRUE(all_zero(at, 5 * PAGE));
	paint(at + 5 * PAGE, 5 * PAGE, 77);
	ASSERT_EQ(0, resume(&self->o, 9, handle, EAGER));
	EXPECT_EQ(0, painted(base, 5 * PAGE, 77));
}

TEST_F(sw, holes_of_a_parked_stack_can_be_populated)
{
	char *at, *base = window_base(&self->o, 9);
	uint64_t handle;

	*(base - 4 * PAGE) = 4;
	ASSERT_EQ(0, park(&self->o, 9, 4 * PAGE, &handle));
	ASSERT_EQ(0, populate(&self->o, &handle, 0, 4 * PAGE, &at));
	EXPECT_EQ(4, *at);
	EXPECT_TRUE(all_zero(at + PAGE, 3 * PAGE));
	EXPECT_EQ(-EINVAL, populate(&self->o, &handle, 0, 5 * PAGE, &at));
}

TEST_F(sw, the_guard_is_a_segmentation_fault)
{
	char *limit = window_limit(&self->o, 7);

	EXPECT_EQ(0, touch_signal(limit, true));
	EXPECT_EQ(SIGSEGV, touch_signal(limit - 1, true));
	EXPECT_EQ(SIGSEGV, touch_signal(limit - self->o.s.guard_bytes + PAGE, false));
	EXPECT_EQ(2, stat_of(&self->o).faults_guard);
	/* The lowest page may pin a page table; then the kernel answers by itself. */
	EXPECT_EQ(SIGSEGV, touch_signal(limit - self->o.s.guard_bytes, false));
}

TEST_F(sw, outside_windows_and_slots_is_a_bus_error)
{
	EXPECT_EQ(SIGBUS, touch_signal(self->o.park, false));
	EXPECT_EQ(SIGBUS, touch_signal(self->o.park + self->o.s.park_bytes - 1, true));
	EXPECT_EQ(SIGBUS, touch_signal(self->o.map + self->o.s.map_bytes - 1, true));
}

TEST_F(sw, a_full_parking_range_is_enospc_and_changes_nothing)
{
	struct object o;
	uint64_t handle[64], extra;
	unsigned int i;

	ASSERT_EQ(0, object_open(&o, (struct object_opts){ .park_bytes = 64 * PAGE }));
	for (i = 0; i < 64; i++) {
		paint(window_base(&o, i), PAGE, i);
		ASSERT_EQ(0, park(&o, i, PAGE, &handle[i]));
	}
	paint(window_base(&o, 0), PAGE, 100);
	EXPECT_EQ(-ENOSPC, park(&o, 0, PAGE, &extra));
	EXPECT_EQ(0, painted(window_base(&o, 0), PAGE, 100));
	EXPECT_EQ(0, drop(&o, handle[9]));
	EXPECT_EQ(0, park(&o, 0, PAGE, &extra));
	for (i = 10; i < 64; i++) {
		ASSERT_EQ(0, resume(&o, i, handle[i], EAGER));
		EXPECT_EQ(0, painted(window_base(&o, i), PAGE, i));
	}
	object_close(&o);
}

/* Four threads, each with windows and stacks of its own, in one object. */
struct worker {
	struct object *o;
	unsigned int first, seed;
	int bad;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t handle[32] = { 0 }, id[32];
	size_t pages[32];
	unsigned int i, round, in;

	for (i = 0; i < 32; i++) {
		char *base = window_base(w->o, w->first + i % 8);

		pages[i] = rand_r(&w->seed) % 24 + 1;
		id[i] = w->first * 1000 + i;
		paint(base, pages[i] * PAGE, id[i]);
		w->bad |= park(w->o, w->first + i % 8, pages[i] * PAGE, &handle[i]);
	}
	for (round = 0; round < 100; round++) {
		struct greenstk_switch e[8] = { 0 };
		unsigned int pick[8];
		uint32_t done;

		for (in = 0; in < 8; in++) {
			pick[in] = in * 4 + rand_r(&w->seed) % 4;
			e[in].window = w->first + in;
			e[in].handle_in = handle[pick[in]];
			e[in].eager_pages = rand_r(&w->seed) % 3 ? EAGER : rand_r(&w->seed) % 8U;
		}
		w->bad |= batch(w->o, GREENSTK_SWITCH, e, 8, sizeof(*e), 0, &done) || done != 8;
		for (in = 0; in < 8; in++) {
			char *base = window_base(w->o, w->first + in);
			size_t check = rand_r(&w->seed) % pages[pick[in]] + 1;

			w->bad |= e[in].result;
			w->bad |= !!painted(base, check * PAGE, id[pick[in]]);
			e[in] = (struct greenstk_switch){
				.window = w->first + in, .out_bytes = pages[pick[in]] * PAGE,
			};
		}
		w->bad |= batch(w->o, GREENSTK_SWITCH, e, 8, sizeof(*e), 0, &done) || done != 8;
		for (in = 0; in < 8; in++) {
			w->bad |= e[in].result;
			handle[pick[in]] = e[in].handle_out;
		}
		if (w->bad)
			break;
	}
	return NULL;
}

TEST_F_TIMEOUT(sw, four_threads_keep_their_bytes, 200)
{
	struct worker w[4];
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++) {
		w[i] = (struct worker){ .o = &self->o, .first = i * 16, .seed = i + 1 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, work, &w[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, w[i].bad);
	}
	EXPECT_EQ(128, stat_of(&self->o).handles);
}

TEST_HARNESS_MAIN
