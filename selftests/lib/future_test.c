// SPDX-License-Identifier: MIT
/* Stackless tasks: their life, and messages between them, tasks with stacks, and threads. */
#include "future_test.h"

/* ---- life ---- */

FUTURE(doubler, long, count_drop)
{
	CHECK_EQ(strcmp(gstk_task_name(gstk_self()), "doubler"), 0);
	return gstk_future_done(f, ptr(*(long *)state_ * 2));
}

WAIT_TEST(one_is_joined_and_its_result_taken)
{
	gstk_task *t;
	long v = 21;

	dropped = 0;
	t = future(&doubler, &v);
	v = 0; /* it has a copy */
	CHECK_EQ(finish(t), 42);
	CHECK_EQ(dropped, 1);
	t = future(&doubler, NULL);
	settle(); /* it ends before it is joined */
	CHECK_EQ(strcmp(gstk_task_name(t), "doubler"), 0);
	CHECK_EQ(finish(t), 0);
	CHECK_EQ(gstk_future_spawn(NULL, &doubler, &v), 0);
	t = future(&doubler, &v);
	CHECK_EQ(gstk_detach(t), 0);
	while (dropped < 4)
		gstk_sleep(MS);
}

WAIT_TEST(a_bad_type_is_refused)
{
	struct gstk_future_type type = doubler;
	gstk_task *t;

	CHECK_EQ(gstk_future_spawn(&t, NULL, NULL), -EINVAL);
	type.size = 8;
	CHECK_EQ(gstk_future_spawn(&t, &type, NULL), -EINVAL);
	type.size = sizeof(type);
	type.poll = NULL;
	CHECK_EQ(gstk_future_spawn(&t, &type, NULL), -EINVAL);
	type.poll = doubler.poll;
	type.state_size = SIZE_MAX;
	CHECK_EQ(gstk_future_spawn(&t, &type, NULL), -EINVAL);
	CHECK_EQ(gstk_future_spawn(&t, &doubler, NULL), 0);
	CHECK_EQ(finish(t), 0);
}

TEST(without_a_runtime_there_is_none)
{
	EXPECT_EQ(gstk_future_spawn(NULL, &doubler, NULL), -ESRCH);
}

/* What it does with all that a task has. */
static char order[8];
static gstk_local key;

static void note(void *c)
{
	size_t n = strlen(order);

	order[n] = (char)(long)c;
}

static void note_drop(void *state)
{
	note(ptr('d'));
}

struct own {
	int line;
	char *mine;
};

