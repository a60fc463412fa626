// SPDX-License-Identifier: MIT
/* Scopes: nothing outlives them, the first failure ends them, deadlines and cancels reach all in them. */
#include <errno.h>
#include "wait_test.h"

static _Atomic int began, ended;
static gstk_scope *shared; /* of the test that runs, for tasks that need it */

static void reset(void)
{
	began = ended = 0;
}

/* @arg: what it returns at last. */
static int yields(void *arg)
{
	began++;
	for (int i = 0; i < 10; i++)
		gstk_yield();
	ended++;
	return (int)(long)arg;
}

static int sleeps_for_ever(void *arg)
{
	int err;

	began++;
	err = gstk_sleep(3600 * 1000 * MS);
	gstk_cancel_clear();
	gstk_deadline_set(GSTK_NEVER);
	gstk_sleep(5 * MS); /* clean-up that takes its time */
	ended++;
	return err;
}

WAIT_TEST(all_tasks_have_ended_when_the_scope_has)
{
	gstk_scope *s;

	reset();
	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	for (int i = 0; i < 500; i++)
		CHECK_EQ(gstk_scope_spawn(s, yields, NULL, NULL), 0);
	CHECK_EQ(gstk_scope_end(s), 0);
	CHECK_EQ(ended, 500);
	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_end(s), 0); /* an empty one */
}

WAIT_TEST(the_first_failure_cancels_the_others_and_is_the_result)
{
	gstk_scope *s;

	reset();
	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	for (int i = 0; i < 200; i++)
		CHECK_EQ(gstk_scope_spawn(s, sleeps_for_ever, NULL, NULL), 0);
	settle();
	CHECK_EQ(gstk_scope_error(s), 0);
	CHECK_EQ(gstk_scope_spawn(s, yields, (void *)(long)-EPIPE, NULL), 0);
	while (!gstk_scope_error(s))
		gstk_sleep(MS);
	CHECK_EQ(gstk_scope_error(s), -EPIPE);
	CHECK_EQ(gstk_scope_spawn(s, yields, NULL, NULL), -ECANCELED);
	CHECK(!gstk_canceled()); /* the owner decides itself */
	CHECK_EQ(gstk_scope_end(s), -EPIPE);
	CHECK_EQ(ended, 201);
}

static int checks_canceled(void *arg)
{
	began++;
	CHECK_EQ(gstk_sleep(3600 * 1000 * MS), -ECANCELED);
	ended++;
	return -ECANCELED;
}

WAIT_TEST(a_cancel_reaches_tasks_that_have_not_begun)
{
	gstk_scope *s;

	reset();
	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	for (int i = 0; i < 300; i++)
		CHECK_EQ(gstk_scope_spawn(s, checks_canceled, NULL, NULL), 0);
	CHECK_EQ(gstk_scope_cancel(s, 0), -EINVAL);
	CHECK_EQ(gstk_scope_cancel(s, -ESTALE), 0);
	CHECK_EQ(gstk_scope_cancel(s, -EIO), 0); /* the first counts */
	CHECK_EQ(gstk_scope_end(s), -ESTALE);
	CHECK_EQ(began, 300);
	CHECK_EQ(ended, 300);
}

