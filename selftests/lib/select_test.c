// SPDX-License-Identifier: MIT
#include "wait_test.h"

static gstk_chan *ch[300];

static void make(unsigned int nr, size_t elem, size_t capacity)
{
	for (unsigned int i = 0; i < nr; i++)
		CHECK_EQ(gstk_chan_create(&ch[i], elem, capacity), 0);
}

static void drop(unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		CHECK_EQ(gstk_chan_destroy(ch[i]), 0);
}

#define RECV(c, p) { .chan = (c), .op = GSTK_CASE_RECV, .elem = (p) }
#define SEND(c, p) { .chan = (c), .op = GSTK_CASE_SEND, .elem = (p) }

WAIT_TEST(it_takes_the_case_that_is_ready)
{
	uint64_t v = 5, got = 0;
	struct gstk_case cs[] = { RECV(NULL, NULL), RECV(NULL, &got), SEND(NULL, &v) };

	make(3, 8, 1);
	cs[1].chan = ch[1];
	cs[2].chan = ch[2];
	CHECK_EQ(gstk_chan_send(ch[2], &v), 0);
	CHECK_EQ(gstk_select(cs, 3, 0), -EAGAIN);
	CHECK_EQ(gstk_chan_send(ch[1], &v), 0);
	CHECK_EQ(gstk_select(cs, 3, GSTK_NEVER), 1);
	CHECK_EQ(got, 5);
	CHECK_EQ(cs[1].result, 0);
	CHECK_EQ(gstk_chan_recv(ch[2], NULL), 0);
	CHECK_EQ(gstk_select(cs, 3, GSTK_NEVER), 2);
	CHECK_EQ(gstk_chan_recv(ch[2], &got), 0);
	drop(3);
}

WAIT_TEST(a_ready_choice_is_fair)
{
	unsigned int count[3] = { 0 };
	uint64_t v = 1, got;

	make(3, 8, 1);
	for (int i = 0; i < 3000; i++) {
		struct gstk_case cs[] = { RECV(ch[0], &got), RECV(ch[1], &got), RECV(ch[2], &got) };
		int r;

		for (int k = 0; k < 3; k++)
			gstk_chan_try_send(ch[k], &v);
		r = gstk_select(cs, 3, GSTK_NEVER);
		CHECK(r >= 0 && r < 3);
		count[r]++;
	}
	for (int k = 0; k < 3; k++)
		CHECK(count[k] > 800 && count[k] < 1200);
	drop(3);
}

static size_t elem;
static unsigned char pattern[4096];

static void *select_first(void *arg)
{
	unsigned char got[4096 + 1], out[4096];
	struct gstk_case cs[4];
	int r;

	memset(got, 0xee, sizeof(got));
	memcpy(out, pattern, sizeof(out));
	for (int i = 0; i < 4; i++)
		cs[i] = i < 2 ? (struct gstk_case)RECV(ch[i], got) : (struct gstk_case)SEND(ch[i], out);
	r = gstk_select(cs, 4, GSTK_NEVER);
	if (r >= 0 && r < 2 && cs[r].result == 0) {
		CHECK(!memcmp(got, pattern, elem));
		CHECK_EQ(got[elem], 0xee);
	}
	return (void *)(long)(r < 0 ? r : cs[r].result ? cs[r].result : r);
}

WAIT_TEST(a_parked_select_is_woken_by_each_of_its_cases)
{
	static const size_t sizes[] = { 0, 8, 16, 17, 100, 4096 };
	unsigned char got[4096];

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (unsigned char)(i * 3 + 1);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		elem = sizes[k];
		make(4, elem, 0);
		for (int i = 0; i < 4; i++) {
			gstk_task *t = start(select_first, NULL);

			settle();
			for (int other = 0; other < 4; other++)
				if (other != i)
					CHECK_EQ(gstk_chan_destroy(ch[other]), -EBUSY);
			if (i < 2) {
				CHECK_EQ(gstk_chan_send(ch[i], pattern), 0);
			} else {
				memset(got, 0, sizeof(got));
				CHECK_EQ(gstk_chan_recv(ch[i], got), 0);
				CHECK(!memcmp(got, pattern, elem));
			}
			CHECK_EQ(finish(t), i);
			/* Nothing of it stays in the other channels. */
			for (int other = 0; other < 4; other++) {
				CHECK_EQ(gstk_chan_try_send(ch[other], pattern), -EAGAIN);
				CHECK_EQ(gstk_chan_try_recv(ch[other], got), -EAGAIN);
			}
		}
		drop(4);
	}
}

