// SPDX-License-Identifier: MIT
/* What stackless tasks wait for, and each way in which that ends. */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "future_test.h"

static _Atomic int began;

/* ---- each wait, and each way in which it ends ---- */

static struct {
	gstk_chan *empty, *full;
	gstk_mutex mutex;
	gstk_sem sem;
	gstk_waitgroup group;
	gstk_task *sleeper;
	struct gstk_case cases[2];
	int pair[2], stuffed[2], listener;
	char text[8];
	uint64_t got;
	void *result;
} world;

static void *sleeps(void *arg)
{
	return ptr(gstk_sleep(3600 * 1000 * MS));
}

static enum gstk_progress on_recv(gstk_future *f, uint64_t deadline)
{
	return gstk_await_recv(f, world.empty, &world.got, deadline);
}

static enum gstk_progress on_send(gstk_future *f, uint64_t deadline)
{
	uint64_t v = 7;

	return gstk_await_send(f, world.full, &v, deadline);
}

static enum gstk_progress on_mutex(gstk_future *f, uint64_t deadline)
{
	return gstk_await_mutex(f, &world.mutex, deadline);
}

static enum gstk_progress on_sem(gstk_future *f, uint64_t deadline)
{
	return gstk_await_sem(f, &world.sem, deadline);
}

static enum gstk_progress on_waitgroup(gstk_future *f, uint64_t deadline)
{
	return gstk_await_waitgroup(f, &world.group, deadline);
}

static enum gstk_progress on_join(gstk_future *f, uint64_t deadline)
{
	return gstk_await_join(f, world.sleeper, &world.result, deadline);
}

static enum gstk_progress on_time(gstk_future *f, uint64_t deadline)
{
	return gstk_await_time(f, gstk_now() + 3600 * 1000 * MS);
}

static enum gstk_progress on_select(gstk_future *f, uint64_t deadline)
{
	return gstk_await_select(f, world.cases, 2, deadline == 0 ? gstk_now() : deadline);
}

static enum gstk_progress on_ready(gstk_future *f, uint64_t deadline)
{
	return gstk_await_ready(f, world.stuffed[1], POLLOUT, deadline);
}

static enum gstk_progress on_read(gstk_future *f, uint64_t deadline)
{
	return gstk_await_read(f, world.pair[0], world.text, sizeof(world.text), deadline);
}

static enum gstk_progress on_write(gstk_future *f, uint64_t deadline)
{
	return gstk_await_write(f, world.stuffed[1], "x", 1, deadline);
}

static enum gstk_progress on_accept(gstk_future *f, uint64_t deadline)
{
	return gstk_await_accept(f, world.listener, deadline);
}

static void let_select(void)
{
	uint64_t v;

	CHECK_EQ(gstk_chan_recv(world.full, &v), 0);
}

static void let_write(void)
{
	static char all[1 << 20];

	while (recv(world.stuffed[0], all, sizeof(all), MSG_DONTWAIT) > 0)
		;
}

static void let_read(void)
{
	CHECK_EQ(write(world.pair[1], "hello", 5), 5);
}

static void let_accept(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(at);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK_EQ(getsockname(world.listener, (struct sockaddr *)&at, &len), 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&at, len), 0);
	CHECK_EQ(close(fd), 0);
}

static void let_recv(void)
{
	CHECK_EQ(gstk_chan_send(world.empty, &(uint64_t){ 99 }), 0);
}

static void let_send(void)
{
	uint64_t v;

	CHECK_EQ(gstk_chan_recv(world.full, &v), 0);
}

static void let_mutex(void)
{
	CHECK_EQ(gstk_mutex_unlock(&world.mutex), 0);
}

static void let_sem(void)
{
	CHECK_EQ(gstk_sem_post(&world.sem, 1), 0);
}

static void let_waitgroup(void)
{
	CHECK_EQ(gstk_waitgroup_done(&world.group), 0);
}

static void let_join(void)
{
	CHECK_EQ(gstk_cancel(world.sleeper), 0);
}

static const struct way {
	enum gstk_progress (*wait)(gstk_future *f, uint64_t deadline);
	void (*let)(void); /* it succeed */
	const char *why;
} ways[] = {
	{ on_recv, let_recv, "chan recv" },
	{ on_send, let_send, "chan send" },
	{ on_mutex, let_mutex, "mutex" },
	{ on_sem, let_sem, "sem" },
	{ on_waitgroup, let_waitgroup, "waitgroup" },
	{ on_join, let_join, "join" },
	{ on_time, NULL, "sleep" },
	{ on_select, let_select, "select" },
	{ on_ready, let_write, "fd write" },
	{ on_read, let_read, "fd read" },
	{ on_write, let_write, "fd write" },
	{ on_accept, let_accept, "fd read" },
};
enum { NR_WAYS = sizeof(ways) / sizeof(ways[0]) };

