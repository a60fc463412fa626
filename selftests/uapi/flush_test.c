// SPDX-License-Identifier: MIT
/*
 * One TLB shootdown round a batch, counted from /proc/interrupts, with another
 * thread of the process spinning on the second CPU.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../skip_setup.h"
#include "object.h"

static volatile bool stop;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *spin(void *unused)
{
	pin(1);
	while (!stop)
		;
	return NULL;
}

FIXTURE(flush)
{
	struct object o;
	pthread_t thread;
	long limit;
};

FIXTURE_SETUP(flush)
{
	char path[8] = "";

	/* The insert path flushes a range at a time. */
	read_param("move_path", path, sizeof(path));
	self->limit = strcmp(path, "3") ? 1 : 1000;
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP_SETUP("one CPU");
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = 512 }));
	stop = false;
	pin(0);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, spin, NULL));
	usleep(100000);
}

FIXTURE_TEARDOWN(flush)
{
	stop = true;
	if (self->thread)
		pthread_join(self->thread, NULL);
	object_close(&self->o);
}

/* Other parts of the kernel flush now and then: the least of some counts. */
static void least(long *best, long before)
{
	long n = shootdowns() - before;

	if (!*best || n < *best)
		*best = n;
}

TEST_F(flush, a_switch_of_64_scattered_windows_is_one_round)
{
	struct greenstk_switch e[64] = { 0 };
	uint64_t handle[64] = { 0 };
	uint32_t i, done, round;
	long best = 0, before;

	for (round = 0; round < 4; round++) {
		for (i = 0; i < 64; i++) {
			paint(window_base(&self->o, i * 8), 16 * PAGE, i);
			e[i] = (struct greenstk_switch){
				.window = i * 8, .out_bytes = 16 * PAGE,
				.handle_in = handle[i * 37 % 64], .eager_pages = EAGER,
			};
		}
		before = shootdowns();
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 64, sizeof(*e), 0, &done));
		least(&best, before);
		ASSERT_EQ(64, done);
		for (i = 0; i < 64; i++)
			handle[i] = e[i].handle_out;
	}
	EXPECT_GE(best, 1);
	EXPECT_LE(best, self->limit);
}

/* What the module flushes a range with, and what it needs to; a kernel may be built without. */
static bool kernel_has(const char *symbol)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[256], name[200];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %*s %199s", name) == 1 && !strcmp(name, symbol);
	if (f)
		fclose(f);
	return found;
}

TEST_F(flush, a_switch_alone_flushes_its_window_only)
{
	struct greenstk_switch e = { .window = 0, .out_bytes = PAGE, .eager_pages = EAGER };
	struct greenstk_stat st;
	bool can = kernel_has("wp_shared_mapping_range"), locks = kernel_has("lock_vma_under_rcu");
	long best = 0, before;
	char path[8] = "";
	int round;

	read_param("move_path", path, sizeof(path));
	can = can && atoi(path) < 2;
	paint(window_base(&self->o, 0), PAGE, 1);
	ASSERT_EQ(0, do_switch(&self->o, &e));
	EXPECT_EQ(can, stat_of(&self->o).range_flushes);
	for (round = 0; round < 6; round++) {
		e.handle_in = e.handle_out;
		paint(window_base(&self->o, 0), PAGE, round);
		/* A slot that was looked at may be in a TLB as well. */
		if (round == 3)
			EXPECT_EQ(0, painted(self->o.map + e.slot_offset + PAGE, PAGE, round - 1));
		/* As may any, when the VMA was locked for writing. */
		if (round == 5)
			EXPECT_EQ(0, madvise(self->o.map, self->o.s.map_bytes, MADV_DONTFORK));
		st = stat_of(&self->o);
		before = shootdowns();
		ASSERT_EQ(0, do_switch(&self->o, &e));
		least(&best, before);
		/* The first one with pages that enter flushes all, too. */
		EXPECT_EQ((uint64_t)(can && locks && round != 0 && round != 3 && round != 5),
			  stat_of(&self->o).range_flushes - st.range_flushes);
	}
	EXPECT_GE(best, 1);
	EXPECT_LE(best, self->limit);
}

TEST_F(flush, clashing_scratch_pages_cost_no_second_round)
{
	struct greenstk_switch e[64] = { 0 };
	uint64_t handle[64];
	uint32_t i, done, round;
	long best = 0, before;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 64; i++) {
			paint(window_base(&self->o, i * 8), 16 * PAGE, i);
			ASSERT_EQ(0, park(&self->o, i * 8, 16 * PAGE, &handle[i]));
			paint(window_base(&self->o, i * 8), 16 * PAGE, i);
			e[i] = (struct greenstk_switch){
				.window = i * 8, .out_bytes = 2 * PAGE,
				.handle_in = handle[i], .eager_pages = EAGER,
			};
		}
		before = shootdowns();
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 64, sizeof(*e), 0, &done));
		least(&best, before);
	}
	EXPECT_GE(best, 1);
	EXPECT_LE(best, self->limit);
}

TEST_F(flush, a_reclaim_of_64_windows_is_one_round)
{
	struct greenstk_reclaim e[64];
	uint32_t i, done, round;
	long best = 0, before;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 64; i++) {
			paint(window_base(&self->o, i * 8), 16 * PAGE, i);
			e[i] = (struct greenstk_reclaim){ .window = i * 8, .keep_bytes = PAGE };
		}
		before = shootdowns();
		ASSERT_EQ(0, batch(&self->o, GREENSTK_RECLAIM, e, 64, sizeof(*e), 0, &done));
		least(&best, before);
		EXPECT_EQ(15, e[63].freed_pages);
	}
	EXPECT_GE(best, 1);
	EXPECT_LE(best, self->limit);
}