WAIT_TEST(close_wakes_a_select)
{
	for (int i = 0; i < 4; i++) {
		gstk_task *t;

		elem = i & 1 ? 8 : 100;
		make(4, elem, 0);
		t = start(select_first, NULL);
		settle();
		CHECK_EQ(gstk_chan_close(ch[i]), 0);
		CHECK_EQ(finish(t), -EPIPE);
		t = start(select_first, NULL);
		CHECK_EQ(finish(t), -EPIPE);
		drop(4);
	}
}

/* A receiver that a close has woken is through with the channel, a select is not yet. */
WAIT_TEST(a_channel_is_not_freed_under_a_select_that_its_close_has_woken)
{
	struct gstk_stats st = { .size = sizeof(st) };
	gstk_task *t;
	int err;

	elem = 8;
	make(4, elem, 0);
	CHECK_EQ(gstk_chan_destroy(ch[0]), 0);
	CHECK_EQ(gstk_chan_create(&ch[0], elem, 400), 0); /* so large that a sanitizer sees it freed */
	t = start(select_first, NULL);
	settle();
	CHECK_EQ(gstk_chan_destroy(ch[0]), -EBUSY);
	CHECK_EQ(gstk_chan_close(ch[0]), 0);
	err = gstk_chan_destroy(ch[0]);
	CHECK_EQ(gstk_stats(&st), 0);
	if (st.workers == 1)
		CHECK_EQ(err, -EBUSY); /* it has not run yet */
	CHECK_EQ(finish(t), -EPIPE);
	for (int i = err ? 0 : 1; i < 4; i++)
		CHECK_EQ(gstk_chan_destroy(ch[i]), 0);
}

WAIT_TEST(a_select_times_out_and_can_be_cancelled)
{
	uint64_t v, t0;
	gstk_task *t;

	elem = 40;
	make(4, elem, 0);
	for (int i = 0; i < 5; i++) {
		unsigned char buf[40] = { 0 };
		struct gstk_case cs[] = { RECV(ch[0], buf), SEND(ch[1], buf), RECV(ch[0], buf) };

		t0 = gstk_now();
		CHECK_EQ(gstk_select(cs, 3, t0 + 3 * MS), -ETIMEDOUT);
		CHECK(gstk_now() >= t0 + 3 * MS);
		CHECK_EQ(gstk_select(cs, 3, t0), -ETIMEDOUT);
		CHECK_EQ(gstk_select(NULL, 0, gstk_now() + MS), -ETIMEDOUT);
		CHECK_EQ(gstk_select(NULL, 0, 0), -EAGAIN);
	}
	t = start(select_first, NULL);
	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(gstk_chan_try_recv(ch[2], &v), -EAGAIN);
	drop(4);
}

static void *select_both_ways(void *arg)
{
	uint64_t in = 0, out = 77;
	struct gstk_case cs[] = { SEND(ch[0], &out), RECV(ch[0], &in) };
	int r = gstk_select(cs, 2, GSTK_NEVER);

	return (void *)(long)(r == 1 ? (long)in : r);
}

WAIT_TEST(a_select_does_not_talk_to_itself)
{
	gstk_task *t;
	uint64_t v = 0;

	make(1, 8, 0);
	t = start(select_both_ways, NULL);
	settle();
	CHECK_EQ(gstk_chan_recv(ch[0], &v), 0);
	CHECK_EQ(v, 77);
	CHECK_EQ(finish(t), 0);
	t = start(select_both_ways, NULL);
	settle();
	v = 5;
	CHECK_EQ(gstk_chan_send(ch[0], &v), 0);
	CHECK_EQ(finish(t), 5);
	drop(1);
}

