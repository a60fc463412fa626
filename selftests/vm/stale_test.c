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

#include "inject.h"
#include "kselftest_harness.h"
#include "object.h"

#define NR 64
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

/* Writes one word in each scratch page, over and over: its CPU keeps the translations. */
static void *write_scratch(void *arg)
{
	FIXTURE_DATA(stale) *self = arg;
	unsigned long n = 0;
	int w, p;

	while (!atomic_load_explicit(&self->stop, memory_order_relaxed))
		for (w = 0; w < NR; w++)
			for (p = 3; p <= 6; p++)
				*(volatile unsigned long *)(window_base(&self->o, w) - p * PAGE + 512) = ++n;
	return NULL;
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

	while (!atomic_load(&self->stop)) {
		if (sigsetjmp(gone, 1) || round == atomic_load(&self->round)) {
			sched_yield();
			continue;
		}
		round++;
		while (!atomic_load_explicit(&self->stop, memory_order_relaxed)) {
			for (w = 0; w < NR; w++)
				for (p = 1; p <= 6; p++)
					*(volatile unsigned long *)(self->at[w] - p * PAGE + 512) = ++n;
			atomic_fetch_add_explicit(&self->passes, 1, memory_order_relaxed);
		}
	}
	return NULL;
}

FIXTURE_SETUP(stale)
{
	signal(SIGBUS, on_bus);
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = NR }));
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

/* The call, with portions as small as can be. */
static int small_portions(struct object *o, unsigned long cmd, void *e, uint32_t nr, uint32_t size, uint32_t *done)
{
	int err;

	inject_pages(0, -1, true);
	err = batch(o, cmd, e, nr, size, 0, done);
	inject_stop(-1);
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
	int round, i;

	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_scratch, self));
	for (round = 0; round < 40; round++) {
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
		ASSERT_EQ(0, small_portions(&self->o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), &done));
		ASSERT_EQ(NR, done);
		for (i = 0; i < NR; i++) {
			ASSERT_EQ(0, e[i].result);
			EXPECT_EQ(0, drop(&self->o, e[i].handle_out));
		}
		ASSERT_TRUE(stranger_is_clean());
	}
}

TEST_F_TIMEOUT(stale, reclaimed_pages_go_after_the_flush, 240)
{
	struct greenstk_reclaim e[NR];
	uint32_t done;
	int round, i;

	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_scratch, self));
	for (round = 0; round < 40; round++) {
		for (i = 0; i < NR; i++) {
			paint(window_base(&self->o, i), LONG, i);
			e[i] = (struct greenstk_reclaim){ .window = i, .keep_bytes = SHORT };
		}
		ASSERT_EQ(0, small_portions(&self->o, GREENSTK_RECLAIM, e, NR, sizeof(e[0]), &done));
		ASSERT_TRUE(stranger_is_clean());
	}
}

/* New slots, and a writer that has their translations. Return: 0 or an error. */
static int fill_slots(FIXTURE_DATA(stale) *self, uint64_t *handle)
{
	struct greenstk_populate p[NR] = { 0 };
	unsigned long passes;
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
	passes = atomic_load(&self->passes);
	atomic_fetch_add(&self->round, 1);
	while (atomic_load(&self->passes) < passes + 2)
		sched_yield();
	return 0;
}

TEST_F_TIMEOUT(stale, dropped_pages_go_after_the_flush, 240)
{
	struct greenstk_drop e[NR];
	uint64_t handle[NR];
	uint32_t done;
	int round, i;

	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_slots, self));
	for (round = 0; round < 40; round++) {
		ASSERT_EQ(0, fill_slots(self, handle));
		for (i = 0; i < NR; i++)
			e[i] = (struct greenstk_drop){ .handle = handle[i] };
		ASSERT_EQ(0, small_portions(&self->o, GREENSTK_DROP, e, NR, sizeof(e[0]), &done));
		ASSERT_EQ(NR, done);
		ASSERT_TRUE(stranger_is_clean());
	}
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
	for (round = 0; round < 40; round++) {
		ASSERT_EQ(0, fill_slots(self, handle));
		for (i = 0; i < NR; i++)
			e[i] = (struct greenstk_switch){ .window = i, .eager_pages = EAGER, .handle_in = handle[i] };
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), 0, &done));
		ASSERT_EQ(NR, done);
		ASSERT_TRUE(stranger_is_clean());
	}
}

TEST_HARNESS_MAIN