FUTURE(owner, struct own, note_drop)
{
	struct own *o = state_;

	GSTK_FUTURE_BEGIN(o->line);
	CHECK_EQ(gstk_cleanup_push(note, ptr('1')), 0);
	CHECK_EQ(gstk_cleanup_push(note, ptr('2')), 0);
	CHECK_EQ(gstk_local_set(key, ptr('l')), 0);
	o->mine = gstk_alloc(100);
	CHECK(o->mine);
	strcpy(o->mine, "kept");
	GSTK_AWAIT(o->line, gstk_await_yield(f));
	CHECK_EQ(strcmp(o->mine, "kept"), 0);
	CHECK_EQ((long)gstk_local_get(key), 'l');
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

WAIT_TEST(it_has_cleanups_storage_and_memory_like_any_task)
{
	memset(order, 0, sizeof(order));
	CHECK_EQ(gstk_local_create(&key, note), 0);
	finish(future(&owner, NULL));
	CHECK_EQ(strcmp(order, "21dl"), 0);
	CHECK_EQ(gstk_local_delete(key), 0);
}

/* ---- messages ---- */

struct big {
	uint64_t word[5];
};

struct pipe {
	int line;
	gstk_chan *in, *out;
	struct big b;
	uint64_t nr;
};

/* Passes on what comes, plus one. */
FUTURE(stage, struct pipe, count_drop)
{
	struct pipe *p = state_;

	GSTK_FUTURE_BEGIN(p->line);
	for (;;) {
		GSTK_AWAIT(p->line, gstk_await_recv(f, p->in, &p->b, GSTK_NEVER));
		if (gstk_await_result(f) < 0) {
			CHECK_EQ(gstk_await_result(f), -EPIPE);
			CHECK_EQ(gstk_chan_close(p->out), 0);
			return gstk_future_done(f, ptr((long)p->nr));
		}
		for (int i = 0; i < 5; i++)
			p->b.word[i]++;
		GSTK_AWAIT(p->line, gstk_await_send(f, p->out, &p->b, GSTK_NEVER));
		CHECK_EQ(gstk_await_result(f), 0);
		p->nr++;
	}
	GSTK_FUTURE_END;
}

static void *stackful_stage(void *arg)
{
	struct pipe p = *(struct pipe *)arg;
	int r;

	while (!(r = gstk_chan_recv(p.in, &p.b))) {
		for (int i = 0; i < 5; i++)
			p.b.word[i]++;
		CHECK_EQ(gstk_chan_send(p.out, &p.b), 0);
		p.nr++;
	}
	CHECK_EQ(r, -EPIPE);
	CHECK_EQ(gstk_chan_close(p.out), 0);
	return ptr((long)p.nr);
}

/* Ten stages of either kind; @kinds says which, a bit each. */
static void pass_through(unsigned int kinds, size_t size, size_t capacity, uint64_t nr)
{
	struct pipe *p = calloc(10, sizeof(*p));
	gstk_chan *c[11];
	gstk_task *t[10];
	struct big b;
	uint64_t got = 0;

	for (int i = 0; i < 11; i++)
		CHECK_EQ(gstk_chan_create(&c[i], size, capacity), 0);
	for (int i = 0; i < 10; i++) {
		p[i] = (struct pipe){ .in = c[i], .out = c[i + 1] };
		t[i] = kinds >> i & 1 ? future(&stage, &p[i]) : start(stackful_stage, &p[i]);
	}
	for (uint64_t i = 0; i < nr; i++) {
		memset(&b, 0, sizeof(b));
		for (int k = 0; k < 5; k++)
			b.word[k] = i * 1000 + (uint64_t)k;
		CHECK_EQ(gstk_chan_send(c[0], &b), 0);
		if (i >= 4) { /* the stages hold some */
			CHECK_EQ(gstk_chan_recv(c[10], &b), 0);
			CHECK_EQ(b.word[0], got * 1000 + 10);
			if (size == sizeof(b))
				CHECK_EQ(b.word[4], got * 1000 + 14);
			got++;
		}
	}
	CHECK_EQ(gstk_chan_close(c[0]), 0);
	while (!gstk_chan_recv(c[10], &b)) {
		CHECK_EQ(b.word[0], got * 1000 + 10);
		got++;
	}
	CHECK_EQ(got, nr);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(finish(t[i]), nr);
	for (int i = 0; i < 11; i++)
		CHECK_EQ(gstk_chan_destroy(c[i]), 0);
	free(p);
}

WAIT_TEST(messages_pass_between_tasks_with_and_without_stacks)
{
	static const unsigned int kinds[] = { 0x3ff, 0x155, 0x2aa, 0x0f3 };
	static const size_t sizes[] = { 8, 16, sizeof(struct big) };

	for (int k = 0; k < 4; k++)
		for (int s = 0; s < 3; s++)
			for (size_t capacity = 0; capacity < 4; capacity += 3)
				pass_through(kinds[k], sizes[s], capacity, scaled(2000));
}

/* A million additions between threads, tasks and stackless ones, nothing lost. */
struct adder {
	int line;
	gstk_chan *chan;
	uint64_t v, left, sum;
};

FUTURE(sender, struct adder, NULL)
{
	struct adder *a = state_;
	uint64_t v;

	GSTK_FUTURE_BEGIN(a->line);
	while (a->left) {
		v = a->left--;
		GSTK_AWAIT(a->line, gstk_await_send(f, a->chan, &v, GSTK_NEVER)); /* a local one will do */
		CHECK_EQ(gstk_await_result(f), 0);
	}
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

FUTURE(receiver, struct adder, NULL)
{
	struct adder *a = state_;

	GSTK_FUTURE_BEGIN(a->line);
	for (;;) {
		GSTK_AWAIT(a->line, gstk_await_recv(f, a->chan, &a->v, GSTK_NEVER));
		if (gstk_await_result(f) < 0)
			return gstk_future_done(f, ptr((long)a->sum));
		a->sum += a->v;
	}
	GSTK_FUTURE_END;
}

static void *sends(void *arg)
{
	struct adder *a = arg;

	for (uint64_t v = a->left; v; v--)
		CHECK_EQ(gstk_chan_send(a->chan, &v), 0);
	return NULL;
}

static void *receives(void *arg)
{
	struct adder *a = arg;
	uint64_t v, sum = 0;

	while (!gstk_chan_recv(a->chan, &v))
		sum += v;
	return ptr((long)sum);
}

WAIT_TEST(threads_tasks_and_stackless_ones_share_a_channel)
{
	struct adder *a = calloc(1, sizeof(*a));
	gstk_task *from[6], *to[4];
	pthread_t thread[2];
	long sum = 0;

	a->left = scaled(10000);
	CHECK_EQ(gstk_chan_create(&a->chan, 8, 1), 0);
	for (int i = 0; i < 4; i++)
		to[i] = i & 1 ? future(&receiver, a) : start(receives, a);
	for (int i = 0; i < 6; i++)
		from[i] = i & 1 ? future(&sender, a) : start(sends, a);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, sends, a), 0);
	for (int i = 0; i < 6; i++)
		finish(from[i]);
	for (int i = 0; i < 2; i++)
		while (pthread_tryjoin_np(thread[i], NULL))
			gstk_sleep(MS);
	CHECK_EQ(gstk_chan_close(a->chan), 0);
	for (int i = 0; i < 4; i++)
		sum += finish(to[i]);
	CHECK_EQ(sum, 8 * (a->left * (a->left + 1) / 2));
	CHECK_EQ(gstk_chan_destroy(a->chan), 0);
	free(a);
}