WAIT_TEST(two_selects_meet)
{
	make(1, 8, 0);
	for (unsigned long i = 0; i < scaled(2000); i++) {
		gstk_task *a = start(select_both_ways, NULL), *b = start(select_both_ways, NULL);
		long x = finish(a), y = finish(b);

		CHECK((x == 0 && y == 77) || (x == 77 && y == 0));
	}
	drop(1);
}

static void *select_many(void *arg)
{
	static struct gstk_case cs[300];
	static uint64_t got;

	for (int i = 0; i < 300; i++)
		cs[i] = (struct gstk_case)RECV(ch[299 - i], &got);
	return (void *)(long)gstk_select(cs, 300, GSTK_NEVER);
}

WAIT_TEST(hundreds_of_cases_are_told_apart)
{
	uint64_t v = 3;

	make(300, 8, 0);
	for (int i = 0; i < 300; i += 23) {
		gstk_task *t = start(select_many, NULL);

		settle();
		CHECK_EQ(gstk_chan_send(ch[i], &v), 0);
		CHECK_EQ(finish(t), 299 - i);
	}
	drop(300);
}

/* Selects that send and receive on three channels, plain tasks, cancels, timeouts: nothing is lost. */
static _Atomic uint64_t sent_sum, sent_nr, got_sum, got_nr;
static _Atomic int stop;

static void count(_Atomic uint64_t *sum, _Atomic uint64_t *nr, const unsigned char *m)
{
	uint64_t v, w;

	memcpy(&v, m, 8);
	memcpy(&w, m + elem - 8, 8);
	CHECK(v == w);
	atomic_fetch_add(sum, v);
	atomic_fetch_add(nr, 1);
}

static void *racer(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 11;
	unsigned char in[64], out[64];

	for (uint64_t n = 1; !atomic_load(&stop); n++) {
		struct gstk_case cs[3];
		unsigned int nr = 1 + rnd(&seed) % 3;
		uint64_t v = n << 8 | (uintptr_t)arg;
		int r;

		memcpy(out, &v, 8);
		memcpy(out + elem - 8, &v, 8);
		for (unsigned int i = 0; i < nr; i++)
			cs[i] = (rnd(&seed) >> 8) & 1 ? (struct gstk_case)RECV(ch[rnd(&seed) % 3], in)
						      : (struct gstk_case)SEND(ch[rnd(&seed) % 3], out);
		r = gstk_select(cs, nr, rnd(&seed) % 2 ? GSTK_NEVER : gstk_now() + rnd(&seed) % 300000);
		if (r >= 0) {
			if (cs[r].result == -EPIPE)
				break;
			CHECK_EQ(cs[r].result, 0);
			if (cs[r].op == GSTK_CASE_RECV)
				count(&got_sum, &got_nr, in);
			else
				count(&sent_sum, &sent_nr, out);
		} else {
			CHECK(r == -ECANCELED || r == -ETIMEDOUT);
			gstk_cancel_clear();
		}
		if (rnd(&seed) % 8 == 0)
			gstk_yield();
	}
	return NULL;
}

static void *plain(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 13;
	unsigned char m[64];

	for (uint64_t n = 1; !atomic_load(&stop); n++) {
		uint64_t v = n << 8 | (uintptr_t)arg, until = gstk_now() + rnd(&seed) % 300000;
		bool send = (uintptr_t)arg & 1;
		int r;

		memcpy(m, &v, 8);
		memcpy(m + elem - 8, &v, 8);
		r = send ? gstk_chan_send_until(ch[rnd(&seed) % 3], m, until)
			 : gstk_chan_recv_until(ch[rnd(&seed) % 3], m, until);
		if (!r)
			count(send ? &sent_sum : &got_sum, send ? &sent_nr : &got_nr, m);
		else if (r == -EPIPE)
			break;
		else
			gstk_cancel_clear();
	}
	return NULL;
}