/* A window's reach says what may be there; it may have left, and a slot may be all holes. */
TEST_F(flush, where_nothing_is_freed_nothing_is_flushed)
{
	struct greenstk_reclaim e[2] = { { .window = 0 }, { .window = 8 } };
	struct greenstk_drop d[4] = { 0 };
	uint64_t flushes, handle;
	long best = 0, before, n;
	uint32_t i, done, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 2; i++) {
			paint(window_base(&self->o, i * 8), 16 * PAGE, i);
			ASSERT_EQ(0, park(&self->o, i * 8, 16 * PAGE, &handle));
			d[i].handle = handle;
			/* Nothing is in it any more. */
			ASSERT_EQ(0, park(&self->o, i * 8, 16 * PAGE, &handle));
			d[2 + i].handle = handle;
		}
		flushes = stat_of(&self->o).flushes;
		before = shootdowns();
		ASSERT_EQ(0, batch(&self->o, GREENSTK_RECLAIM, e, 2, sizeof(*e), 0, &done));
		EXPECT_EQ(2, done);
		EXPECT_EQ(0, e[0].freed_pages + e[1].freed_pages);
		ASSERT_EQ(0, batch(&self->o, GREENSTK_DROP, d + 2, 2, sizeof(*d), 0, &done));
		EXPECT_EQ(2, done);
		n = shootdowns() - before;
		best = round && best < n ? best : n;
		EXPECT_EQ(flushes, stat_of(&self->o).flushes);
		ASSERT_EQ(0, batch(&self->o, GREENSTK_DROP, d, 2, sizeof(*d), 0, &done));
	}
	EXPECT_EQ(0, best);
}

/* The stale translation itself: a thread that keeps reading must see the change. */
struct reader {
	char *volatile at;
	volatile uint64_t seen, rounds;
};

static void *reread(void *arg)
{
	struct reader *r = arg;

	pin(1);
	while (!stop) {
		r->seen = *(volatile uint64_t *)r->at;
		r->rounds++;
	}
	return NULL;
}

TEST_F(flush, a_thread_that_reads_all_the_time_sees_the_new_stack)
{
	struct reader r = { .at = window_base(&self->o, 0) - PAGE };
	uint64_t handle[2];
	pthread_t thread;
	uint64_t rounds;
	int i;

	*(uint64_t *)r.at = 1;
	ASSERT_EQ(0, park(&self->o, 0, PAGE, &handle[0]));
	*(uint64_t *)r.at = 2;
	/* Alone on the second CPU: nothing but the flush changes what it sees. */
	stop = true;
	pthread_join(self->thread, NULL);
	self->thread = 0;
	stop = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, reread, &r));
	for (i = 0; i < 20; i++) {
		struct greenstk_switch e = {
			.window = 0, .out_bytes = PAGE, .handle_in = handle[0],
			.eager_pages = EAGER,
		};

		ASSERT_EQ(0, do_switch(&self->o, &e));
		rounds = r.rounds;
		while (r.rounds < rounds + 2)
			usleep(100);
		EXPECT_EQ(1 + i % 2, r.seen);
		handle[0] = e.handle_out;
	}
	stop = true;
	pthread_join(thread, NULL);
}

static __thread sigjmp_buf gone;

static void on_bus(int sig)
{
	siglongjmp(gone, 1);
}

/* Reads a slot until it is gone; then the next one. */
static void *reread_slot(void *arg)
{
	struct reader *r = arg;
	char *volatile at = NULL;

	pin(1);
	signal(SIGBUS, on_bus);
	if (sigsetjmp(gone, 1) && r->at == at)
		r->at = NULL;
	while (!stop) {
		at = r->at;
		if (!at)
			continue;
		r->seen = *(volatile uint64_t *)at;
		r->rounds++;
	}
	return NULL;
}

/*
 * That a slot was not looked at is known from its accessed flag. Writing to clear_refs
 * takes the flag away, without a flush: the reader's CPU still has the translation.
 */
TEST_F(flush, a_slot_that_was_read_is_gone_whoever_cleared_its_flag)
{
	int refs = open("/proc/self/clear_refs", O_WRONLY), i, batched;
	struct greenstk_switch e[2];
	struct reader r = { 0 };
	uint64_t rounds;
	pthread_t thread;

	if (refs < 0)
		SKIP(return, "no clear_refs");
	stop = true;
	pthread_join(self->thread, NULL);
	self->thread = 0;
	stop = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, reread_slot, &r));
	for (i = 0; i < 20; i++) {
		/* Alone a range is flushed, or all. */
		batched = i & 1;
		paint(window_base(&self->o, 0), PAGE, i);
		e[0] = (struct greenstk_switch){ .window = 0, .out_bytes = PAGE };
		ASSERT_EQ(0, do_switch(&self->o, &e[0]));
		r.at = self->o.map + e[0].slot_offset;
		rounds = r.rounds;
		while (r.rounds < rounds + 2)
			usleep(100);
		ASSERT_EQ(1, write(refs, "1", 1));
		e[0] = (struct greenstk_switch){
			.window = 0, .handle_in = e[0].handle_out, .eager_pages = EAGER,
		};
		e[1] = (struct greenstk_switch){ .window = 8 };
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, 1 + batched, sizeof(*e), 0, NULL));
		ASSERT_EQ(0, e[0].result);
		rounds = r.rounds;
		while (r.at && r.rounds < rounds + 2)
			usleep(100);
		/* The read that was under way, but none after it. */
		EXPECT_LT(r.rounds, rounds + 2);
		r.at = NULL;
		EXPECT_EQ(0, painted(window_base(&self->o, 0), PAGE, i));
	}
	stop = true;
	pthread_join(thread, NULL);
	close(refs);
}

TEST_HARNESS_MAIN
