// SPDX-License-Identifier: MIT
/* Condition, semaphore, wait group. */
#include "wait_test.h"

static gstk_mutex m = GSTK_MUTEX_INIT;
static gstk_cond co = GSTK_COND_INIT;
static gstk_sem se = GSTK_SEM_INIT(0);
static gstk_waitgroup wg = GSTK_WAITGROUP_INIT;
static _Atomic int n, stop;
static int value;

/* ---- condition ---- */

static void *wait_for_value(void *arg)
{
	int r = 0;

	CHECK_EQ(gstk_mutex_lock(&m), 0);
	while (value < (int)(uintptr_t)arg && !r)
		r = gstk_cond_wait(&co, &m);
	atomic_fetch_add(&n, 1);
	CHECK_EQ(gstk_mutex_unlock(&m), 0); /* it is ours in any case */
	return (void *)(long)r;
}

static void set_value(int v)
{
	CHECK_EQ(gstk_mutex_lock(&m), 0);
	value = v;
	CHECK_EQ(gstk_cond_broadcast(&co), 0);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
}

WAIT_TEST(a_broadcast_wakes_all_who_wait)
{
	enum { N = 300 };
	static gstk_task *t[N];

	value = 0;
	atomic_store(&n, 0);
	for (uintptr_t i = 0; i < N; i++)
		t[i] = start(wait_for_value, (void *)(1 + i % 3));
	settle();
	for (int v = 1; v <= 3; v++)
		set_value(v);
	for (int i = 0; i < N; i++)
		CHECK_EQ(finish(t[i]), 0);
	CHECK_EQ(n, N);
}

static _Atomic int nr_waits; /* who then gets the mutex knows that they wait */

static void *wait_once(void *arg)
{
	int r;

	CHECK_EQ(gstk_mutex_lock(&m), 0);
	nr_waits++;
	r = gstk_cond_wait(&co, &m);
	atomic_fetch_add(&n, 1);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	return (void *)(long)r;
}

WAIT_TEST(a_signal_wakes_one)
{
	gstk_task *t[3];

	atomic_store(&n, 0);
	nr_waits = 0;
	for (int i = 0; i < 3; i++)
		t[i] = start(wait_once, NULL);
	while (nr_waits < 3)
		gstk_sleep(MS);
	for (int i = 1; i <= 3; i++) {
		CHECK_EQ(gstk_mutex_lock(&m), 0); /* they have let go of it: they wait */
		CHECK_EQ(gstk_cond_signal(&co), 0);
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
		while (n < i)
			gstk_sleep(MS);
		settle();
		CHECK_EQ(n, i);
	}
	CHECK_EQ(gstk_cond_signal(&co), 0); /* nobody: forgotten */
	for (int i = 0; i < 3; i++)
		CHECK_EQ(finish(t[i]), 0);
}

WAIT_TEST(a_cancelled_or_late_wait_takes_the_mutex_again)
{
	gstk_task *t;
	uint64_t t0 = gstk_now();

	CHECK_EQ(gstk_mutex_lock(&m), 0);
	CHECK_EQ(gstk_cond_wait_until(&co, &m, t0 + 3 * MS), -ETIMEDOUT);
	CHECK(gstk_now() >= t0 + 3 * MS);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	nr_waits = 0;
	t = start(wait_once, NULL);
	while (!nr_waits)
		gstk_sleep(MS);
	CHECK_EQ(gstk_mutex_lock(&m), 0);
	CHECK_EQ(gstk_cancel(t), 0);
	settle(); /* it was cancelled, but waits for the mutex: that cannot be cancelled */
	atomic_store(&n, 0);
	settle();
	CHECK_EQ(n, 0);
	CHECK_EQ(gstk_cancel(t), 0);
	settle();
	CHECK_EQ(n, 0);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(n, 1);
}

static void *late_by_own_deadline(void *arg)
{
	int r;

	CHECK_EQ(gstk_mutex_lock(&m), 0);
	gstk_deadline_set(gstk_now() + 2 * MS);
	r = gstk_cond_wait(&co, &m);
	gstk_deadline_set(GSTK_NEVER);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	return (void *)(long)r;
}