struct waiter {
	int line;
	const struct way *way;
	uint64_t deadline, own;
	long first;
	bool cancels;
};

/* When a cancel comes between a wait's begin and its park. */
static enum gstk_progress then_cancel(const struct waiter *w, enum gstk_progress p)
{
	if (w->cancels)
		CHECK_EQ(gstk_cancel(gstk_self()), 0);
	return p;
}

/* The result of the wait, and of the same again after a cancel. */
FUTURE(waiter, struct waiter, count_drop)
{
	struct waiter *w = state_;

	GSTK_FUTURE_BEGIN(w->line);
	if (w->own)
		CHECK_EQ(gstk_deadline_set(w->own), 0);
	GSTK_AWAIT(w->line, then_cancel(w, w->way->wait(f, w->deadline)));
	w->first = gstk_await_result(f);
	began++;
	if (w->first == -ECANCELED) {
		CHECK(gstk_canceled());
		GSTK_AWAIT(w->line, w->way->wait(f, w->deadline));
		CHECK_EQ(gstk_await_result(f), -ECANCELED); /* still */
		CHECK(gstk_cancel_clear());
		GSTK_AWAIT(w->line, gstk_await_time(f, gstk_now() + MS)); /* clean-up that waits */
		CHECK_EQ(gstk_await_result(f), 0);
	}
	if (w->way->wait == on_accept && w->first > 0)
		CHECK_EQ(gstk_close((int)w->first), 0);
	if (w->way->wait == on_mutex && !w->first)
		CHECK_EQ(gstk_mutex_unlock(&world.mutex), 0);
	return gstk_future_done(f, ptr(w->first));
	GSTK_FUTURE_END;
}

/* Everything has to be waited for. */
static void make_world(void)
{
	memset(&world, 0, sizeof(world));
	CHECK_EQ(gstk_chan_create(&world.empty, 8, 0), 0);
	CHECK_EQ(gstk_chan_create(&world.full, 8, 1), 0);
	CHECK_EQ(gstk_chan_send(world.full, &world.got), 0);
	CHECK_EQ(gstk_mutex_lock(&world.mutex), 0);
	CHECK_EQ(gstk_waitgroup_add(&world.group, 1), 0);
	world.sleeper = start(sleeps, NULL);
	world.cases[0] = (struct gstk_case){ .chan = world.empty, .op = GSTK_CASE_RECV, .elem = &world.got };
	world.cases[1] = (struct gstk_case){ .chan = world.full, .op = GSTK_CASE_SEND, .elem = &world.got };
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, world.pair), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, world.stuffed), 0);
	while (write(world.stuffed[1], world.text, sizeof(world.text)) > 0)
		;
	world.listener = gstk_socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(world.listener >= 0);
	CHECK_EQ(bind(world.listener, (struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX },
		      sizeof(sa_family_t)), 0); /* a name that nobody has */
	CHECK_EQ(listen(world.listener, 5), 0);
}

static void end_world(void)
{
	gstk_cancel(world.sleeper);
	gstk_join(world.sleeper, NULL); /* unless somebody has */
	CHECK_EQ(gstk_chan_destroy(world.empty), 0);
	CHECK_EQ(gstk_chan_destroy(world.full), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(gstk_close(world.pair[i]), 0);
		CHECK_EQ(gstk_close(world.stuffed[i]), 0);
	}
	CHECK_EQ(gstk_close(world.listener), 0);
}

WAIT_TEST(a_channel_is_not_freed_under_a_select_that_its_close_has_woken)
{
	struct gstk_stats st = { .size = sizeof(st) };
	gstk_task *t;
	int i = 0, err;

	while (ways[i].wait != on_select)
		i++;
	make_world();
	t = future(&waiter, &(struct waiter){ .way = &ways[i], .deadline = GSTK_NEVER });
	settle();
	CHECK_EQ(gstk_chan_destroy(world.empty), -EBUSY);
	CHECK_EQ(gstk_chan_close(world.empty), 0);
	err = gstk_chan_destroy(world.empty);
	CHECK_EQ(gstk_stats(&st), 0);
	if (st.workers == 1)
		CHECK_EQ(err, -EBUSY); /* it has not run yet */
	finish(t);
	if (!err)
		world.empty = NULL;
	end_world();
}

