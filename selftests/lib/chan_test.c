// SPDX-License-Identifier: MIT
#include "wait_test.h"

static gstk_chan *c, *d;

static void *send_7(void *arg)
{
	uint64_t v = 7;

	return (void *)(long)gstk_chan_send(c, &v);
}

static void *recv_one(void *arg)
{
	uint64_t v = 0;
	int r = gstk_chan_recv(c, &v);

	return (void *)(long)(r ? r : (long)v);
}

WAIT_TEST(a_blocked_sender_gives_its_message_to_the_receiver)
{
	gstk_task *t;
	uint64_t v = 0;

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	t = start(send_7, NULL);
	settle();
	CHECK_EQ(gstk_chan_destroy(c), -EBUSY);
	CHECK_EQ(gstk_chan_recv(c, &v), 0);
	CHECK_EQ(v, 7);
	CHECK_EQ(finish(t), 0);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

WAIT_TEST(a_blocked_receiver_gets_the_message)
{
	gstk_task *t;
	uint64_t v = 9;

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	t = start(recv_one, NULL);
	settle();
	CHECK_EQ(gstk_chan_send(c, &v), 0);
	CHECK_EQ(finish(t), 9);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

/* Every size, blocked on either side, buffered, and tried. */
static size_t size;
static unsigned char want[8192];

static void *recv_sized(void *arg)
{
	unsigned char got[8192 + 1];

	memset(got, 0xee, sizeof(got));
	CHECK_EQ(gstk_chan_recv(c, got), 0);
	CHECK(!memcmp(got, want, size));
	CHECK_EQ(got[size], 0xee);
	return NULL;
}

static void *send_sized(void *arg)
{
	unsigned char copy[8192];

	memcpy(copy, want, sizeof(copy));
	CHECK_EQ(gstk_chan_send(c, copy), 0);
	memset(copy, 0, sizeof(copy));
	return NULL;
}

WAIT_TEST(elements_of_any_size_travel_whole)
{
	static const size_t sizes[] = { 0, 1, 3, 4, 7, 8, 9, 12, 15, 16, 17, 24, 33, 64, 65, 200, 1024, 1025, 8192 };

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (unsigned char)(i * 7 + 1);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		for (size_t capacity = 0; capacity < 3; capacity++) {
			gstk_task *t;

			size = sizes[k];
			CHECK_EQ(gstk_chan_create(&c, size, capacity), 0);
			t = start(recv_sized, NULL);
			settle();
			CHECK_EQ(gstk_chan_send(c, want), 0);
			finish(t);
			t = start(recv_sized, NULL);
			settle();
			CHECK_EQ(gstk_chan_try_send(c, want), 0);
			finish(t);
			/* fill the buffer, so that the task blocks */
			for (size_t i = 0; i < capacity; i++)
				CHECK_EQ(gstk_chan_try_send(c, want), 0);
			CHECK_EQ(gstk_chan_try_send(c, want), -EAGAIN);
			CHECK_EQ(gstk_chan_len(c), capacity);
			t = start(send_sized, NULL);
			settle();
			for (size_t i = 0; i < capacity + 1; i++)
				recv_sized(NULL);
			finish(t);
			CHECK_EQ(gstk_chan_try_recv(c, want), -EAGAIN);
			CHECK_EQ(gstk_chan_destroy(c), 0);
		}
	}
}

WAIT_TEST(a_null_receives_and_throws_away)
{
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	t = start(send_7, NULL);
	settle();
	CHECK_EQ(gstk_chan_recv(c, NULL), 0);
	CHECK_EQ(finish(t), 0);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

WAIT_TEST(a_buffer_keeps_the_order_over_many_laps)
{
	uint64_t in = 0, out = 0, v;
	uint32_t seed = 5;

	CHECK_EQ(gstk_chan_create(&c, 8, 7), 0);
	for (int i = 0; i < 10000; i++) {
		if (rnd(&seed) & 1) {
			int r = gstk_chan_try_send(c, &in);

			CHECK_EQ(r, in - out == 7 ? -EAGAIN : 0);
			in += !r;
		} else {
			int r = gstk_chan_try_recv(c, &v);

			CHECK_EQ(r, in == out ? -EAGAIN : 0);
			if (!r)
				CHECK_EQ(v, out++);
		}
		CHECK_EQ(gstk_chan_len(c), in - out);
	}
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

static void *send_own(void *arg)
{
	uint64_t v = (uintptr_t)arg;

	CHECK_EQ(gstk_chan_send(c, &v), 0);
	return NULL;
}

static void *recv_own(void *arg)
{
	uint64_t v;

	CHECK_EQ(gstk_chan_recv(c, &v), 0);
	CHECK_EQ(v, (uintptr_t)arg);
	return NULL;
}

static void in_order(void)
{
	gstk_task *t[10];
	uint64_t v;

	CHECK_EQ(gstk_chan_create(&c, 8, 2), 0);
	for (uintptr_t i = 0; i < 10; i++) {
		t[i] = start(send_own, (void *)i);
		settle();
	}
	for (uintptr_t i = 0; i < 10; i++) {
		CHECK_EQ(gstk_chan_recv(c, &v), 0);
		CHECK_EQ(v, i);
	}
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	for (uintptr_t i = 0; i < 10; i++) {
		t[i] = start(recv_own, (void *)i);
		settle();
	}
	for (v = 0; v < 10; v++)
		CHECK_EQ(gstk_chan_send(c, &v), 0);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

TEST(waiters_are_served_in_order_of_arrival)
{
	with_workers(1, in_order);
}

WAIT_TEST(close_wakes_receivers)
{
	enum { N = 200 };
	static gstk_task *t[N];

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	for (int i = 0; i < N; i++)
		t[i] = start(recv_one, NULL);
	settle();
	CHECK_EQ(gstk_chan_close(c), 0);
	for (int i = 0; i < N; i++)
		CHECK_EQ(finish(t[i]), -EPIPE);
	CHECK_EQ(gstk_chan_close(c), -EPIPE);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

static void *send_want(void *arg)
{
	return (void *)(long)gstk_chan_send(c, want);
}

WAIT_TEST(close_wakes_senders_and_keeps_what_was_sent)
{
	enum { N = 200 };
	static gstk_task *t[N];
	uint64_t v = 1;

	for (size_t elem = 8; elem <= 100; elem += 92) {
		unsigned char big[100] = { 7 };

		CHECK_EQ(gstk_chan_create(&c, elem, 2), 0);
		CHECK_EQ(gstk_chan_send(c, big), 0);
		CHECK_EQ(gstk_chan_send(c, big), 0);
		size = elem;
		for (int i = 0; i < N; i++)
			t[i] = start(elem == 8 ? send_7 : send_want, NULL);
		settle();
		CHECK_EQ(gstk_chan_close(c), 0);
		for (int i = 0; i < N; i++)
			CHECK_EQ(finish(t[i]), -EPIPE);
		CHECK_EQ(gstk_chan_send(c, &v), -EPIPE);
		CHECK_EQ(gstk_chan_try_send(c, &v), -EPIPE);
		memset(big, 0, sizeof(big));
		CHECK_EQ(gstk_chan_recv(c, big), 0);
		CHECK_EQ(big[0], 7);
		CHECK_EQ(gstk_chan_try_recv(c, big), 0);
		CHECK_EQ(gstk_chan_recv(c, big), -EPIPE);
		CHECK_EQ(gstk_chan_try_recv(c, big), -EPIPE);
		CHECK_EQ(gstk_chan_destroy(c), 0);
	}
}

WAIT_TEST(a_timeout_is_never_early_and_leaves_the_queue_clean)
{
	uint64_t v = 1, t0;

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	for (int i = 0; i < 10; i++) {
		t0 = gstk_now();
		CHECK_EQ(gstk_chan_recv_until(c, &v, t0 + 3 * MS), -ETIMEDOUT);
		CHECK(gstk_now() >= t0 + 3 * MS);
		t0 = gstk_now();
		CHECK_EQ(gstk_chan_send_until(c, &v, t0 + 3 * MS), -ETIMEDOUT);
		CHECK(gstk_now() >= t0 + 3 * MS);
		CHECK_EQ(gstk_chan_recv_until(c, &v, t0), -ETIMEDOUT);
		CHECK_EQ(gstk_chan_send_until(c, &v, 0), -ETIMEDOUT);
	}
	CHECK_EQ(gstk_chan_try_send(c, &v), -EAGAIN);
	CHECK_EQ(gstk_chan_try_recv(c, &v), -EAGAIN);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

WAIT_TEST(the_tasks_own_deadline_reaches_a_channel)
{
	uint64_t v = 1;

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	gstk_deadline_set(gstk_now() + 3 * MS);
	CHECK_EQ(gstk_chan_recv(c, &v), -ETIMEDOUT);
	CHECK_EQ(gstk_chan_send(c, &v), -ETIMEDOUT);
	gstk_deadline_set(GSTK_NEVER);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

WAIT_TEST(a_cancel_ends_the_wait_and_only_that)
{
	gstk_task *t[3];
	uint64_t v = 5;

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	for (int i = 0; i < 3; i++) {
		t[i] = start(recv_one, NULL);
		settle();
	}
	CHECK_EQ(gstk_cancel(t[1]), 0); /* from the middle of the queue */
	CHECK_EQ(finish(t[1]), -ECANCELED);
	CHECK_EQ(gstk_chan_send(c, &v), 0);
	CHECK_EQ(gstk_chan_send(c, &v), 0);
	CHECK_EQ(finish(t[0]), 5);
	CHECK_EQ(finish(t[2]), 5);
	for (int i = 0; i < 3; i++) {
		t[i] = start(send_7, NULL);
		settle();
	}
	CHECK_EQ(gstk_cancel(t[2]), 0); /* the last, then the first */
	CHECK_EQ(finish(t[2]), -ECANCELED);
	CHECK_EQ(gstk_cancel(t[0]), 0);
	CHECK_EQ(finish(t[0]), -ECANCELED);
	CHECK_EQ(gstk_chan_recv(c, &v), 0);
	CHECK_EQ(finish(t[1]), 0);
	CHECK_EQ(gstk_chan_try_recv(c, &v), -EAGAIN);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

/*
 * Messages against cancels and timeouts: every message that a sender was told is sent is received
 * once, and no other.
 */
static _Atomic uint64_t sent_sum, sent_nr, got_sum, got_nr;
static _Atomic int stop;
static size_t race_elem;

static void *race_sender(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 1;
	unsigned char m[64] = { 0 };

	for (uint64_t n = 1; !atomic_load(&stop); n++) {
		uint64_t v = n << 8 | (uintptr_t)arg;
		int r;

		memcpy(m, &v, 8);
		memcpy(m + race_elem - 8, &v, 8);
		r = gstk_chan_send_until(c, m, rnd(&seed) % 4 ? GSTK_NEVER : gstk_now() + rnd(&seed) % 300000);
		if (!r) {
			atomic_fetch_add(&sent_sum, v);
			atomic_fetch_add(&sent_nr, 1);
		} else if (r == -EPIPE) {
			break;
		} else {
			CHECK(r == -ECANCELED || r == -ETIMEDOUT);
			gstk_cancel_clear();
		}
		if (rnd(&seed) % 8 == 0)
			gstk_yield();
	}
	return NULL;
}

static void *race_receiver(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 7;
	unsigned char m[64];

	for (;;) {
		uint64_t v, w;
		int r = gstk_chan_recv_until(c, m, rnd(&seed) % 4 ? GSTK_NEVER : gstk_now() + rnd(&seed) % 300000);

		if (!r) {
			memcpy(&v, m, 8);
			memcpy(&w, m + race_elem - 8, 8);
			CHECK(v == w);
			atomic_fetch_add(&got_sum, v);
			atomic_fetch_add(&got_nr, 1);
		} else if (r == -EPIPE) {
			return NULL;
		} else {
			CHECK(r == -ECANCELED || r == -ETIMEDOUT);
			gstk_cancel_clear();
		}
		if (rnd(&seed) % 8 == 0)
			gstk_yield();
	}
}

static void race(size_t elem, size_t capacity)
{
	enum { N = 8 };
	gstk_task *s[N], *r[N];
	uint32_t seed = 99;
	uint64_t until = gstk_now() + scaled(300) * MS;

	race_elem = elem;
	atomic_store(&sent_sum, 0);
	atomic_store(&sent_nr, 0);
	atomic_store(&got_sum, 0);
	atomic_store(&got_nr, 0);
	atomic_store(&stop, 0);
	CHECK_EQ(gstk_chan_create(&c, elem, capacity), 0);
	for (uintptr_t i = 0; i < N; i++) {
		s[i] = start(race_sender, (void *)(i + 1));
		r[i] = start(race_receiver, (void *)(i + 1));
	}
	while (gstk_now() < until || atomic_load(&got_nr) <= 10) {
		gstk_cancel((rnd(&seed) & 1 ? s : r)[rnd(&seed) % N]);
		if (rnd(&seed) % 4 == 0)
			gstk_sleep(rnd(&seed) % 200000);
		else
			gstk_yield();
	}
	atomic_store(&stop, 1);
	CHECK_EQ(gstk_chan_close(c), 0);
	for (int i = 0; i < N; i++) {
		finish(s[i]);
		finish(r[i]);
	}
	CHECK_EQ(atomic_load(&sent_nr), atomic_load(&got_nr));
	CHECK_EQ(atomic_load(&sent_sum), atomic_load(&got_sum));
	CHECK(atomic_load(&got_nr) > 10);
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

WAIT_TEST(no_message_is_lost_to_cancels_and_timeouts)
{
	race(8, 0);
	race(40, 0);
	race(8, 3);
	race(40, 3);
}

/* The receiver frees the channel as soon as it has its message; the sender may still be inside. A
 * freed block begins with a link where the channel had its lock: who still uses it will not come far. */
static void *send_and_forget(void *arg)
{
	uint64_t v = (uintptr_t)arg;

	CHECK_EQ(gstk_chan_send(arg, &v), 0);
	return NULL;
}

WAIT_TEST(a_channel_may_be_freed_right_after_the_last_message)
{
	for (unsigned long i = 0; i < scaled(5000); i++) {
		gstk_chan *one;
		uint64_t v;

		CHECK_EQ(gstk_chan_create(&one, 8, i & 1), 0);
		CHECK_EQ(gstk_go(send_and_forget, one), 0);
		if (i & 2)
			gstk_yield();
		CHECK_EQ(gstk_chan_recv_until(one, &v, i & 4 ? gstk_now() + 10000 * MS : GSTK_NEVER), 0);
		CHECK_EQ(v, (uintptr_t)one);
		CHECK_EQ(gstk_chan_destroy(one), 0);
	}
}

/* Threads that are no workers. */
static void *thread_echo(void *arg)
{
	uint64_t v;

	while (!gstk_chan_recv(c, &v)) {
		v++;
		CHECK_EQ(gstk_chan_send(d, &v), 0);
	}
	return NULL;
}

WAIT_TEST(a_foreign_thread_sends_and_receives)
{
	pthread_t th;
	uint64_t v = 0;

	for (size_t capacity = 0; capacity < 2; capacity++) {
		CHECK_EQ(gstk_chan_create(&c, 8, capacity), 0);
		CHECK_EQ(gstk_chan_create(&d, 8, capacity), 0);
		CHECK_EQ(pthread_create(&th, NULL, thread_echo, NULL), 0);
		for (unsigned long i = 0; i < scaled(1000); i++) {
			uint64_t was = v;

			CHECK_EQ(gstk_chan_send(c, &v), 0);
			CHECK_EQ(gstk_chan_recv(d, &v), 0);
			CHECK_EQ(v, was + 1);
		}
		CHECK_EQ(gstk_chan_close(c), 0);
		/* Not a join that blocks the worker: the thread needs none. */
		CHECK_EQ(pthread_join(th, NULL), 0);
		CHECK_EQ(gstk_chan_destroy(c), 0);
		CHECK_EQ(gstk_chan_destroy(d), 0);
	}
}

static void *thread_timed(void *arg)
{
	uint64_t v, t0 = gstk_now();

	CHECK_EQ(gstk_chan_recv_until(c, &v, t0 + 5 * MS), -ETIMEDOUT);
	CHECK(gstk_now() >= t0 + 5 * MS);
	return NULL;
}

WAIT_TEST(a_foreign_thread_times_out)
{
	pthread_t th;

	CHECK_EQ(gstk_chan_create(&c, 8, 0), 0);
	CHECK_EQ(pthread_create(&th, NULL, thread_timed, NULL), 0);
	CHECK_EQ(pthread_join(th, NULL), 0); /* also while the only worker is blocked like this */
	CHECK_EQ(gstk_chan_destroy(c), 0);
}

/* Many to many. */
enum { MANY = 50 };
static unsigned long each;

static void *produce(void *arg)
{
	for (uint64_t i = 0; i < each; i++)
		CHECK_EQ(gstk_chan_send(c, &i), 0);
	return NULL;
}

static void *consume(void *arg)
{
	uint64_t v;

	while (!gstk_chan_recv(c, &v)) {
		atomic_fetch_add(&got_sum, v);
		atomic_fetch_add(&got_nr, 1);
	}
	return NULL;
}

WAIT_TEST(many_producers_and_consumers_lose_nothing)
{
	static gstk_task *p[MANY], *q[MANY];

	each = scaled(1000);
	for (size_t capacity = 0; capacity <= 16; capacity += 16) {
		atomic_store(&got_sum, 0);
		atomic_store(&got_nr, 0);
		CHECK_EQ(gstk_chan_create(&c, 8, capacity), 0);
		for (int i = 0; i < MANY; i++) {
			q[i] = start(consume, NULL);
			p[i] = start(produce, NULL);
		}
		for (int i = 0; i < MANY; i++)
			finish(p[i]);
		CHECK_EQ(gstk_chan_close(c), 0);
		for (int i = 0; i < MANY; i++)
			finish(q[i]);
		CHECK_EQ(atomic_load(&got_nr), MANY * each);
		CHECK_EQ(atomic_load(&got_sum), MANY * (each * (each - 1) / 2));
		CHECK_EQ(gstk_chan_destroy(c), 0);
	}
}

/*
 * Nobody may look at a channel after the other side has what it came for. The block's free list link
 * lies where the lock was: a late look finds it taken, and waits for ever.
 */
static void *send_last(void *arg)
{
	gstk_chan *const *q = arg;
	uint64_t v = 1;

	CHECK_EQ(gstk_chan_send(*q, &v), 0);
	return NULL;
}

static void *make_and_destroy(void *arg)
{
	for (unsigned long i = 0, nr = scaled(20000); i < nr; i++) {
		uint64_t v, sum = 0;
		gstk_chan *q;

		CHECK_EQ(gstk_chan_create(&q, 8, 0), 0);
		for (int k = 0; k < 3; k++)
			CHECK_EQ(gstk_spawn(NULL, send_last, NULL,
					    GSTK_OPTS(gstk_spawn_opts, .block = &q, .block_size = sizeof(q))), 0);
		gstk_yield(); /* so that some wait in it */
		for (int k = 0; k < 3; k++) {
			CHECK_EQ(gstk_chan_recv(q, &v), 0);
			sum += v;
		}
		CHECK_EQ(sum, 3);
		CHECK_EQ(gstk_chan_destroy(q), 0);
		gstk_yield(); /* now they return */
	}
	return NULL;
}

static void destroy_after_recv(void)
{
	gstk_task *t[2];

	for (int i = 0; i < 2; i++)
		t[i] = start(make_and_destroy, NULL);
	for (int i = 0; i < 2; i++)
		finish(t[i]);
}

TEST(a_receiver_may_destroy_the_channel_at_once)
{
	with_workers(4, destroy_after_recv);
}

TEST(absurd_arguments_are_refused)
{
	gstk_chan *x;

	ASSERT_EQ(-EINVAL, gstk_chan_create(NULL, 8, 0));
	ASSERT_EQ(-EINVAL, gstk_chan_create(&x, 1ull << 40, 0));
	ASSERT_EQ(-EINVAL, gstk_chan_create(&x, 8, 1ull << 40));
	ASSERT_EQ(-ENOMEM, gstk_chan_create(&x, INT32_MAX, INT32_MAX));
	ASSERT_EQ(0, gstk_chan_destroy(NULL));
	ASSERT_EQ(0, gstk_chan_create(&x, 8, 1));
	ASSERT_EQ(-ESRCH, gstk_chan_recv(x, NULL));
	ASSERT_EQ(0, gstk_chan_destroy(x));
}

TEST_HARNESS_MAIN
