// SPDX-License-Identifier: MIT
#include "wait_test.h"

static gstk_mutex m = GSTK_MUTEX_INIT;
static long counter;
static unsigned long each;

static void *locker(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 1;

	for (unsigned long i = 0; i < each; i++) {
		long was;

		CHECK_EQ(gstk_mutex_lock(&m), 0);
		was = counter;
		if (rnd(&seed) % 16 == 0)
			gstk_yield();
		CHECK_EQ(counter, was);
		counter = was + 1;
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
		if (rnd(&seed) % 4 == 0)
			gstk_yield();
	}
	return NULL;
}

WAIT_TEST(a_thousand_tasks_share_one_mutex)
{
	enum { N = 1000 };
	static gstk_task *t[N];

	each = scaled(100);
	counter = 0;
	for (uintptr_t i = 0; i < N; i++)
		t[i] = start(locker, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	CHECK_EQ(counter, (long)(N * each));
	CHECK_EQ(m.word, 0);
	CHECK_EQ(m.q.head, 0);
}

static void *thread_locker(void *arg)
{
	for (unsigned long i = 0; i < each; i++) {
		CHECK_EQ(gstk_mutex_lock(&m), 0);
		counter++;
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
	}
	return NULL;
}

WAIT_TEST(threads_and_tasks_share_one_mutex)
{
	pthread_t th[2];
	gstk_task *t[20];

	each = scaled(2000);
	counter = 0;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&th[i], NULL, thread_locker, NULL), 0);
	for (uintptr_t i = 0; i < 20; i++)
		t[i] = start(locker, (void *)i);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(th[i], NULL), 0);
	CHECK_EQ(counter, (long)(22 * each));
}

static void *unlock_only(void *arg)
{
	return (void *)(long)gstk_mutex_unlock(&m);
}

static void *try_only(void *arg)
{
	return (void *)(long)gstk_mutex_try_lock(&m);
}

WAIT_TEST(misuse_is_told)
{
	CHECK_EQ(gstk_mutex_unlock(&m), -EPERM);
	CHECK_EQ(gstk_mutex_lock(&m), 0);
	CHECK_EQ(gstk_mutex_lock(&m), -EDEADLK);
	CHECK_EQ(gstk_mutex_try_lock(&m), -EBUSY);
	CHECK_EQ(finish(start(unlock_only, NULL)), -EPERM);
	CHECK_EQ(finish(start(try_only, NULL)), -EBUSY);
	CHECK_EQ(gstk_mutex_lock_until(&m, gstk_now() + 20000 * MS), -EDEADLK);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	CHECK_EQ(gstk_mutex_unlock(&m), -EPERM);
}

static void *lock_on_own_stack(void *arg)
{
	gstk_mutex mine = GSTK_MUTEX_INIT;
	gstk_rwlock rw = GSTK_RWLOCK_INIT;
	gstk_cond co = GSTK_COND_INIT;
	gstk_sem se = GSTK_SEM_INIT(1);
	gstk_waitgroup wg = GSTK_WAITGROUP_INIT;
	gstk_once on = GSTK_ONCE_INIT;

	if (arg) {
		CHECK_EQ(gstk_mutex_lock(&mine), 0);
		CHECK_EQ(gstk_mutex_unlock(&mine), 0);
		CHECK_EQ(gstk_rwlock_read_lock(&rw), 0);
		CHECK_EQ(gstk_sem_wait(&se), 0);
		CHECK_EQ(gstk_waitgroup_wait(&wg), 0);
		return NULL;
	}
	CHECK_EQ(gstk_mutex_lock(&mine), -EINVAL);
	CHECK_EQ(gstk_mutex_try_lock(&mine), -EINVAL);
	CHECK_EQ(gstk_rwlock_read_lock(&rw), -EINVAL);
	CHECK_EQ(gstk_rwlock_write_lock(&rw), -EINVAL);
	CHECK_EQ(gstk_cond_signal(&co), -EINVAL);
	CHECK_EQ(gstk_cond_wait(&co, &m), -EINVAL);
	CHECK_EQ(gstk_sem_wait(&se), -EINVAL);
	CHECK_EQ(gstk_sem_post(&se, 1), -EINVAL);
	CHECK_EQ(gstk_waitgroup_add(&wg, 1), -EINVAL);
	CHECK_EQ(gstk_once_run(&on, NULL, NULL), -EINVAL);
	return NULL;
}

WAIT_TEST(an_object_on_a_shared_stack_is_refused_and_on_a_private_one_not)
{
	gstk_task *t;

	finish(start(lock_on_own_stack, NULL));
	CHECK_EQ(gstk_spawn(&t, lock_on_own_stack, (void *)1, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PRIVATE)), 0);
	finish(t);
}

TEST(the_refusal_names_the_three_ways_out)
{
	int p[2], keep = dup(2);
	static char text[8192];
	ssize_t n;

	ASSERT_EQ(0, pipe(p));
	dup2(p[1], 2);
	with_workers(1, an_object_on_a_shared_stack_is_refused_and_on_a_private_one_not);
	dup2(keep, 2);
	close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	ASSERT_GT(n, 0);
	ASSERT_NE(NULL, strstr(text, "GSTK_PRIVATE"));
	ASSERT_NE(NULL, strstr(text, "gstk_spawn_opts.block"));
	ASSERT_NE(NULL, strstr(text, "gstk_alloc"));
}

static void *timed(void *arg)
{
	return (void *)(long)gstk_mutex_lock_until(&m, gstk_now() + 3 * MS);
}