WAIT_TEST(each_wait_succeeds)
{
	for (int i = 0; i < NR_WAYS; i++) {
		for (int timed = 0; timed < 2; timed++) {
			gstk_task *t;
			long v;

			if (!ways[i].let)
				continue;
			make_world();
			t = future(&waiter, &(struct waiter){ .way = &ways[i],
				.deadline = timed ? gstk_now() + 3600 * 1000 * MS : GSTK_NEVER });
			settle();
			CHECK_EQ(gstk_join_until(t, NULL, 0), -ETIMEDOUT); /* it waits */
			ways[i].let();
			v = finish(t);
			CHECK_EQ(v, ways[i].wait == on_select || ways[i].wait == on_write ? 1 : ways[i].wait == on_read ? 5 :
				 ways[i].wait == on_ready ? POLLOUT : ways[i].wait == on_accept ? v : 0);
			CHECK(v >= 0);
			CHECK(ways[i].wait != on_read || !memcmp(world.text, "hello", 5));
			CHECK(ways[i].wait != on_recv || world.got == 99);
			CHECK(ways[i].wait != on_join || (long)world.result == -ECANCELED);
			if (ways[i].wait == on_join)
				world.sleeper = start(sleeps, NULL);
			end_world();
		}
	}
}

WAIT_TEST(a_cancel_ends_each_wait)
{
	for (int i = 0; i < NR_WAYS; i++) {
		for (int timed = 0; timed < 2; timed++) {
			gstk_task *t;

			make_world();
			dropped = 0;
			t = future(&waiter, &(struct waiter){ .way = &ways[i],
				.deadline = timed ? gstk_now() + 3600 * 1000 * MS : GSTK_NEVER });
			settle();
			CHECK_EQ(gstk_cancel(t), 0);
			CHECK_EQ(finish(t), -ECANCELED);
			CHECK_EQ(dropped, 1);
			/* Before it has begun, too. */
			t = future(&waiter, &(struct waiter){ .way = &ways[i], .deadline = GSTK_NEVER });
			CHECK_EQ(gstk_cancel(t), 0);
			CHECK_EQ(finish(t), -ECANCELED);
			/* And where it would not have had to wait: then nothing is taken. */
			CHECK_EQ(gstk_sem_post(&world.sem, 1), 0);
			t = future(&waiter, &(struct waiter){ .way = &ways[3], .deadline = GSTK_NEVER });
			CHECK_EQ(gstk_cancel(t), 0);
			CHECK_EQ(finish(t), -ECANCELED);
			CHECK_EQ(gstk_sem_try_wait(&world.sem), 0);
			end_world();
		}
	}
}

WAIT_TEST(a_cancel_just_before_the_park_ends_each_wait)
{
	for (int i = 0; i < NR_WAYS; i++) {
		for (int timed = 0; timed < 2; timed++) {
			make_world();
			CHECK_EQ(finish(future(&waiter, &(struct waiter){ .way = &ways[i], .cancels = true,
				.deadline = timed ? gstk_now() + 3600 * 1000 * MS : GSTK_NEVER })), -ECANCELED);
			end_world();
		}
	}
}

FUTURE(sleeps_too_long, int, NULL)
{
	uint64_t d = gstk_now() + MS;

	GSTK_FUTURE_BEGIN(*(int *)state_);
	CHECK_EQ(gstk_deadline_set(d), 0);
	GSTK_AWAIT(*(int *)state_, gstk_await_time(f, d + 1)); /* both are over when it comes back */
	return gstk_future_done(f, ptr(gstk_await_result(f)));
	GSTK_FUTURE_END;
}

WAIT_TEST(a_sleep_beyond_the_own_deadline_ends_by_that)
{
	CHECK_EQ(finish(future(&sleeps_too_long, NULL)), -ETIMEDOUT);
}

WAIT_TEST(a_deadline_ends_each_wait)
{
	for (int i = 0; i < NR_WAYS; i++) {
		gstk_task *t;
		uint64_t t0 = gstk_now();

		make_world();
		if (ways[i].let) {
			t = future(&waiter, &(struct waiter){ .way = &ways[i], .deadline = t0 + 5 * MS });
			CHECK_EQ(finish(t), -ETIMEDOUT);
			CHECK(gstk_now() >= t0 + 5 * MS);
			t = future(&waiter, &(struct waiter){ .way = &ways[i], .deadline = 0 });
			CHECK_EQ(finish(t), -ETIMEDOUT);
		}
		t0 = gstk_now();
		t = future(&waiter, &(struct waiter){ .way = &ways[i], .deadline = GSTK_NEVER, .own = t0 + 5 * MS });
		CHECK_EQ(finish(t), -ETIMEDOUT); /* the task's own */
		CHECK(gstk_now() >= t0 + 5 * MS);
		end_world();
	}
}