WAIT_TEST(a_deadline_reaches_the_owner_and_the_tasks)
{
	uint64_t patience = 10 * MS;
	gstk_scope *s, *in;
	int nr;

	do { /* until all were spawned in time */
		reset();
		patience *= 2;
		CHECK_EQ(gstk_scope_begin(&s, gstk_now() + patience), 0);
		for (nr = 0; nr < 20 && !gstk_scope_spawn(s, sleeps_for_ever, NULL, NULL); nr++)
			;
		if (nr < 20)
			CHECK_EQ(gstk_scope_end(s), -ETIMEDOUT);
	} while (nr < 20);
	CHECK_EQ(gstk_scope_begin(&in, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_spawn(in, sleeps_for_ever, NULL, NULL), 0);
	CHECK_EQ(gstk_scope_end(s), -EPERM); /* not before the inner one */
	CHECK_EQ(gstk_sleep(3600 * 1000 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_scope_end(in), -ETIMEDOUT);
	CHECK_EQ(gstk_scope_end(s), -ETIMEDOUT);
	CHECK_EQ(ended, 21);
	CHECK(gstk_deadline_get() == GSTK_NEVER);
	CHECK_EQ(gstk_sleep(MS), 0);
}

static void *owner(void *arg)
{
	gstk_scope *s;

	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	for (int i = 0; i < 50; i++)
		CHECK_EQ(gstk_scope_spawn(s, sleeps_for_ever, NULL, NULL), 0);
	return (void *)(long)gstk_scope_end(s);
}

WAIT_TEST(an_owner_that_is_cancelled_cancels_its_tasks_and_waits_for_them)
{
	gstk_task *t;

	reset();
	t = start(owner, NULL);
	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(ended, 50);
}

/* Two of its own, one inside the other, and ends. */
static void *leaves(void *arg)
{
	gstk_scope *s;

	for (int k = 0; k < 2; k++) {
		CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
		for (int i = 0; i < 20; i++)
			CHECK_EQ(gstk_scope_spawn(s, sleeps_for_ever, NULL, NULL), 0);
	}
	if (arg)
		gstk_exit((void *)7);
	return (void *)7;
}

WAIT_TEST(an_owner_that_ends_takes_its_tasks_with_it)
{
	for (long how = 0; how < 2; how++) {
		reset();
		CHECK_EQ(finish(start(leaves, (void *)how)), 7);
		CHECK_EQ(ended, 40);
	}
}

static int exits(void *arg)
{
	ended++;
	gstk_exit((void *)(long)-EIO);
}

static int reads_block(void *arg)
{
	CHECK_EQ(*(int *)arg, 42);
	ended++;
	return 1; /* no errno */
}

static void *not_the_owner(void *scope)
{
	return (void *)(long)gstk_scope_end(scope);
}

WAIT_TEST(what_tasks_of_a_scope_may_do)
{
	int block = 42;
	gstk_scope *s;

	reset();
	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_spawn(s, exits, NULL, NULL), 0);
	CHECK_EQ(gstk_scope_spawn(s, reads_block, NULL, GSTK_OPTS(gstk_spawn_opts, .block = &block,
		.block_size = sizeof(block), .flags = GSTK_PRIVATE, .name = "reader")), 0);
	CHECK_EQ(gstk_scope_spawn(s, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(gstk_scope_spawn(NULL, exits, NULL, NULL), -EINVAL);
	CHECK_EQ(gstk_scope_spawn(s, exits, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = 1u << 31)), -EINVAL);
	CHECK_EQ(finish(start(not_the_owner, s)), -EPERM);
	CHECK_EQ(gstk_scope_end(s), 0);
	CHECK_EQ(ended, 2);
	CHECK_EQ(gstk_scope_end(NULL), -EINVAL);
	CHECK_EQ(gstk_scope_error(NULL), -EINVAL);
	CHECK_EQ(gstk_scope_cancel(NULL, -EIO), -EINVAL);
}

/* A binary tree of @arg levels, all in one scope. */
static int grows(void *arg)
{
	long level = (long)arg;

	ended++;
	for (int i = 0; level && i < 2; i++)
		CHECK_EQ(gstk_scope_spawn(shared, grows, (void *)(level - 1), NULL), 0);
	return 0;
}

WAIT_TEST(tasks_of_a_scope_add_others_to_it)
{
	reset();
	CHECK_EQ(gstk_scope_begin(&shared, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_spawn(shared, grows, (void *)10L, NULL), 0);
	CHECK_EQ(gstk_scope_end(shared), 0);
	CHECK_EQ(ended, 2047);
}

/* Fails after a random number of yields; many of them at once. */
static int fails_some_time(void *arg)
{
	uint32_t seed = (uint32_t)(long)arg * 2654435761u | 1;

	for (uint32_t n = rnd(&seed) % 8; n; n--)
		if (n & 1)
			gstk_yield();
		else if (gstk_sleep(rnd(&seed) % 50000))
			break;
	ended++;
	return rnd(&seed) % 3 ? 0 : -EIO;
}

WAIT_TEST(failures_at_any_time_lose_nobody)
{
	unsigned long rounds = scaled(300);

	for (unsigned long r = 0; r < rounds; r++) {
		int spawned = 0, err = 0;
		gstk_scope *s;

		reset();
		CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
		for (long i = 0; i < 40 && !err; i++) {
			err = gstk_scope_spawn(s, fails_some_time, (void *)(long)(r * 40 + (unsigned long)i), NULL);
			CHECK(!err || err == -ECANCELED);
			spawned += !err;
		}
		err = gstk_scope_end(s);
		CHECK(!err || err == -EIO);
		CHECK_EQ(ended, spawned);
	}
}

TEST(outside_a_task_there_is_none)
{
	gstk_scope *s;

	ASSERT_EQ(-ESRCH, gstk_scope_begin(&s, GSTK_NEVER));
}

static void note(void *arg)
{
	++*(int *)arg;
}

static void push_begin_pop_end(void)
{
	gstk_scope *outer, *inner;
	int popped = 0;

	CHECK_EQ(gstk_cleanup_pop(true), -ENOENT);
	CHECK_EQ(gstk_cleanup_push(note, &popped), 0);
	CHECK_EQ(gstk_scope_begin(&outer, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_begin(&inner, GSTK_NEVER), 0);
	CHECK_EQ(gstk_cleanup_pop(true), 0);
	CHECK_EQ(popped, 1);
	CHECK_EQ(gstk_cleanup_pop(true), -ENOENT);
	CHECK_EQ(gstk_scope_end(inner), 0);
	CHECK_EQ(gstk_scope_end(outer), 0);
	CHECK_EQ(gstk_cleanup_pop(true), -ENOENT);
}

TEST(a_cleanup_popped_inside_a_scope_is_not_the_scopes)
{
	with_workers(1, push_begin_pop_end);
}

TEST_HARNESS_MAIN
