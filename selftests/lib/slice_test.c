// SPDX-License-Identifier: MIT
/* gstk_check(): tasks that compute for long share a worker, though none of them waits. */
#include "wait_test.h"

static _Atomic bool done;
static _Atomic int turns;

static void with_one(unsigned int windows, void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = windows };

	alarm(100);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

/* Never waits; ends when another one has had its turn. */
static void *computes(void *arg)
{
	while (!done)
		CHECK_EQ(gstk_check(), 0);
	return NULL;
}

static void *sets_done(void *arg)
{
	done = true;
	return NULL;
}

static void a_task_waits(void)
{
	gstk_task *t = start(computes, NULL), *u = start(sets_done, NULL);

	computes(NULL);
	finish(t);
	finish(u);
}

TEST(a_task_that_waits_for_the_worker_gets_its_turn)
{
	with_one(0, a_task_waits);
}

TEST(so_does_one_that_waits_for_the_window)
{
	with_one(1, a_task_waits);
}

static void *takes_turns(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 10; i++) {
		while (turns % 3 != me)
			CHECK_EQ(gstk_check(), 0);
		turns++;
	}
	return NULL;
}

static void three(void)
{
	gstk_task *t[3];

	for (long i = 0; i < 3; i++)
		t[i] = start(takes_turns, (void *)i);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	CHECK_EQ(turns, 30);
}

TEST(computations_run_by_turns)
{
	with_one(0, three);
}

static uint64_t yields_so_far(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s.yields;
}

/* At the next check after it is due, though the loop has seen short turns only, and looks at every 61st. */
static void a_timer(void)
{
	uint64_t before;
	gstk_task *t;

	for (int i = 0; i < 10000; i++)
		gstk_yield();
	t = start(computes, NULL);
	before = yields_so_far();
	CHECK_EQ(gstk_sleep(5 * MS), 0);
	CHECK(yields_so_far() - before <= 10);
	done = true;
	finish(t);
}

TEST(timers_fire_meanwhile)
{
	with_one(0, a_timer);
}

static int ends[2];

static void *writes(void *arg)
{
	usleep(5000);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	return NULL;
}

static void a_descriptor(void)
{
	gstk_task *t;
	pthread_t th;
	char c;

	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(pthread_create(&th, NULL, writes, NULL), 0);
	t = start(computes, NULL);
	CHECK_EQ(gstk_read(ends[0], &c, 1), 1);
	done = true;
	finish(t);
	pthread_join(th, NULL);
}

TEST(descriptors_are_looked_at_meanwhile)
{
	with_one(0, a_descriptor);
}

static void *never_ends(void *arg)
{
	int err;

	if (arg)
		CHECK_EQ(gstk_deadline_set(gstk_now() + 5 * MS), 0);
	while (!(err = gstk_check()))
		;
	return (void *)(long)err;
}

static void told_to_stop(void)
{
	gstk_task *t = start(never_ends, NULL);

	CHECK_EQ(gstk_sleep(2 * MS), 0);
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(finish(start(never_ends, (void *)1L)), -ETIMEDOUT);
}

TEST(cancels_and_deadlines_are_seen)
{
	with_one(0, told_to_stop);
}

/* Others that are ready do not get it sooner than after a quantum. */
static void no_more_often(void)
{
	uint64_t before = yields_so_far(), begin = gstk_now(), n;
	gstk_task *t = start(sets_done, NULL);

	for (n = 0; gstk_now() - begin < 20 * MS; n++)
		for (int i = 0; i < 100; i++)
			CHECK_EQ(gstk_check(), 0);
	CHECK(yields_so_far() - before <= (gstk_now() - begin) * 2 / MS + 1);
	CHECK(yields_so_far() - before >= 1);
	finish(t);
}

TEST(not_before_a_quantum_is_over)
{
	with_one(0, no_more_often);
}

TEST(outside_a_task_it_does_nothing)
{
	EXPECT_EQ(0, gstk_check());
}

TEST_HARNESS_MAIN
