// SPDX-License-Identifier: MIT
#include "wait_test.h"

static gstk_rwlock l = GSTK_RWLOCK_INIT;
static _Atomic int readers, writers, stop;
static char order[16];
static _Atomic int at;

static void *rough(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 1;

	while (!atomic_load(&stop)) {
		bool write = rnd(&seed) % 4 == 0;
		uint64_t until = rnd(&seed) % 2 ? GSTK_NEVER : gstk_now() + rnd(&seed) % 300000;
		int r = write ? gstk_rwlock_write_lock_until(&l, until) : gstk_rwlock_read_lock_until(&l, until);

		if (r) {
			CHECK(r == -ECANCELED || r == -ETIMEDOUT);
			gstk_cancel_clear();
			continue;
		}
		if (write) {
			CHECK_EQ(atomic_fetch_add(&writers, 1), 0);
			CHECK_EQ(atomic_load(&readers), 0);
		} else {
			atomic_fetch_add(&readers, 1);
			CHECK_EQ(atomic_load(&writers), 0);
		}
		if (rnd(&seed) % 2)
			gstk_yield();
		if (write) {
			CHECK_EQ(atomic_fetch_sub(&writers, 1), 1);
			CHECK_EQ(gstk_rwlock_write_unlock(&l), 0);
		} else {
			atomic_fetch_sub(&readers, 1);
			CHECK_EQ(gstk_rwlock_read_unlock(&l), 0);
		}
	}
	return NULL;
}

WAIT_TEST(writers_are_alone_and_no_wake_is_lost)
{
	enum { N = 16 };
	gstk_task *t[N];
	uint32_t seed = 3;
	uint64_t until = gstk_now() + scaled(600) * MS;

	atomic_store(&stop, 0);
	for (uintptr_t i = 0; i < N; i++)
		t[i] = start(rough, (void *)i);
	while (gstk_now() < until) {
		gstk_cancel(t[rnd(&seed) % N]);
		gstk_sleep(rnd(&seed) % 200000);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	CHECK_EQ(gstk_rwlock_try_write_lock(&l), 0);
	CHECK_EQ(gstk_rwlock_write_unlock(&l), 0);
}

static void *reader(void *arg)
{
	int r = gstk_rwlock_read_lock(&l);

	if (r)
		return (void *)(long)r;
	order[atomic_fetch_add(&at, 1)] = (char)(uintptr_t)arg;
	gstk_sleep(2 * MS);
	CHECK_EQ(gstk_rwlock_read_unlock(&l), 0);
	return NULL;
}

static void *writer(void *arg)
{
	int r = gstk_rwlock_write_lock(&l);

	if (r)
		return (void *)(long)r;
	order[atomic_fetch_add(&at, 1)] = (char)(uintptr_t)arg;
	gstk_sleep(2 * MS);
	CHECK_EQ(gstk_rwlock_write_unlock(&l), 0);
	return NULL;
}

static void arrive(gstk_task **t, gstk_fn fn, char name)
{
	*t = start(fn, (void *)(uintptr_t)name);
	settle();
}

static void in_order(void)
{
	gstk_task *t[6];

	atomic_store(&at, 0);
	CHECK_EQ(gstk_rwlock_write_lock(&l), 0);
	arrive(&t[0], reader, 'a');
	arrive(&t[1], reader, 'b');
	arrive(&t[2], writer, 'W');
	arrive(&t[3], reader, 'c');
	arrive(&t[4], writer, 'V');
	arrive(&t[5], reader, 'd');
	CHECK_EQ(gstk_rwlock_write_unlock(&l), 0);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(finish(t[i]), 0);
	CHECK_EQ(memcmp(order, "abWcVd", 6), 0);
}

TEST(it_serves_in_order_of_arrival)
{
	with_workers(1, in_order);
}

WAIT_TEST(a_waiting_writer_holds_back_new_readers)
{
	gstk_task *w, *r;

	atomic_store(&at, 0);
	CHECK_EQ(gstk_rwlock_read_lock(&l), 0);
	CHECK_EQ(gstk_rwlock_try_read_lock(&l), 0);
	arrive(&w, writer, 'W');
	CHECK_EQ(gstk_rwlock_try_read_lock(&l), -EBUSY);
	arrive(&r, reader, 'r');
	CHECK_EQ(gstk_rwlock_read_unlock(&l), 0);
	CHECK_EQ(gstk_rwlock_read_unlock(&l), 0);
	finish(w);
	finish(r);
	CHECK_EQ(memcmp(order, "Wr", 2), 0);
}

WAIT_TEST(readers_go_on_when_the_writer_before_them_gives_up)
{
	gstk_task *w, *r;

	atomic_store(&at, 0);
	CHECK_EQ(gstk_rwlock_read_lock(&l), 0);
	arrive(&w, writer, 'W');
	arrive(&r, reader, 'r');
	CHECK_EQ(gstk_cancel(w), 0);
	CHECK_EQ(finish(w), -ECANCELED);
	CHECK_EQ(finish(r), 0); /* while we still hold it */
	CHECK_EQ(gstk_rwlock_read_unlock(&l), 0);
}

WAIT_TEST(misuse_is_told)
{
	uint64_t t0;

	CHECK_EQ(gstk_rwlock_read_unlock(&l), -EPERM);
	CHECK_EQ(gstk_rwlock_write_unlock(&l), -EPERM);
	CHECK_EQ(gstk_rwlock_write_lock(&l), 0);
	CHECK_EQ(gstk_rwlock_write_lock(&l), -EDEADLK);
	CHECK_EQ(gstk_rwlock_read_lock(&l), -EDEADLK);
	CHECK_EQ(gstk_rwlock_try_read_lock(&l), -EBUSY);
	CHECK_EQ(gstk_rwlock_try_write_lock(&l), -EBUSY);
	CHECK_EQ(gstk_rwlock_read_unlock(&l), -EPERM);
	CHECK_EQ(gstk_rwlock_write_unlock(&l), 0);
	CHECK_EQ(gstk_rwlock_read_lock(&l), 0);
	t0 = gstk_now();
	CHECK_EQ(gstk_rwlock_write_lock_until(&l, t0 + 3 * MS), -ETIMEDOUT);
	CHECK(gstk_now() >= t0 + 3 * MS);
	CHECK_EQ(gstk_rwlock_read_unlock(&l), 0);
}

static void *thread_rough(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		CHECK_EQ(gstk_rwlock_write_lock(&l), 0);
		CHECK_EQ(atomic_fetch_add(&writers, 1), 0);
		CHECK_EQ(atomic_fetch_sub(&writers, 1), 1);
		CHECK_EQ(gstk_rwlock_write_unlock(&l), 0);
	}
	return NULL;
}

WAIT_TEST(a_foreign_thread_writes)
{
	pthread_t th;
	gstk_task *t[4];

	atomic_store(&stop, 0);
	CHECK_EQ(pthread_create(&th, NULL, thread_rough, NULL), 0);
	for (uintptr_t i = 0; i < 4; i++)
		t[i] = start(rough, (void *)i);
	gstk_sleep(50 * MS);
	atomic_store(&stop, 1);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	CHECK_EQ(pthread_join(th, NULL), 0);
}

TEST_HARNESS_MAIN