static void *lock_once(void *arg)
{
	int r = gstk_mutex_lock(&m);

	if (!r)
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
	return (void *)(long)r;
}

WAIT_TEST(a_wait_times_out_or_is_cancelled_and_the_others_go_on)
{
	gstk_task *a, *b, *d;
	uint64_t t0 = gstk_now();

	CHECK_EQ(gstk_mutex_lock(&m), 0);
	a = start(timed, NULL);
	CHECK_EQ(finish(a), -ETIMEDOUT);
	CHECK(gstk_now() >= t0 + 3 * MS);
	a = start(lock_once, NULL);
	settle();
	b = start(lock_once, NULL);
	settle();
	d = start(lock_once, NULL);
	settle();
	CHECK_EQ(gstk_cancel(b), 0);
	CHECK_EQ(finish(b), -ECANCELED);
	CHECK_EQ(gstk_cancel(a), 0);
	CHECK_EQ(finish(a), -ECANCELED);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	CHECK_EQ(finish(d), 0);
	CHECK_EQ(gstk_mutex_try_lock(&m), 0);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
}

/* Cancels and deadlines at random; whoever says he has it, has it alone, and nobody is forgotten. */
static _Atomic int stop;
static _Atomic long rounds; /* relaxed: orders nothing that the mutex should */

static void *rough(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 1;
	long n = 0;

	while (!atomic_load(&stop)) {
		int r = gstk_mutex_lock_until(&m, rnd(&seed) % 2 ? GSTK_NEVER : gstk_now() + rnd(&seed) % 300000);

		if (r) {
			CHECK(r == -ECANCELED || r == -ETIMEDOUT);
			gstk_cancel_clear();
			continue;
		}
		long was = counter;
		if (rnd(&seed) % 4 == 0)
			gstk_yield();
		if (rnd(&seed) % 64 == 0) {
			gstk_sleep(rnd(&seed) % 2000000); /* waiters grow old: ownership passes */
			gstk_cancel_clear();
		}
		CHECK_EQ(counter, was);
		counter++;
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
		atomic_fetch_add_explicit(&rounds, 1, memory_order_relaxed);
		n++;
	}
	return (void *)n;
}

WAIT_TEST(no_wake_is_lost_to_cancels_and_timeouts)
{
	enum { N = 12 };
	gstk_task *t[N];
	uint32_t seed = 3;
	uint64_t until = gstk_now() + (slowness() > 1 ? 300 * slowness() : scaled(600)) * MS;
	long sum = 0;

	counter = 0;
	atomic_store(&stop, 0);
	atomic_store(&rounds, 0);
	for (uintptr_t i = 0; i < N; i++)
		t[i] = start(rough, (void *)i);
	while (gstk_now() < until || atomic_load_explicit(&rounds, memory_order_relaxed) <= 10) {
		gstk_cancel(t[rnd(&seed) % N]);
		gstk_sleep(rnd(&seed) % 200000);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < N; i++)
		sum += finish(t[i]);
	CHECK_EQ(sum, counter);
	CHECK(counter > 10);
	CHECK_EQ(gstk_mutex_try_lock(&m), 0);
	CHECK_EQ(gstk_mutex_unlock(&m), 0);
	CHECK_EQ(m.word, 0);
}

/* One that never lets go of it for long must not starve one that waits. */
static void *hog(void *arg)
{
	while (!atomic_load(&stop)) {
		uint64_t t0 = gstk_now();

		CHECK_EQ(gstk_mutex_lock(&m), 0);
		while (gstk_now() - t0 < 300000)
			;
		gstk_yield();
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
		/* takes it again at once: barging is allowed */
	}
	return NULL;
}

WAIT_TEST(a_waiter_gets_it_from_one_who_takes_it_again_and_again)
{
	gstk_task *t;

	atomic_store(&stop, 0);
	t = start(hog, NULL);
	settle();
	for (int i = 0; i < 10; i++) {
		uint64_t t0 = gstk_now();

		CHECK_EQ(gstk_mutex_lock(&m), 0);
		CHECK(gstk_now() - t0 < 2000 * MS * slowness());
		CHECK_EQ(gstk_mutex_unlock(&m), 0);
		gstk_sleep(MS);
	}
	atomic_store(&stop, 1);
	finish(t);
}

/* The last user frees it while others may still be inside unlock. */
struct counted {
	gstk_mutex m;
	int refs;
};

static void *drop_ref(void *arg)
{
	struct counted *o = arg;
	bool last;

	CHECK_EQ(gstk_mutex_lock(&o->m), 0);
	last = --o->refs == 0;
	CHECK_EQ(gstk_mutex_unlock(&o->m), 0);
	if (last) {
		memset(o, 0xff, sizeof(*o));
		free(o);
	}
	return NULL;
}

WAIT_TEST(the_last_user_may_free_it)
{
	for (unsigned long i = 0; i < scaled(3000); i++) {
		struct counted *o = malloc(sizeof(*o));
		gstk_task *t[4];

		*o = (struct counted){ GSTK_MUTEX_INIT, 4 };
		for (int k = 0; k < 4; k++)
			t[k] = start(drop_ref, o);
		for (int k = 0; k < 4; k++)
			finish(t[k]);
	}
}

TEST(without_a_runtime_it_says_so)
{
	ASSERT_EQ(-ESRCH, gstk_mutex_lock(&m));
	ASSERT_EQ(-ESRCH, gstk_mutex_unlock(&m));
}

TEST_HARNESS_MAIN