/* ---- all at once ---- */

static _Atomic long taken, given;

struct storm {
	int line;
	gstk_chan *chan;
	uint32_t seed;
	uint64_t v;
	long left;
	bool sends;
};

/* Sends or receives with random deadlines, and is cancelled at random; counts what really went. */
FUTURE(storm, struct storm, count_drop)
{
	struct storm *s = state_;

	GSTK_FUTURE_BEGIN(s->line);
	while (s->left--) {
		uint64_t deadline = rnd(&s->seed) % 4 ? GSTK_NEVER : gstk_now() + rnd(&s->seed) % MS;

		if (s->sends) {
			s->v = 1;
			GSTK_AWAIT(s->line, gstk_await_send(f, s->chan, &s->v, deadline));
			given += !gstk_await_result(f);
		} else {
			GSTK_AWAIT(s->line, gstk_await_recv(f, s->chan, &s->v, deadline));
			taken += !gstk_await_result(f);
		}
		if (gstk_await_result(f) == -EPIPE)
			return gstk_future_done(f, NULL);
		gstk_cancel_clear();
	}
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void *stackful_storm(void *arg)
{
	struct storm s = *(struct storm *)arg;

	while (s.left--) {
		uint64_t deadline = rnd(&s.seed) % 4 ? GSTK_NEVER : gstk_now() + rnd(&s.seed) % MS;
		int r = s.sends ? gstk_chan_send_until(s.chan, &(uint64_t){ 1 }, deadline)
				: gstk_chan_recv_until(s.chan, &s.v, deadline);

		*(s.sends ? &given : &taken) += !r;
		if (r == -EPIPE)
			break;
		gstk_cancel_clear();
	}
	return NULL;
}

WAIT_TEST(cancels_and_deadlines_lose_no_message)
{
	enum { NR = 40 };
	struct storm *s = calloc(NR, sizeof(*s));
	uint32_t seed = 12345;
	gstk_task *t[NR];
	gstk_chan *chan;
	uint64_t v;

	taken = given = 0;
	CHECK_EQ(gstk_chan_create(&chan, 8, 2), 0);
	for (int i = 0; i < NR; i++) {
		s[i] = (struct storm){ .chan = chan, .seed = rnd(&seed), .left = (long)scaled(2000), .sends = i & 1 };
		t[i] = i & 2 ? future(&storm, &s[i]) : start(stackful_storm, &s[i]);
	}
	for (unsigned long i = 0; i < scaled(5000); i++) {
		gstk_cancel(t[rnd(&seed) % NR]);
		if (i % 4 == 0)
			gstk_yield();
	}
	CHECK_EQ(gstk_chan_close(chan), 0);
	for (int i = 0; i < NR; i++)
		gstk_join(t[i], NULL);
	while (!gstk_chan_try_recv(chan, &v))
		taken++;
	CHECK_EQ(taken, given);
	CHECK_EQ(gstk_chan_destroy(chan), 0);
	free(s);
}

TEST_HARNESS_MAIN