WAIT_TEST(no_message_is_lost_among_selects)
{
	enum { N = 10 };

	for (int shape = 0; shape < 4; shape++) {
		gstk_task *t[N];
		uint32_t seed = 3;
		uint64_t until = gstk_now() + scaled(300) * MS;

		elem = shape & 1 ? 40 : 8;
		atomic_store(&sent_sum, 0);
		atomic_store(&sent_nr, 0);
		atomic_store(&got_sum, 0);
		atomic_store(&got_nr, 0);
		atomic_store(&stop, 0);
		make(3, elem, shape & 2 ? 2 : 0);
		for (uintptr_t i = 0; i < N; i++)
			t[i] = start(i < 6 ? racer : plain, (void *)(i + 1));
		while (gstk_now() < until || atomic_load(&got_nr) <= 10) {
			gstk_cancel(t[rnd(&seed) % N]);
			gstk_sleep(rnd(&seed) % 300000);
		}
		atomic_store(&stop, 1);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(gstk_chan_close(ch[i]), 0);
		for (int i = 0; i < N; i++)
			finish(t[i]);
		for (int i = 0; i < 3; i++) { /* what is still in the buffers */
			unsigned char m[64];

			while (!gstk_chan_recv(ch[i], m))
				count(&got_sum, &got_nr, m);
		}
		CHECK_EQ(atomic_load(&sent_nr), atomic_load(&got_nr));
		CHECK_EQ(atomic_load(&sent_sum), atomic_load(&got_sum));
		CHECK(atomic_load(&got_nr) > 10);
		drop(3);
	}
}

static void *thread_select(void *arg)
{
	uint64_t v;
	struct gstk_case cs[] = { RECV(ch[0], &v), RECV(ch[1], &v) };
	long n = 0;

	for (;;) {
		int r = gstk_select(cs, 2, GSTK_NEVER);

		CHECK(r >= 0);
		if (cs[r].result == -EPIPE)
			return (void *)n;
		CHECK_EQ(v, r);
		n++;
	}
}

WAIT_TEST(a_foreign_thread_selects)
{
	pthread_t th;
	void *n;

	make(2, 8, 0);
	CHECK_EQ(pthread_create(&th, NULL, thread_select, NULL), 0);
	for (uint64_t i = 0; i < 200; i++) {
		uint64_t v = i & 1;

		CHECK_EQ(gstk_chan_send(ch[v], &v), 0);
	}
	CHECK_EQ(gstk_chan_close(ch[1]), 0);
	CHECK_EQ(pthread_join(th, &n), 0);
	CHECK_EQ((long)n, 200);
	drop(2);
}

static void bad(void)
{
	struct gstk_case cs[] = { { .op = 7 } };

	CHECK_EQ(gstk_select(cs, 1, 0), -EINVAL);
	CHECK_EQ(gstk_select(NULL, 1, 0), -EINVAL);
	CHECK_EQ(gstk_select(cs, 5000, 0), -EINVAL);
}

TEST(absurd_arguments_are_refused)
{
	with_workers(1, bad);
}

/* A timer among the cases. */
WAIT_TEST(a_timer_is_a_case_like_any_other)
{
	gstk_timer *tm;
	uint64_t n = 0, v, t0 = gstk_now();

	make(1, 8, 0);
	CHECK_EQ(gstk_timer_create(&tm), 0);
	CHECK_EQ(gstk_timer_set(tm, t0 + 4 * MS, 0), 0);
	struct gstk_case cs[] = { RECV(ch[0], &v), RECV(gstk_timer_chan(tm), &n) };
	CHECK_EQ(gstk_select(cs, 2, GSTK_NEVER), 1);
	CHECK(gstk_now() >= t0 + 4 * MS);
	CHECK_EQ(n, 1);
	CHECK_EQ(gstk_select(cs, 2, gstk_now() + 10 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_timer_destroy(tm), 0);
	drop(1);
}

TEST_HARNESS_MAIN