WAIT_TEST(a_tasks_own_deadline_does_not_keep_it_from_the_mutex)
{
	gstk_task *t = start(late_by_own_deadline, NULL);

	settle();
	CHECK_EQ(gstk_mutex_lock(&m), 0);
	gstk_sleep(20 * MS);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	CHECK_EQ(finish(t), -ETIMEDOUT);
}

WAIT_TEST(a_wait_without_the_mutex_is_refused)
{
	CHECK_EQ(gstk_cond_wait(&co, &m), -EPERM);
}

/* A bounded buffer; consumers are cancelled and time out; every signal reaches one that takes it. */
static int stock, made, used;

static int lock_uncancelled(void)
{
	int r;

	while ((r = gstk_mutex_lock(&m)) == -ECANCELED)
		gstk_cancel_clear();
	return r;
}

static void *consumer(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 1;

	CHECK_EQ(lock_uncancelled(), 0);
	while (!(atomic_load(&stop) && !stock)) {
		int r = 0;

		if (!stock)
			r = gstk_cond_wait_until(&co, &m, rnd(&seed) % 2 ? GSTK_NEVER : gstk_now() + rnd(&seed) % 300000);
		if (r == -ECANCELED)
			gstk_cancel_clear();
		if (stock) {
			stock--;
			used++;
		}
	}
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	return NULL;
}

static void *canceller(void *arg)
{
	gstk_task **t = arg;
	uint32_t seed = 17;

	while (!atomic_load(&stop)) {
		gstk_cancel(t[rnd(&seed) % 8]);
		gstk_sleep(rnd(&seed) % 200000);
	}
	return NULL;
}

WAIT_TEST(no_signal_is_lost_to_cancels_and_timeouts)
{
	static gstk_task *t[8];
	gstk_task *x;
	uint64_t until = gstk_now() + scaled(400) * MS;

	stock = made = used = 0;
	atomic_store(&stop, 0);
	for (uintptr_t i = 0; i < 8; i++)
		t[i] = start(consumer, (void *)i);
	x = start(canceller, t);
	while (gstk_now() < until) {
		CHECK_EQ(lock_uncancelled(), 0);
		stock++;
		made++;
		CHECK_EQ(gstk_cond_signal(&co), 0);
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
		if (made % 16 == 0)
			gstk_sleep(50000);
		else
			gstk_yield();
	}
	CHECK_EQ(lock_uncancelled(), 0);
	atomic_store(&stop, 1);
	CHECK_EQ(gstk_cond_broadcast(&co), 0);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	finish(x);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	CHECK_EQ(made, used);
}

/* ---- semaphore ---- */

static void *sem_wait_one(void *arg)
{
	return (void *)(long)gstk_sem_wait(&se);
}

WAIT_TEST(a_post_lets_in_as_many_as_it_says)
{
	gstk_task *t[5];

	CHECK_EQ(gstk_sem_try_wait(&se), -EAGAIN);
	CHECK_EQ(gstk_sem_post(&se, 2), 0);
	CHECK_EQ(gstk_sem_wait(&se), 0);
	CHECK_EQ(gstk_sem_try_wait(&se), 0);
	CHECK_EQ(gstk_sem_try_wait(&se), -EAGAIN);
	for (int i = 0; i < 5; i++)
		t[i] = start(sem_wait_one, NULL);
	settle();
	CHECK_EQ(gstk_sem_post(&se, 6), 0);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(finish(t[i]), 0);
	CHECK_EQ(se.count, 1);
	CHECK_EQ(gstk_sem_wait(&se), 0);
	uint64_t t0 = gstk_now();
	CHECK_EQ(gstk_sem_wait_until(&se, t0 + 3 * MS), -ETIMEDOUT);
	CHECK(gstk_now() >= t0 + 3 * MS);
}

static _Atomic long taken;
static void *sem_rough(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 1;

	while (!atomic_load(&stop)) {
		int r = gstk_sem_wait_until(&se, rnd(&seed) % 2 ? GSTK_NEVER : gstk_now() + rnd(&seed) % 300000);

		if (!r)
			atomic_fetch_add(&taken, 1);
		else
			gstk_cancel_clear();
	}
	return NULL;
}

