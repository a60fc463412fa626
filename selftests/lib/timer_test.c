// SPDX-License-Identifier: MIT
/* Sleep and timer objects. */
#include "wait_test.h"

static void *sleep_ms(void *arg)
{
	uint64_t ns = (uintptr_t)arg * MS, t0 = gstk_now();
	int r = gstk_sleep(ns);

	if (!r)
		CHECK(gstk_now() >= t0 + ns);
	return (void *)(long)r;
}

WAIT_TEST(sleepers_wake_in_time_and_never_early)
{
	enum { N = 200 };
	static gstk_task *t[N];
	uint64_t t0, took = GSTK_NEVER;

	/* The machine may be busy, but not each time when nothing is wrong here. */
	for (int round = 0; round < 20 && took >= 1000 * MS; round++) {
		t0 = gstk_now();
		for (uintptr_t i = 0; i < N; i++)
			t[i] = start(sleep_ms, (void *)(i % 40));
		for (int i = 0; i < N; i++)
			CHECK_EQ(finish(t[i]), 0);
		took = gstk_now() - t0;
	}
	CHECK(took < 1000 * MS);
	CHECK_EQ(gstk_sleep(0), 0);
	CHECK_EQ(gstk_sleep_until(0), 0);
}

WAIT_TEST(a_sleep_is_cancelled_and_ends_at_the_tasks_deadline)
{
	gstk_task *t = start(sleep_ms, (void *)100000);
	uint64_t t0 = gstk_now();

	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	gstk_deadline_set(gstk_now() + 3 * MS);
	CHECK_EQ(gstk_sleep(100000 * MS), -ETIMEDOUT);
	gstk_deadline_set(GSTK_NEVER);
	CHECK(gstk_now() - t0 < 5000 * MS);
}

/* Each over sooner than the task gets back from it. */
WAIT_TEST(many_sleeps_of_nothing_end_at_the_tasks_deadline)
{
	static const uint64_t ns[] = { 0, 1, 100, 1000 };

	for (unsigned int i = 0; i < sizeof(ns) / sizeof(*ns); i++) {
		uint64_t t0 = gstk_now();
		int err;

		gstk_deadline_set(t0 + MS);
		while (!(err = gstk_sleep(ns[i])))
			CHECK(gstk_now() - t0 < 5000 * MS);
		CHECK_EQ(err, -ETIMEDOUT);
		CHECK(gstk_now() - t0 >= MS - ns[i]);
		gstk_deadline_set(GSTK_NEVER);
		CHECK_EQ(gstk_sleep(ns[i]), 0);
	}
}

WAIT_TEST(a_timer_sends_once)
{
	gstk_timer *tm;
	uint64_t n = 0, t0 = gstk_now();

	CHECK_EQ(gstk_timer_create(&tm), 0);
	CHECK_EQ(gstk_timer_set(tm, t0 + 5 * MS, 0), 0);
	CHECK_EQ(gstk_chan_recv(gstk_timer_chan(tm), &n), 0);
	CHECK(gstk_now() >= t0 + 5 * MS);
	CHECK_EQ(n, 1);
	CHECK_EQ(gstk_chan_recv_until(gstk_timer_chan(tm), &n, gstk_now() + 10 * MS), -ETIMEDOUT);
	/* in the past: at once */
	CHECK_EQ(gstk_timer_set(tm, 1, 0), 0);
	CHECK_EQ(gstk_chan_recv_until(gstk_timer_chan(tm), &n, gstk_now() + 5000 * MS), 0);
	CHECK_EQ(gstk_timer_destroy(tm), 0);
}

