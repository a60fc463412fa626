// SPDX-License-Identifier: MIT
/* Who runs when many could: fan-outs, locks that change hands, the next-to-run slot. */
#include "wait_test.h"

static gstk_chan *chan;
static gstk_cond cond;
static gstk_mutex mutex;
static _Atomic unsigned int ran, waiting;

#define CROWD 1000u

static void *recv_one(void *arg)
{
	waiting++;
	CHECK_EQ(gstk_chan_recv(chan, NULL), arg ? -EPIPE : 0);
	ran++;
	return NULL;
}

static void *wait_cond(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	waiting++;
	CHECK_EQ(gstk_cond_wait(&cond, &mutex), 0);
	ran++;
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	return NULL;
}

static gstk_task **crowd(gstk_fn fn, void *arg)
{
	gstk_task **t = calloc(CROWD, sizeof(*t));

	waiting = ran = 0;
	for (unsigned int i = 0; i < CROWD; i++)
		t[i] = start(fn, arg);
	while (waiting < CROWD)
		gstk_yield();
	settle();
	return t;
}

static void gone(gstk_task **t)
{
	for (unsigned int i = 0; i < CROWD; i++)
		finish(t[i]);
	CHECK_EQ(ran, CROWD);
	free(t);
}

/* With one worker nobody can have run before the caller parks: it was not displaced. */
static void close_and_broadcast(void)
{
	struct gstk_stats a = { .size = sizeof(a) }, b = a;
	gstk_task **t;

	CHECK_EQ(gstk_chan_create(&chan, 1, 0), 0);
	t = crowd(recv_one, chan);
	CHECK_EQ(gstk_stats(&a), 0);
	CHECK_EQ(gstk_chan_close(chan), 0);
	CHECK_EQ(gstk_stats(&b), 0);
	CHECK_EQ(ran, 0);
	CHECK_EQ(b.wakes - a.wakes, CROWD);
	CHECK_EQ(b.handoffs, a.handoffs);
	gone(t);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
	t = crowd(wait_cond, NULL);
	CHECK_EQ(gstk_cond_broadcast(&cond), 0);
	CHECK_EQ(ran, 0);
	gone(t);
}

TEST(a_fan_out_wakes_all_and_its_caller_goes_on)
{
	with_workers(1, close_and_broadcast);
}

/* A batch of wakes calls other workers as often as there are some, not once a task. */
static void broadcast_among_sleepers(void)
{
	struct gstk_stats a = { .size = sizeof(a) }, b = a;
	gstk_task **t;

	CHECK_EQ(gstk_chan_create(&chan, 1, 0), 0);
	t = crowd(recv_one, chan);
	gstk_sleep(50 * MS); /* and the other workers sleep */
	CHECK_EQ(gstk_stats(&a), 0);
	CHECK_EQ(gstk_chan_close(chan), 0);
	gone(t);
	CHECK_EQ(gstk_stats(&b), 0);
	CHECK(b.worker_wakes - a.worker_wakes < CROWD / 4);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
}

TEST(a_fan_out_wakes_workers_without_a_stampede)
{
	with_workers(4, broadcast_among_sleepers);
}

static void *takes(void *arg)
{
	waiting++;
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	ran++;
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	return NULL;
}

static void burn(uint64_t ns)
{
	uint64_t end = gstk_now() + ns;

	while (gstk_now() < end)
		;
}

/* Who comes while it is free may take it before a waiter that is young, not before an old one. */
static void barge(void)
{
	gstk_task *t;
	int young = 0;

	for (int i = 0; i < 20; i++) {
		waiting = ran = 0;
		CHECK_EQ(gstk_mutex_lock(&mutex), 0);
		t = start(takes, NULL);
		while (!waiting)
			gstk_yield();
		CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
		if (gstk_mutex_try_lock(&mutex) == 0) {
			young++;
			CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
		}
		finish(t);
		waiting = ran = 0;
		CHECK_EQ(gstk_mutex_lock(&mutex), 0);
		t = start(takes, NULL);
		while (!waiting)
			gstk_yield();
		burn(3 * MS);
		CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
		CHECK_EQ(gstk_mutex_try_lock(&mutex), -EBUSY); /* it is the waiter's, though that has not run */
		CHECK_EQ(ran, 0);
		finish(t);
	}
	CHECK(young > 0); /* unless each took a millisecond to get there */
}

TEST(a_lock_is_barged_into_but_goes_to_a_waiter_older_than_a_millisecond)
{
	with_workers(1, barge);
}

static void *woken(void *arg)
{
	CHECK_EQ(gstk_chan_recv(chan, NULL), 0);
	ran++;
	return NULL;
}

static void *wakes_and_burns(void *arg)
{
	char c = 0;
	uint64_t begin;

	CHECK_EQ(gstk_chan_send(chan, &c), 0); /* the receiver is next to run here */
	begin = gstk_now();
	while (!ran && gstk_now() - begin < 20000 * MS)
		;
	CHECK_EQ(ran, 1);
	return (void *)(gstk_now() - begin);
}

/* Somebody else runs it when who woke it goes on and on. */
static void next_to_run(void)
{
	uint64_t best = GSTK_NEVER, limit = 5 * MS * slowness();

	CHECK_EQ(gstk_chan_create(&chan, 1, 0), 0);
	for (int i = 0; i < 300 && best >= limit; i++) { /* not all are late, however busy the machine */
		struct gstk_spawn_opts own = { .size = sizeof(own), .flags = GSTK_PRIVATE }; /* no mate of its waker */
		gstk_task *r, *s;
		uint64_t ns;

		ran = 0;
		CHECK_EQ(gstk_spawn(&r, woken, NULL, &own), 0);
		settle();
		s = start(wakes_and_burns, NULL);
		ns = (uint64_t)finish(s);
		finish(r);
		if (ns < best)
			best = ns;
	}
	CHECK(best < limit);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
}

TEST(a_task_in_a_next_to_run_slot_is_stolen_while_its_waker_computes)
{
	with_workers(3, next_to_run);
}

TEST_HARNESS_MAIN