WAIT_TEST(no_unit_is_lost_to_cancels_and_timeouts)
{
	gstk_task *t[8];
	uint32_t seed = 3;
	long posted = 0;
	uint64_t until = gstk_now() + scaled(400) * MS;

	atomic_store(&stop, 0);
	atomic_store(&taken, 0);
	for (uintptr_t i = 0; i < 8; i++)
		t[i] = start(sem_rough, (void *)i);
	while (gstk_now() < until) {
		gstk_cancel(t[rnd(&seed) % 8]);
		CHECK_EQ(gstk_sem_post(&se, 3), 0);
		posted += 3;
		gstk_sleep(rnd(&seed) % 100000);
	}
	settle();
	atomic_store(&stop, 1);
	CHECK_EQ(gstk_sem_post(&se, 8), 0);
	posted += 8;
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	CHECK_EQ(posted, taken + (long)se.count);
}

struct flag {
	gstk_sem s;
};

static void *post_it(void *arg)
{
	CHECK_EQ(gstk_sem_post(&((struct flag *)arg)->s, 1), 0);
	return NULL;
}

WAIT_TEST(a_semaphore_may_be_freed_right_after_its_wait)
{
	for (unsigned long i = 0; i < scaled(5000); i++) {
		struct flag *f = malloc(sizeof(*f));

		*f = (struct flag){ GSTK_SEM_INIT(0) };
		CHECK_EQ(gstk_go(post_it, f), 0);
		if (i & 1)
			gstk_yield();
		CHECK_EQ(gstk_sem_wait_until(&f->s, i & 2 ? gstk_now() + 10000 * MS : GSTK_NEVER), 0);
		memset(f, 0xa5, sizeof(*f));
		free(f);
	}
}

static gstk_sem back = GSTK_SEM_INIT(0);

static void *thread_post(void *arg)
{
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(gstk_sem_post(&se, 1), 0);
	CHECK_EQ(gstk_sem_wait(&back), 0);
	return NULL;
}

WAIT_TEST(a_foreign_thread_posts_and_waits)
{
	pthread_t th;

	CHECK_EQ(pthread_create(&th, NULL, thread_post, NULL), 0);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(gstk_sem_wait(&se), 0);
	gstk_sleep(MS);
	CHECK_EQ(gstk_sem_post(&back, 1), 0);
	CHECK_EQ(pthread_join(th, NULL), 0);
}

/* ---- wait group ---- */

static void *done_one(void *arg)
{
	gstk_yield();
	atomic_fetch_add(&n, 1);
	CHECK_EQ(gstk_waitgroup_done(&wg), 0);
	return NULL;
}

static void *wait_group(void *arg)
{
	int r = gstk_waitgroup_wait(&wg);

	return (void *)(long)(r ? r : atomic_load(&n));
}

WAIT_TEST(a_wait_group_waits_for_all)
{
	enum { N = 500 };
	gstk_task *t[3];

	CHECK_EQ(gstk_waitgroup_wait(&wg), 0);
	for (int round = 0; round < 5; round++) {
		atomic_store(&n, 0);
		CHECK_EQ(gstk_waitgroup_add(&wg, N), 0);
		for (int i = 0; i < 3; i++)
			t[i] = start(wait_group, NULL);
		for (int i = 0; i < N; i++)
			CHECK_EQ(gstk_go(done_one, NULL), 0);
		CHECK_EQ(gstk_waitgroup_wait(&wg), 0);
		CHECK_EQ(n, N);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(finish(t[i]), N);
	}
	CHECK_EQ(gstk_waitgroup_done(&wg), -EINVAL);
	CHECK_EQ(gstk_waitgroup_add(&wg, 1), 0);
	CHECK_EQ(gstk_waitgroup_wait_until(&wg, gstk_now() + 2 * MS), -ETIMEDOUT);
	t[0] = start(wait_group, NULL);
	settle();
	CHECK_EQ(gstk_cancel(t[0]), 0);
	CHECK_EQ(finish(t[0]), -ECANCELED);
	CHECK_EQ(gstk_waitgroup_done(&wg), 0);
	CHECK_EQ(gstk_waitgroup_add(&wg, INT64_MAX), 0);
	CHECK_EQ(gstk_waitgroup_add(&wg, 1), -EINVAL);
	CHECK_EQ(gstk_waitgroup_add(&wg, -INT64_MAX), 0);
}

TEST_HARNESS_MAIN
