// SPDX-License-Identifier: MIT
/* The first instances of a function are threads, the others tasks; nobody can tell by what they do. */
#include <errno.h>
#include <unistd.h>
#include "wait_test.h"

static gstk_chan *in, *out;
static _Atomic int threads, tasks, most_threads;

/* Squares what comes until the channel is closed; @arg is added to the number of messages. */
static void *squares(void *arg)
{
	bool native = !gstk_self();
	long v, nr = (long)arg;

	if (native && ++threads > most_threads)
		most_threads = threads;
	tasks += !native;
	while (!gstk_chan_recv(in, &v)) {
		v *= v;
		CHECK_EQ(gstk_chan_send(out, &v), 0);
		nr++;
	}
	threads -= native;
	return (void *)nr;
}

static gstk_task *spawned(gstk_fn fn, void *arg, uint32_t native)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, arg, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE, .native = native)), 0);
	return t;
}

static void *asks(void *arg)
{
	for (long i = 0; i < 200; i++)
		CHECK_EQ(gstk_chan_send(in, &i), 0);
	return NULL;
}

WAIT_TEST(the_first_instances_are_threads_and_all_do_the_same)
{
	gstk_task *t[12], *asker;
	long v, sum = 0, nr = 0;

	threads = tasks = most_threads = 0;
	CHECK_EQ(gstk_chan_create(&in, sizeof(long), 0), 0);
	CHECK_EQ(gstk_chan_create(&out, sizeof(long), 4), 0);
	for (long i = 0; i < 12; i++)
		t[i] = spawned(squares, (void *)(i * 1000), 3);
	while (threads < 3 || tasks < 9)
		gstk_sleep(MS);
	asker = start(asks, NULL);
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(gstk_chan_recv(out, &v), 0);
		sum += v;
	}
	finish(asker);
	CHECK_EQ(sum, 199L * 200 * 399 / 6);
	gstk_chan_close(in);
	for (long i = 0; i < 12; i++)
		nr += finish(t[i]) - i * 1000;
	CHECK_EQ(nr, 200);
	CHECK_EQ(most_threads, 3);
	CHECK_EQ(tasks, 9);
	/* When they have ended the next one is a thread again. */
	CHECK_EQ(finish(spawned(squares, NULL, 3)), 0);
	CHECK_EQ(tasks, 9);
	CHECK_EQ(gstk_chan_destroy(in), 0);
	CHECK_EQ(gstk_chan_destroy(out), 0);
}

static void *is_native(void *arg)
{
	return (void *)(long)!gstk_self();
}

static void *reads_block(void *arg)
{
	usleep(1000);
	CHECK(!gstk_self());
	CHECK_EQ(((long *)arg)[99], 99);
	return arg;
}

WAIT_TEST(options_and_results_are_those_of_tasks)
{
	long block[100];
	gstk_task *t;

	for (int i = 0; i < 100; i++)
		block[i] = i;
	CHECK_EQ(finish(spawned(is_native, NULL, 0)), 1); /* 0: as many as CPUs */
	CHECK_EQ(gstk_spawn(&t, reads_block, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE, .native = 1,
		.name = "native", .block = block, .block_size = sizeof(block))), 0);
	CHECK(!strcmp(gstk_task_name(t), "native"));
	CHECK(finish(t));
	CHECK_EQ(gstk_spawn(&t, is_native, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE | GSTK_PINNED)), -EINVAL);
	CHECK_EQ(gstk_spawn(&t, is_native, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE | 1u << 30)), -EINVAL);
	CHECK_EQ(gstk_spawn(NULL, is_native, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE)), 0);
}

static void *sees_cancel(void *arg)
{
	return (void *)(long)(gstk_self() ? gstk_sleep(3600 * 1000 * MS) : 1);
}

/* Cancelled before it could begin, it runs as a task, and sees that. */
static void cancel_early(void)
{
	gstk_task *t = spawned(sees_cancel, NULL, 1);
	long r;

	gstk_cancel(t);
	r = finish(t);
	CHECK(r == -ECANCELED || r == 1);
	CHECK_EQ(finish(spawned(is_native, NULL, 1)), 1);
}

TEST(a_cancel_before_it_has_begun_is_seen)
{
	with_workers(1, cancel_early);
}

static void *leaves_by_exit(void *arg)
{
	CHECK_EQ(*(long *)arg, 99);
	if (gstk_self())
		gstk_exit((void *)2);
	return (void *)1;
}

/* Its place is given back, so the next one is native; and so is its block, which the sanitizers see. */
static void exits(void)
{
	long block = 99;
	gstk_task *t;
	int green = 0;

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(gstk_spawn(&t, leaves_by_exit, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE, .native = 1,
			.block = &block, .block_size = sizeof(block))), 0);
		gstk_cancel(t);
		green += finish(t) == 2;
	}
	CHECK(green);
	CHECK_EQ(gstk_spawn(&t, leaves_by_exit, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE, .native = 1,
		.block = &block, .block_size = sizeof(block))), 0);
	CHECK_EQ(finish(t), 1);
}

TEST(one_that_turned_green_may_leave_by_gstk_exit)
{
	with_workers(1, exits);
}

TEST_HARNESS_MAIN