/* ---- locks ---- */

struct locker {
	int line;
	long left;
};

static gstk_mutex lock;
static long guarded, inside;

FUTURE(locker, struct locker, NULL)
{
	struct locker *l = state_;

	GSTK_FUTURE_BEGIN(l->line);
	for (; l->left; l->left--) {
		GSTK_AWAIT(l->line, gstk_await_mutex(f, &lock, GSTK_NEVER));
		CHECK_EQ(gstk_await_result(f), 0);
		CHECK_EQ(inside++, 0);
		guarded++;
		if (l->left % 8 == 0) /* hold it over a wait */
			GSTK_AWAIT(l->line, gstk_await_yield(f));
		inside--;
		CHECK_EQ(gstk_mutex_unlock(&lock), 0);
	}
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void *locks(void *arg)
{
	for (long i = (long)arg; i; i--) {
		CHECK_EQ(gstk_mutex_lock(&lock), 0);
		CHECK_EQ(inside++, 0);
		guarded++;
		if (i % 8 == 0)
			gstk_yield();
		inside--;
		CHECK_EQ(gstk_mutex_unlock(&lock), 0);
	}
	return NULL;
}

WAIT_TEST(a_mutex_keeps_both_kinds_apart)
{
	long n = (long)scaled(5000);
	gstk_task *t[8];

	guarded = inside = 0;
	for (int i = 0; i < 8; i++)
		t[i] = i & 1 ? future(&locker, &(struct locker){ .left = n }) : start(locks, ptr(n));
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	CHECK_EQ(guarded, 8 * n);
}

FUTURE(relocker, struct locker, NULL)
{
	struct locker *l = state_;

	GSTK_FUTURE_BEGIN(l->line);
	CHECK_EQ(gstk_mutex_unlock(&lock), -EPERM);
	CHECK_EQ(gstk_mutex_try_lock(&lock), 0);
	GSTK_AWAIT(l->line, gstk_await_mutex(f, &lock, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), -EDEADLK);
	CHECK_EQ(gstk_mutex_unlock(&lock), 0);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

WAIT_TEST(a_stackless_task_owns_its_mutex)
{
	finish(future(&relocker, NULL));
}

/* ---- joins ---- */

struct chain {
	int line;
	long depth;
	gstk_task *next;
	void *result;
};

static void *stackful_chain(void *arg);

/* A chain of tasks of both kinds by turns, each of which joins the next. */
FUTURE(link_of, struct chain, count_drop)
{
	struct chain *c = state_;

	GSTK_FUTURE_BEGIN(c->line);
	if (!c->depth)
		return gstk_future_done(f, NULL);
	if (c->depth % 3)
		CHECK_EQ(gstk_future_spawn(&c->next, &link_of, &(struct chain){ .depth = c->depth - 1 }), 0);
	else
		c->next = start(stackful_chain, ptr(c->depth - 1));
	GSTK_AWAIT(c->line, gstk_await_join(f, c->next, &c->result, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), 0);
	return gstk_future_done(f, ptr((long)c->result + 1));
	GSTK_FUTURE_END;
}

static void *stackful_chain(void *arg)
{
	long depth = (long)arg;

	if (!depth)
		return NULL;
	return ptr(finish(depth % 3 ? future(&link_of, &(struct chain){ .depth = depth - 1 })
				    : start(stackful_chain, ptr(depth - 1))) + 1);
}

WAIT_TEST(each_kind_joins_the_other)
{
	long n = (long)scaled(1000);

	dropped = 0;
	CHECK_EQ(finish(future(&link_of, &(struct chain){ .depth = n })), n);
	CHECK_EQ(finish(start(stackful_chain, ptr(n))), n);
}

FUTURE(joins_itself, struct chain, NULL)
{
	struct chain *c = state_;

	GSTK_FUTURE_BEGIN(c->line);
	GSTK_AWAIT(c->line, gstk_await_join(f, gstk_self(), NULL, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), -EDEADLK);
	GSTK_AWAIT(c->line, gstk_await_join(f, NULL, NULL, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), -EINVAL);
	GSTK_AWAIT(c->line, gstk_await_join(f, (gstk_task *)((char *)gstk_self() + 4), NULL, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), -EINVAL);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

WAIT_TEST(a_join_that_cannot_be_is_refused)
{
	gstk_task *t;

	finish(future(&joins_itself, NULL));
	make_world();
	t = future(&waiter, &(struct waiter){ .way = &ways[5], .deadline = GSTK_NEVER });
	settle();
	CHECK_EQ(gstk_join(world.sleeper, NULL), -EBUSY);
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	end_world(); /* where it is joined: the cancelled one has withdrawn */
}

/* ---- others have their turn, and nobody waits in a poll function ---- */

static _Atomic bool stop;

FUTURE(selfish, int, NULL)
{
	int *polled = state_;

	CHECK_EQ(gstk_await_result(f), *polled ? -ETIMEDOUT : 0); /* also after others have had their turn */
	*polled = 1;
	if (stop)
		return gstk_future_done(f, NULL);
	return gstk_await_sem(f, &world.sem, 0); /* over at once */
}

FUTURE(polite, int, NULL)
{
	return stop ? gstk_future_done(f, NULL) : gstk_await_yield(f);
}

WAIT_TEST(one_that_never_waits_lets_others_run)
{
	gstk_task *t[4];

	memset(&world, 0, sizeof(world));
	stop = false;
	for (int i = 0; i < 4; i++)
		t[i] = future(i & 1 ? &polite : &selfish, NULL);
	for (int i = 0; i < 1000; i++)
		gstk_yield();
	gstk_sleep(MS);
	stop = true;
	for (int i = 0; i < 4; i++)
		finish(t[i]);
}

static void *returns_null(void *arg)
{
	return NULL;
}

FUTURE(wants_to_wait, int, NULL)
{
	uint64_t v;

	CHECK_EQ(gstk_chan_recv(world.empty, &v), -ECANCELED);
	CHECK_EQ(gstk_chan_send_until(world.full, &v, gstk_now() + 20000 * MS), -ECANCELED);
	CHECK_EQ(gstk_sleep(MS), -ECANCELED);
	CHECK_EQ(gstk_mutex_lock(&world.mutex), -ECANCELED);
	CHECK_EQ(gstk_sem_wait(&world.sem), -ECANCELED);
	CHECK_EQ(gstk_join(world.sleeper, NULL), -ECANCELED);
	CHECK_EQ(gstk_blocking(returns_null, NULL, NULL), -ECANCELED);
	CHECK_EQ(gstk_call_on_stack(65536, returns_null, NULL, NULL), -EINVAL);
	CHECK_EQ(gstk_scope_begin(&(gstk_scope *){ NULL }, GSTK_NEVER), -EINVAL);
	gstk_yield(); /* does nothing */
	CHECK_EQ(gstk_check(), 0);
	CHECK_EQ(gstk_chan_try_recv(world.empty, &v), -EAGAIN);
	CHECK(!gstk_canceled());
	return gstk_future_done(f, NULL);
}

WAIT_TEST(a_poll_function_that_would_wait_is_refused)
{
	make_world();
	finish(future(&wants_to_wait, NULL));
	CHECK_EQ(gstk_sleep(MS), 0); /* who runs after it may */
	end_world();
}

/* ---- the end of the runtime, and numbers ---- */

static void leave_some(void)
{
	make_world();
	dropped = began = 0;
	for (int i = 0; i < 700; i++)
		CHECK_EQ(gstk_future_spawn(NULL, &waiter, &(struct waiter){ .way = &ways[i % NR_WAYS],
			.deadline = i % 2 ? GSTK_NEVER : gstk_now() + 3600 * 1000 * MS }), 0);
	settle();
}

TEST(shutdown_cancels_them)
{
	for (unsigned int w = 1; w <= 2; w++) {
		with_workers(w, leave_some);
		EXPECT_EQ(dropped, 700);
		EXPECT_EQ(began, 700);
	}
}

WAIT_TEST(they_are_counted)
{
	struct gstk_stats s = { .size = sizeof(s) };
	gstk_task *t[100];
	uint64_t polls;

	make_world();
	CHECK_EQ(gstk_stats(&s), 0);
	CHECK_EQ(s.tasks_stackless, 0);
	polls = s.future_polls;
	for (int i = 0; i < 100; i++)
		t[i] = future(&waiter, &(struct waiter){ .way = &ways[3], .deadline = GSTK_NEVER });
	for (uint64_t until = gstk_now() + 20000 * MS; s.future_polls - polls < 100 && gstk_now() < until;) {
		settle();
		CHECK_EQ(gstk_stats(&s), 0);
	}
	CHECK_EQ(s.tasks_stackless, 100);
	CHECK_EQ(s.future_polls - polls, 100);
	CHECK_EQ(s.tasks, 102);
	CHECK_EQ(gstk_sem_post(&world.sem, 100), 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(finish(t[i]), 0);
	CHECK_EQ(gstk_stats(&s), 0);
	CHECK_EQ(s.tasks_stackless, 0);
	end_world();
}

TEST_HARNESS_MAIN
