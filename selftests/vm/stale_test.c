// SPDX-License-Identifier: MIT
/*
 * A page that left a window is given back only when no CPU can reach it any
 * more. A second thread writes without pause to the pages that go: through the
 * translations that its CPU still has. A late write lands in a freed page: the
 * debug kernel poisons those and says so in its log; elsewhere other memory
 * would change.
 *
 * A zap frees in portions, and flushes before each, but only what it zapped
 * itself. The portion is large as long as a page for its list can be had; where
 * there is fault injection it cannot, so that a portion is a few pages, and most
 * of a batch is freed before the flush that ends it. The module must hold them.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "inject.h"
#include "kselftest_harness.h"
#include "object.h"

/*
 * Only the pages of the first windows or slots are written to: they are freed first,
 * and few enough that the emulator's small TLB holds them all. A miss would find a
 * hole, and the writer would wait in its fault until all is over.
 */
#define NR 32
#define WRITTEN 2
#define WINDOW (8 * PAGE)
#define ROUNDS 20
#define MANY 2		/* flushes of a call whose portions are small, at least */
#define SHORT (2 * PAGE)
#define LONG (6 * PAGE)
#define STRANGER_PAGES 256

FIXTURE(stale)
{
	struct object o;
	atomic_int stop;
	atomic_int round;	/* writers of slots begin anew */
	atomic_ulong passes;
	char *at[NR];		/* base of each slot */
	pthread_t writer, zapper;
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Writes one word in each scratch page, over and over: its CPU keeps the translations. */
static void *write_scratch(void *arg)
{
	FIXTURE_DATA(stale) *self = arg;
	unsigned long n = 0;
	int w, p;

	pin(1);
	while (!atomic_load_explicit(&self->stop, memory_order_relaxed)) {
		for (w = 0; w < WRITTEN; w++)
			for (p = 3; p <= 6; p++)
				*(volatile unsigned long *)(window_base(&self->o, w) - p * PAGE + 512) = ++n;
		atomic_fetch_add_explicit(&self->passes, 1, memory_order_relaxed);
	}
	return NULL;
}

/* The writer has a translation of each page now, and will not stop at a hole. */
static void wait_for_writer(FIXTURE_DATA(stale) *self)
{
	unsigned long passes = atomic_load(&self->passes);

	while (atomic_load(&self->passes) < passes + 2)
		sched_yield();
}

static sigjmp_buf gone;

static void on_bus(int sig)
{
	siglongjmp(gone, 1);
}

/* The same to slots, each round until they are gone. */
static void *write_slots(void *arg)
{
	FIXTURE_DATA(stale) *self = arg;
	unsigned long n = 0;
	volatile int round = 0;
	int w, p;

	pin(1);
	while (!atomic_load(&self->stop)) {
		if (sigsetjmp(gone, 1) || round == atomic_load(&self->round)) {
			sched_yield();
			continue;
		}
		round++;
		while (!atomic_load_explicit(&self->stop, memory_order_relaxed)) {
			for (w = 0; w < WRITTEN; w++)
				for (p = 3; p <= 6; p++)
					*(volatile unsigned long *)(self->at[w] - p * PAGE + 512) = ++n;
			atomic_fetch_add_explicit(&self->passes, 1, memory_order_relaxed);
		}
	}
	return NULL;
}

FIXTURE_SETUP(stale)
{
	signal(SIGBUS, on_bus);
	pin(0);
	/* The emulator flushes all for a page near a huge one: no huge page anywhere. */
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = NR, .window_bytes = WINDOW, .guard_bytes = PAGE }));
}

FIXTURE_TEARDOWN(stale)
{
	atomic_store(&self->stop, 1);
	if (self->writer)
		pthread_join(self->writer, NULL);
	if (self->zapper)
		pthread_join(self->zapper, NULL);
	object_close(&self->o);
}

/* So does the insert path, always: how many of its flushes find the writer running is chance. */
static bool flush_by_range(void)
{
	char path[8] = "";

	return read_param("move_path", path, sizeof(path)) && path[0] == '3';
}

/* The call, with portions as small as can be: @flushes grows by what the writer saw of them. */
static int small_portions(struct object *o, unsigned long cmd, void *e, uint32_t nr, uint32_t size,
			  uint32_t *done, long *flushes)
{
	long before = shootdowns();
	int err;

	inject_pages(0, -1, true);
	err = batch(o, cmd, e, nr, size, 0, done);
	inject_stop(-1);
	*flushes += inject_available() && !flush_by_range() ? shootdowns() - before : MANY;
	return err;
}

