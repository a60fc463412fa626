// SPDX-License-Identifier: MIT
/* Once: run by one caller; and again when that one did not come to its end. */
#include "wait_test.h"

static gstk_once on, inner;
static _Atomic int n;
static _Atomic bool begun; /* the function that does not come to its end */

static void begin_anew(void)
{
	on = inner = (gstk_once)GSTK_ONCE_INIT;
	atomic_store(&n, 0);
	atomic_store(&begun, false);
}

static void slow_start(void *arg)
{
	CHECK_EQ(gstk_once_run(&on, slow_start, NULL), -EDEADLK);
	gstk_sleep(5 * MS);
	atomic_fetch_add(&n, 1);
}

static void *run_once(void *arg)
{
	CHECK_EQ(gstk_once_run(&on, slow_start, NULL), 0);
	return (void *)(long)atomic_load(&n);
}

WAIT_TEST(once_is_once_and_the_others_wait_for_it)
{
	gstk_task *t[20];

	begin_anew();
	for (int i = 0; i < 20; i++)
		t[i] = start(run_once, NULL);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(finish(t[i]), 1);
	CHECK_EQ(gstk_once_run(&on, slow_start, NULL), 0);
	CHECK_EQ(n, 1);
}

static void note(void *arg)
{
	atomic_fetch_add(&n, 100);
}

/* Others come meanwhile; some of its own cleanups are run first, and one that is from before. */
static void ends_its_task(void *arg)
{
	CHECK_EQ(gstk_cleanup_push(note, NULL), 0);
	atomic_store(&begun, true);
	gstk_sleep(5 * MS);
	gstk_exit(&on);
}

static void *ends_in_it(void *arg)
{
	CHECK_EQ(gstk_cleanup_push(note, NULL), 0);
	gstk_once_run(&on, ends_its_task, NULL);
	CHECK(!"it came back");
	return NULL;
}

WAIT_TEST(a_function_that_ends_its_task_did_not_run)
{
	gstk_task *t[20], *first;
	void *result;

	begin_anew();
	first = start(ends_in_it, NULL);
	while (!begun)
		gstk_yield();
	for (int i = 0; i < 20; i++)
		t[i] = start(run_once, NULL);
	settle();
	CHECK_EQ(gstk_join(first, &result), 0);
	CHECK(result == &on);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(finish(t[i]), 201);
	first = start(run_once, NULL);
	CHECK_EQ(finish(first), 201);
}

WAIT_TEST(without_anybody_who_waits_the_next_one_runs_it)
{
	begin_anew();
	CHECK_EQ(gstk_join(start(ends_in_it, NULL), NULL), 0);
	CHECK_EQ(gstk_once_run(&on, slow_start, NULL), 0);
	CHECK_EQ(n, 201);
}

static void pushes(void *arg)
{
	CHECK_EQ(gstk_once_run(&inner, note, NULL), 0);
	CHECK_EQ(gstk_cleanup_push(note, NULL), 0);
}

WAIT_TEST(what_the_function_pushed_is_the_tasks)
{
	begin_anew();
	CHECK_EQ(gstk_once_run(&on, pushes, NULL), 0);
	CHECK_EQ(n, 100);
	CHECK_EQ(gstk_cleanup_pop(true), 0);
	CHECK_EQ(n, 200);
	CHECK_EQ(gstk_cleanup_pop(true), -ENOENT);
}

static void pops(void *arg)
{
	CHECK_EQ(gstk_cleanup_pop(true), 0); /* what the task had pushed before */
	CHECK_EQ(gstk_cleanup_pop(true), -ENOENT);
}

WAIT_TEST(a_cleanup_popped_in_the_function_is_one_that_was_pushed)
{
	begin_anew();
	CHECK_EQ(gstk_cleanup_push(note, NULL), 0);
	CHECK_EQ(gstk_once_run(&on, pops, NULL), 0);
	CHECK_EQ(n, 100);
	CHECK_EQ(gstk_once_run(&on, pops, NULL), 0); /* done */
	CHECK_EQ(n, 100);
}

static void *is_cancelled(void *arg)
{
	return (void *)(long)gstk_once_run(&on, slow_start, NULL);
}

static void cancels_a_waiter(void *arg)
{
	gstk_task *t = start(is_cancelled, NULL);

	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
}

WAIT_TEST(a_wait_for_it_is_cancelled)
{
	begin_anew();
	CHECK_EQ(gstk_once_run(&on, cancels_a_waiter, NULL), 0);
}

static void ends_its_thread(void *arg)
{
	atomic_store(&begun, true);
	usleep(5000);
	pthread_exit(NULL);
}

static void *thread_ends_in_it(void *arg)
{
	gstk_once_run(&on, ends_its_thread, NULL);
	return NULL;
}

WAIT_TEST(a_thread_that_ends_in_it_leaves_it_to_a_task)
{
	pthread_t thread;
	gstk_task *t;

	begin_anew();
	CHECK_EQ(pthread_create(&thread, NULL, thread_ends_in_it, NULL), 0);
	while (!begun)
		gstk_sleep(MS / 10);
	t = start(run_once, NULL);
	CHECK_EQ(finish(t), 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST_HARNESS_MAIN