WAIT_TEST(a_period_is_kept_and_missed_expiries_are_counted)
{
	gstk_timer *tm;
	uint64_t n, sum = 0, t0 = gstk_now();

	CHECK_EQ(gstk_timer_create(&tm), 0);
	CHECK_EQ(gstk_timer_set(tm, t0 + 2 * MS, 2 * MS), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(gstk_chan_recv(gstk_timer_chan(tm), &n), 0);
		sum += n;
		CHECK(gstk_now() >= t0 + sum * 2 * MS);
	}
	n = 0;
	for (int round = 0; n < 9; round++) { /* whose worker has no CPU is not looked at for a while */
		CHECK(round < 100);
		gstk_sleep(20 * MS); /* nobody receives meanwhile */
		CHECK(gstk_chan_len(gstk_timer_chan(tm)) <= 1);
		CHECK_EQ(gstk_chan_recv(gstk_timer_chan(tm), &n), 0);
		sum += n;
	}
	CHECK(sum <= (gstk_now() - t0) / (2 * MS));
	CHECK_EQ(gstk_timer_stop(tm), 0);
	gstk_chan_try_recv(gstk_timer_chan(tm), &n);
	CHECK_EQ(gstk_chan_recv_until(gstk_timer_chan(tm), &n, gstk_now() + 10 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_timer_destroy(tm), 0);
}

WAIT_TEST(a_new_setting_replaces_the_old)
{
	gstk_timer *tm;
	uint64_t n, t0 = gstk_now();

	CHECK_EQ(gstk_timer_create(&tm), 0);
	CHECK_EQ(gstk_timer_set(tm, t0 + 100000 * MS, 0), 0);
	CHECK_EQ(gstk_timer_set(tm, t0 + 3 * MS, 0), 0);
	CHECK_EQ(gstk_chan_recv(gstk_timer_chan(tm), &n), 0);
	CHECK(gstk_now() - t0 < 5000 * MS);
	CHECK_EQ(gstk_timer_set(tm, gstk_now() + 2 * MS, 0), 0);
	CHECK_EQ(gstk_timer_set(tm, GSTK_NEVER, 0), 0);
	CHECK_EQ(gstk_chan_recv_until(gstk_timer_chan(tm), &n, gstk_now() + 10 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_timer_destroy(tm), 0);
}

/* Timed waits (wheel under channel) and expiries (channel under wheel) at once. */
static gstk_timer *shared;
static _Atomic uint64_t ticks;
static _Atomic int stop;

static void *tick_receiver(void *arg)
{
	uint64_t n;

	while (!atomic_load(&stop))
		if (!gstk_chan_recv_until(gstk_timer_chan(shared), &n, gstk_now() + 100000))
			atomic_fetch_add(&ticks, n);
	return NULL;
}

WAIT_TEST(expiries_and_timed_waits_on_one_channel_do_not_lock_each_other_up)
{
	gstk_task *t[8];
	uint64_t n = 0, t0 = gstk_now();

	atomic_store(&stop, 0);
	atomic_store(&ticks, 0);
	CHECK_EQ(gstk_timer_create(&shared), 0);
	CHECK_EQ(gstk_timer_set(shared, t0, 20000), 0);
	for (int i = 0; i < 8; i++)
		t[i] = start(tick_receiver, NULL);
	gstk_sleep(scaled(300) * MS);
	while (ticks <= 100)
		gstk_sleep(MS);
	CHECK_EQ(gstk_timer_stop(shared), 0);
	uint64_t t1 = gstk_now();
	atomic_store(&stop, 1);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	while (!gstk_chan_try_recv(gstk_timer_chan(shared), &n))
		atomic_fetch_add(&ticks, n);
	CHECK(ticks <= (t1 - t0) / 20000 + 1);
	CHECK_EQ(gstk_timer_destroy(shared), 0);
}

static void *timer_receiver(void *arg)
{
	uint64_t n;

	return (void *)(long)gstk_chan_recv(gstk_timer_chan(shared), &n);
}

WAIT_TEST(a_timer_that_somebody_waits_for_is_stopped_but_not_freed)
{
	uint64_t patience = 20 * MS, due;
	gstk_task *t;
	int err;

	for (;; patience *= 2) { /* until it was not due before */
		CHECK_EQ(gstk_timer_create(&shared), 0);
		t = start(timer_receiver, NULL);
		settle();
		due = gstk_now() + patience;
		CHECK_EQ(gstk_timer_set(shared, due, 0), 0);
		err = gstk_timer_destroy(shared);
		if (gstk_now() < due)
			break;
		gstk_cancel(t);
		finish(t);
		if (err)
			CHECK_EQ(gstk_timer_destroy(shared), 0);
	}
	CHECK_EQ(err, -EBUSY);
	gstk_sleep_until(due + 20 * MS);
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED); /* so it was stopped */
	CHECK_EQ(gstk_timer_destroy(shared), 0);
	CHECK_EQ(gstk_timer_destroy(NULL), 0);
}

static void *thread_timer(void *arg)
{
	gstk_timer *tm;
	uint64_t n;

	CHECK_EQ(gstk_timer_create(&tm), 0);
	CHECK_EQ(gstk_timer_set(tm, gstk_now() + 3 * MS, 0), 0);
	CHECK_EQ(gstk_chan_recv(gstk_timer_chan(tm), &n), 0);
	CHECK_EQ(gstk_timer_destroy(tm), 0);
	CHECK_EQ(gstk_sleep(3 * MS), 0);
	return NULL;
}

WAIT_TEST(a_foreign_thread_uses_timers_while_all_workers_sleep)
{
	pthread_t th;

	CHECK_EQ(pthread_create(&th, NULL, thread_timer, NULL), 0);
	gstk_sleep(300 * MS);
	CHECK_EQ(pthread_join(th, NULL), 0);
}

/* Its worker has not looked at the clock meanwhile, and takes the deadline for far. */
WAIT_TEST(a_deadline_that_passed_while_its_task_computed_is_over_at_once)
{
	uint64_t deadline = gstk_now() + 300 * MS, before;
	gstk_chan *c;
	char v;

	CHECK_EQ(gstk_chan_create(&c, 1, 0), 0);
	while (gstk_now() < deadline + 10 * MS)
		;
	before = gstk_now();
	CHECK_EQ(gstk_chan_recv_until(c, &v, deadline), -ETIMEDOUT);
	CHECK_EQ(gstk_sem_wait_until(&(gstk_sem)GSTK_SEM_INIT(0), deadline), -ETIMEDOUT);
	CHECK(gstk_now() - before < 5000 * MS);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

TEST_HARNESS_MAIN
