// SPDX-License-Identifier: MIT
/* Threads that are no workers: they lock, wait, cancel and join like tasks, and block as threads. */
#include <sched.h>
#include "wait_test.h"

#define ROUNDS scaled(2000)

static gstk_mutex mutex;
static gstk_cond cond;
static gstk_rwlock rwlock;
static long plain, turn;

static void *count(void *arg)
{
	for (unsigned long i = 0; i < ROUNDS; i++) {
		long before;

		CHECK_EQ(gstk_rwlock_write_lock(&rwlock), 0);
		before = plain;
		if (i % 8 == 0)
			sched_yield();
		plain = before + 1;
		CHECK_EQ(gstk_rwlock_write_unlock(&rwlock), 0);
		CHECK_EQ(gstk_rwlock_read_lock(&rwlock), 0);
		CHECK(plain > 0);
		CHECK_EQ(gstk_rwlock_read_unlock(&rwlock), 0);
	}
	return NULL;
}

WAIT_TEST(threads_and_tasks_share_a_rwlock)
{
	pthread_t th[2];
	gstk_task *t[2];

	for (int i = 0; i < 2; i++) {
		CHECK_EQ(pthread_create(&th[i], NULL, count, NULL), 0);
		t[i] = start(count, NULL);
	}
	for (int i = 0; i < 2; i++)
		finish(t[i]);
	for (int i = 0; i < 2; i++)
		while (pthread_tryjoin_np(th[i], NULL))
			gstk_sleep(MS);
	CHECK_EQ(plain, 4 * (long)ROUNDS);
}

/* Turn about, by a condition: thread, task, thread, ... */
static void *take_turns(void *arg)
{
	long mine = (long)(intptr_t)arg;

	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	for (unsigned long i = 0; i < ROUNDS / 4; i++) {
		while (turn != mine)
			CHECK_EQ(gstk_cond_wait(&cond, &mutex), 0);
		turn = !mine;
		CHECK_EQ(gstk_cond_broadcast(&cond), 0);
	}
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	return NULL;
}

WAIT_TEST(a_thread_and_a_task_take_turns_by_a_condition)
{
	gstk_task *t = start(take_turns, (void *)1);
	pthread_t th;

	CHECK_EQ(pthread_create(&th, NULL, take_turns, NULL), 0);
	finish(t);
	while (pthread_tryjoin_np(th, NULL))
		gstk_sleep(MS);
}

static gstk_task *victim;

static void *sleeps(void *arg)
{
	CHECK_EQ(gstk_sleep(3600ull * 1000 * MS), -ECANCELED);
	return (void *)42;
}

static void *cancels_and_joins(void *arg)
{
	void *r = NULL;

	CHECK_EQ(gstk_join_until(victim, &r, gstk_now() + 20 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_cancel(victim), 0);
	CHECK_EQ(gstk_join(victim, &r), 0);
	CHECK_EQ((long)r, 42);
	return NULL;
}

WAIT_TEST(a_thread_cancels_and_joins_a_task)
{
	pthread_t th;

	victim = start(sleeps, NULL);
	CHECK_EQ(pthread_create(&th, NULL, cancels_and_joins, NULL), 0);
	while (pthread_tryjoin_np(th, NULL))
		gstk_sleep(MS);
}

static void *late(void *arg)
{
	uint64_t begin = gstk_now();

	CHECK_EQ(gstk_mutex_lock_until(&mutex, begin + 20 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_mutex_try_lock(&mutex), -EBUSY);
	CHECK_EQ(gstk_mutex_unlock(&mutex), -EPERM);
	CHECK_EQ(gstk_rwlock_read_lock_until(&rwlock, begin + 40 * MS), -ETIMEDOUT);
	CHECK(gstk_now() - begin >= 40 * MS);
	return NULL;
}

WAIT_TEST(a_thread_gives_up_at_its_deadline_and_unlocks_only_its_own)
{
	pthread_t th;

	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	CHECK_EQ(gstk_rwlock_write_lock(&rwlock), 0);
	CHECK_EQ(pthread_create(&th, NULL, late, NULL), 0);
	while (pthread_tryjoin_np(th, NULL))
		gstk_sleep(MS);
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	CHECK_EQ(gstk_rwlock_write_unlock(&rwlock), 0);
}

TEST_HARNESS_MAIN
