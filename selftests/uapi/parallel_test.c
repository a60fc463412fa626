// SPDX-License-Identifier: MIT
/* Switches of different windows do not wait for each other, nor (where the kernel can) for mmap_lock. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

#define LONG_ENTRIES 120
#define LONG_PAGES 40

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

struct other {
	struct object *o;
	volatile bool stop;
	volatile unsigned long calls;	/* odd while one is under way */
	volatile long bad;
};

static void begin_end(struct other *s)
{
	__atomic_fetch_add(&s->calls, 1, __ATOMIC_SEQ_CST);
}

/* One long bracket after the other: 120 windows, 40 pages each. */
static void *switch_many(void *arg)
{
	struct other *s = arg;
	struct greenstk_switch e[LONG_ENTRIES];
	uint64_t handle[LONG_ENTRIES] = { 0 };
	uint32_t i, done;

	pin(1);
	while (!s->stop) {
		for (i = 0; i < LONG_ENTRIES; i++)
			e[i] = (struct greenstk_switch){
				.window = i, .out_bytes = LONG_PAGES * PAGE, .handle_in = handle[i],
				.eager_pages = EAGER,
			};
		begin_end(s);
		s->bad |= batch(s->o, GREENSTK_SWITCH, e, LONG_ENTRIES, sizeof(*e), 0, &done);
		begin_end(s);
		s->bad |= done != LONG_ENTRIES;
		for (i = 0; i < done; i++) {
			s->bad |= e[i].result;
			handle[i] = e[i].handle_out;
		}
	}
	return NULL;
}

FIXTURE(parallel)
{
	struct object o;
	struct other s;
	uint64_t handle;
};

FIXTURE_SETUP(parallel)
{
	uint32_t i;

	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = 128 }));
	for (i = 0; i < LONG_ENTRIES; i++)
		paint(window_base(&self->o, i), LONG_PAGES * PAGE, i);
	paint(window_base(&self->o, 127), PAGE, 127);
	ASSERT_EQ(0, park(&self->o, 127, PAGE, &self->handle));
	paint(window_base(&self->o, 127), PAGE, 128);
	self->s.o = &self->o;
	pin(0);
}

FIXTURE_TEARDOWN(parallel)
{
	object_close(&self->o);
}

static long exchange(struct object *o, uint64_t *handle)
{
	struct greenstk_switch e = {
		.window = 127, .out_bytes = PAGE, .handle_in = *handle, .eager_pages = EAGER,
	};
	int err = do_switch(o, &e);

	*handle = e.handle_out;
	return err;
}

/*
 * While one long call of the other thread is under way, short ones of this thread
 * begin and end. If they excluded each other few could, while the long one waits for
 * its turn. How few depends on how unfair the lock is; one around all is found for
 * sure by a_window_that_is_held_is_waited_for: nobody comes as far as the window's.
 */
TEST_F_TIMEOUT(parallel, switches_of_different_windows_run_at_the_same_time, 180)
{
	unsigned long before, inside = 0, good = 0, seen = 0;
	double end = now() + 150;
	pthread_t thread;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one CPU");
	ASSERT_EQ(0, pthread_create(&thread, NULL, switch_many, &self->s));
	/* A busy host may stop one of the two for a while: half of the last 16 calls will do. */
	while (now() < end && __builtin_popcountl(good & 0xffff) < 8) {
		before = self->s.calls;
		ASSERT_EQ(0, exchange(&self->o, &self->handle));
		if (!(before & 1) || self->s.calls != before)
			continue;
		if (seen != before) {
			good = good << 1 | (inside >= 3);
			seen = before;
			inside = 0;
		}
		inside++;
	}
	self->s.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, self->s.bad);
	EXPECT_GE(__builtin_popcountl(good & 0xffff), 8);
	EXPECT_EQ(0, stat_of(&self->o).lock_waits);
}

static void *map_and_unmap(void *arg)
{
	struct other *s = arg;
	size_t bytes = 64 * PAGE;
	/* Far from the object: a neighbour's VMA is locked too. */
	char *island = mmap(NULL, 4 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pin(1);
	while (!s->stop) {
		char *p = mmap(island + bytes, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);

		s->bad |= p == MAP_FAILED;
		mprotect(p, bytes, PROT_READ);
		begin_end(s);
	}
	munmap(island, 4 * bytes);
	return NULL;
}

TEST_F_TIMEOUT(parallel, a_switch_does_not_wait_for_mmap_elsewhere, 120)
{
	struct greenstk_stat st[2];
	unsigned int release = 0, minor = 0, i;
	struct utsname u;
	pthread_t thread;

	ASSERT_EQ(0, uname(&u));
	ASSERT_EQ(2, sscanf(u.release, "%u.%u", &release, &minor));
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_and_unmap, &self->s));
	while (!self->s.calls)
		usleep(1000);
	st[0] = stat_of(&self->o);
	for (i = 0; i < 2000 || self->s.calls < 50; i++)
		ASSERT_EQ(0, exchange(&self->o, &self->handle));
	st[1] = stat_of(&self->o);
	self->s.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, self->s.bad);
	if (release > 7 || (release == 7 && minor >= 2)) {
		EXPECT_GE(st[1].vma_locks - st[0].vma_locks, i - i / 100);
	} else {
		EXPECT_EQ(0, st[1].vma_locks);
	}
}

TEST_F(parallel, a_window_that_is_held_is_waited_for)
{
	struct other *s = &self->s;
	struct greenstk_switch e;
	pthread_t thread;
	double end = now() + 20;

	ASSERT_EQ(0, pthread_create(&thread, NULL, switch_many, s));
	/* One of the windows of the other thread, locked for as long as its bracket takes. */
	while (now() < end && !stat_of(&self->o).lock_waits) {
		e = (struct greenstk_switch){ .window = 0, .handle_in = 0 };
		ASSERT_EQ(0, do_switch(&self->o, &e));
	}
	s->stop = true;
	pthread_join(thread, NULL);
	EXPECT_GE(stat_of(&self->o).lock_waits, 1);
	EXPECT_EQ(0, s->bad);
}

TEST_HARNESS_MAIN
