// SPDX-License-Identifier: MIT
/*
 * A page that left a window is given back only when no CPU can reach it any
 * more. A second thread writes without pause to the pages below the stacks,
 * which every SWITCH takes away because longer stacks come in, and which
 * RECLAIM takes away too. A late write lands in a freed page: the debug kernel
 * poisons those and says so in its log; elsewhere other memory would change.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

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
	unsigned long writes;
	pthread_t writer;
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
	self->writes = n;
	return NULL;
}

FIXTURE_SETUP(stale)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = NR }));
	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_scratch, self));
}

FIXTURE_TEARDOWN(stale)
{
	atomic_store(&self->stop, 1);
	pthread_join(self->writer, NULL);
	object_close(&self->o);
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

	for (round = 0; round < 60; round++) {
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
		ASSERT_EQ(0, batch(&self->o, GREENSTK_SWITCH, e, NR, sizeof(e[0]), 0, &done));
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

	for (round = 0; round < 60; round++) {
		for (i = 0; i < NR; i++) {
			paint(window_base(&self->o, i), LONG, i);
			e[i] = (struct greenstk_reclaim){ .window = i, .keep_bytes = SHORT };
		}
		ASSERT_EQ(0, batch(&self->o, GREENSTK_RECLAIM, e, NR, sizeof(e[0]), GREENSTK_RECLAIM_NOW, &done));
		ASSERT_TRUE(stranger_is_clean());
	}
}

TEST_HARNESS_MAIN