/* Fresh memory that reuses freed pages at once; nobody may have written there. */
static bool stranger_is_clean(void)
{
	char *p = mmap(NULL, STRANGER_PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	bool clean = all_zero(p, STRANGER_PAGES * PAGE);

	munmap(p, STRANGER_PAGES * PAGE);
	return clean;
}

TEST_F_TIMEOUT(stale, scratch_pages_go_after_the_flush, 240)
{
	struct greenstk_switch e[NR];
	uint32_t done;
	long flushes = 0;
	int round, i;

	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_scratch, self));
	for (round = 0; round < ROUNDS; round++) {
		uint64_t parked[NR];

		/* Long stacks are parked; the writer refills the pages below a short one. */
		for (i = 0; i < NR; i++)
			e[i] = (struct greenstk_switch){ .window = i, .out_bytes = LONG };
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), 0, &done));
		ASSERT_EQ(NR, done);
		for (i = 0; i < NR; i++) {
			ASSERT_EQ(0, e[i].result);
			parked[i] = e[i].handle_out;
			paint(window_base(&self->o, i), SHORT, i);
			*(volatile char *)(window_base(&self->o, i) - LONG) = 1;
		}
		for (i = 0; i < NR; i++)
			e[i] = (struct greenstk_switch){ .window = i, .out_bytes = SHORT, .eager_pages = EAGER, .handle_in = parked[i] };
		wait_for_writer(self);
		ASSERT_EQ(0, small_portions(&self->o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), &done, &flushes));
		ASSERT_EQ(NR, done);
		for (i = 0; i < NR; i++) {
			ASSERT_EQ(0, e[i].result);
			EXPECT_EQ(0, drop(&self->o, e[i].handle_out));
		}
		ASSERT_TRUE(stranger_is_clean());
	}
	/* Else the portions were large, or the writer stood still: nothing was tested. */
	EXPECT_GE(flushes, ROUNDS * MANY);
}

TEST_F_TIMEOUT(stale, reclaimed_pages_go_after_the_flush, 240)
{
	struct greenstk_reclaim e[NR];
	uint32_t done;
	long flushes = 0;
	int round, i;

	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_scratch, self));
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR; i++) {
			paint(window_base(&self->o, i), LONG, i);
			e[i] = (struct greenstk_reclaim){ .window = i, .keep_bytes = SHORT };
		}
		wait_for_writer(self);
		ASSERT_EQ(0, small_portions(&self->o, GREENSTK_RECLAIM, e, NR, sizeof(e[0]), &done, &flushes));
		ASSERT_TRUE(stranger_is_clean());
	}
	/* Else the portions were large, or the writer stood still: nothing was tested. */
	EXPECT_GE(flushes, ROUNDS * MANY);
}

/* New slots, and a writer that has their translations. Return: 0 or an error. */
static int fill_slots(FIXTURE_DATA(stale) *self, uint64_t *handle)
{
	struct greenstk_populate p[NR] = { 0 };
	uint32_t done, i;

	for (i = 0; i < NR; i++)
		p[i].bytes = LONG;
	if (batch(&self->o, GREENSTK_POPULATE, p, NR, sizeof(p[0]), 0, &done) || done != NR)
		return 1;
	for (i = 0; i < NR; i++) {
		if (p[i].result)
			return p[i].result;
		handle[i] = p[i].handle;
		self->at[i] = self->o.map + p[i].slot_offset + LONG;
	}
	atomic_fetch_add(&self->round, 1);
	wait_for_writer(self);
	return 0;
}

TEST_F_TIMEOUT(stale, dropped_pages_go_after_the_flush, 240)
{
	struct greenstk_drop e[NR];
	uint64_t handle[NR];
	uint32_t done;
	long flushes = 0;
	int round, i;

	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_slots, self));
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, fill_slots(self, handle));
		for (i = 0; i < NR; i++)
			e[i] = (struct greenstk_drop){ .handle = handle[i] };
		ASSERT_EQ(0, small_portions(&self->o, GREENSTK_DROP, e, NR, sizeof(e[0]), &done, &flushes));
		ASSERT_EQ(NR, done);
		ASSERT_TRUE(stranger_is_clean());
	}
	/* Else the portions were large, or the writer stood still: nothing was tested. */
	EXPECT_GE(flushes, ROUNDS * MANY);
}

/* Gives back every window's pages: also those that a SWITCH has just put there. */
static void *zap_windows(void *arg)
{
	FIXTURE_DATA(stale) *self = arg;

	inject_pages(0, -1, true);
	while (!atomic_load_explicit(&self->stop, memory_order_relaxed))
		madvise(self->o.map, self->o.s.words_offset, MADV_DONTNEED);
	return NULL;
}

/*
 * Parked stacks are written to at their slots while they go into windows that are
 * zapped at that moment: the zap knows nothing of the slot's address.
 */
TEST_F_TIMEOUT(stale, parked_pages_that_are_zapped_go_after_the_flush, 240)
{
	struct greenstk_switch e[NR];
	uint64_t handle[NR];
	uint32_t done;
	int round, i;

	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_slots, self));
	ASSERT_EQ(0, pthread_create(&self->zapper, NULL, zap_windows, self));
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, fill_slots(self, handle));
		for (i = 0; i < NR; i++)
			e[i] = (struct greenstk_switch){ .window = i, .eager_pages = EAGER, .handle_in = handle[i] };
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), 0, &done));
		ASSERT_EQ(NR, done);
		ASSERT_TRUE(stranger_is_clean());
	}
}

TEST_HARNESS_MAIN
