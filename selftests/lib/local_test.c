// SPDX-License-Identifier: MIT
/* Storage by key: each task its own, threads too, destroyed at the end, gone with the key. */
#include <errno.h>
#include <pthread.h>
#include "wait_test.h"

static gstk_local key, other;
static _Atomic int destroyed, again;

static void count(void *value)
{
	CHECK(value);
	CHECK(!gstk_local_get(key)); /* it is gone already */
	gstk_yield();		     /* it may wait */
	destroyed++;
}

static void *own_value(void *arg)
{
	CHECK(!gstk_local_get(key));
	CHECK_EQ(gstk_local_set(key, (void *)((long)arg + 1)), 0);
	for (int i = 0; i < 20; i++) {
		if (i % 3)
			gstk_yield();
		else
			gstk_sleep(50000);
		CHECK_EQ((long)gstk_local_get(key), (long)arg + 1);
	}
	if ((long)arg % 2)
		gstk_exit(NULL);
	return NULL;
}

WAIT_TEST(each_task_has_its_own_wherever_it_runs)
{
	gstk_task *t[50];

	destroyed = 0;
	CHECK_EQ(gstk_local_create(&key, count), 0);
	for (long i = 0; i < 50; i++)
		t[i] = start(own_value, (void *)i);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	CHECK_EQ(destroyed, 50);
	CHECK(!gstk_local_get(key));
	CHECK_EQ(gstk_local_delete(key), 0);
}

static void sets_again(void *value)
{
	again++;
	CHECK_EQ(gstk_local_set(other, value), 0);
}

static void *ends_with_two(void *arg)
{
	CHECK_EQ(gstk_local_set(key, arg), 0);
	CHECK_EQ(gstk_local_set(other, arg), 0);
	return NULL;
}

WAIT_TEST(destructors_that_set_values_are_called_four_times)
{
	again = destroyed = 0;
	CHECK_EQ(gstk_local_create(&key, count), 0);
	CHECK_EQ(gstk_local_create(&other, sets_again), 0);
	finish(start(ends_with_two, &again));
	CHECK_EQ(destroyed, 1);
	CHECK_EQ(again, 4);
	CHECK_EQ(gstk_local_delete(key), 0);
	CHECK_EQ(gstk_local_delete(other), 0);
}

static void *keeps_old_value(void *arg)
{
	gstk_local old;

	CHECK_EQ(gstk_local_create(&old, count), 0);
	CHECK_EQ(gstk_local_set(old, &destroyed), 0);
	CHECK_EQ(gstk_local_delete(old), 0);
	CHECK_EQ(gstk_local_delete(old), -EINVAL);
	CHECK_EQ(gstk_local_set(old, NULL), -EINVAL);
	CHECK(!gstk_local_get(old));
	CHECK_EQ(gstk_local_create(&key, count), 0);
	CHECK_EQ(key.index, old.index); /* the same place */
	CHECK(!gstk_local_get(key));
	CHECK_EQ(gstk_local_delete(key), 0);
	return NULL;
}

WAIT_TEST(a_value_goes_with_its_key)
{
	gstk_local none = { 0 }, far = { 5000, 1 };

	destroyed = 0;
	finish(start(keeps_old_value, NULL));
	CHECK_EQ(destroyed, 0);
	CHECK_EQ(gstk_local_set(none, &none), -EINVAL);
	CHECK_EQ(gstk_local_set(far, &none), -EINVAL);
	CHECK(!gstk_local_get(far));
	CHECK_EQ(gstk_local_delete(none), -EINVAL);
}

WAIT_TEST(there_is_an_end_of_keys)
{
	static gstk_local many[2000];
	int nr = 0, err;

	while (!(err = gstk_local_create(&many[nr], NULL)))
		CHECK(++nr < 2000);
	CHECK_EQ(err, -EAGAIN);
	CHECK(nr > 100);
	CHECK_EQ(gstk_local_set(many[nr - 1], many), 0); /* far out in the array */
	CHECK_EQ(gstk_local_set(many[0], many), 0);
	CHECK(gstk_local_get(many[nr - 1]) == many && !gstk_local_get(many[nr - 2]));
	while (nr)
		CHECK_EQ(gstk_local_delete(many[--nr]), 0);
}

static int scoped(void *arg)
{
	return gstk_local_set(key, &key);
}

WAIT_TEST(a_scope_ends_after_the_destructors_of_its_tasks)
{
	gstk_scope *s;

	destroyed = 0;
	CHECK_EQ(gstk_local_create(&key, count), 0);
	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(gstk_scope_spawn(s, scoped, NULL, NULL), 0);
	CHECK_EQ(gstk_scope_end(s), 0);
	CHECK_EQ(destroyed, 20);
	CHECK_EQ(gstk_local_delete(key), 0);
}

static void *on_a_thread(void *arg)
{
	CHECK(!gstk_local_get(key));
	CHECK_EQ(gstk_local_set(key, arg), 0);
	CHECK(gstk_local_get(key) == arg);
	return NULL;
}

TEST(a_thread_that_runs_no_task_has_its_own)
{
	pthread_t thread;

	destroyed = 0;
	ASSERT_EQ(0, gstk_local_create(&key, count));
	ASSERT_EQ(0, gstk_local_set(key, &thread));
	ASSERT_EQ(0, pthread_create(&thread, NULL, on_a_thread, &key));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(1, destroyed);
	ASSERT_EQ(&thread, gstk_local_get(key));
	ASSERT_EQ(0, gstk_local_delete(key));
}

TEST_HARNESS_MAIN
