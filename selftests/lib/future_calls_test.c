// SPDX-License-Identifier: MIT
/* What stackless tasks wait for in two steps: conditions, connections, calls on a thread. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "future_test.h"

/* ---- conditions ---- */

static gstk_mutex mutex = GSTK_MUTEX_INIT;
static gstk_cond cond = GSTK_COND_INIT;
static long value;
static _Atomic int waiting;

struct waiter {
	int line;
	uint64_t deadline;
	int64_t result;
};

FUTURE(waiter, struct waiter *, count_drop)
{
	struct waiter *s = *(struct waiter **)state_;

	GSTK_FUTURE_BEGIN(s->line);
	GSTK_AWAIT(s->line, gstk_await_mutex(f, &mutex, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), 0);
	while (!value) {
		waiting++;
		GSTK_AWAIT(s->line, gstk_await_cond(f, &cond, &mutex, s->deadline));
		waiting--;
		s->result = gstk_await_result(f);
		if (s->result)
			break;
	}
	if (!s->result)
		value--;
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0); /* its own, whatever came */
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void *stackful_waiter(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	while (!value)
		CHECK_EQ(gstk_cond_wait(&cond, &mutex), 0);
	value--;
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	return NULL;
}

WAIT_TEST(each_kind_wakes_the_other_by_a_condition)
{
	static struct waiter w[20];
	gstk_task *t[40];

	value = waiting = 0;
	for (int i = 0; i < 20; i++) {
		struct waiter *p = &w[i];

		w[i] = (struct waiter){ .deadline = i % 2 ? GSTK_NEVER : gstk_now() + 3600 * 1000 * MS };
		t[i] = future(&waiter, &p);
		t[20 + i] = start(stackful_waiter, NULL);
	}
	while (waiting < 20)
		gstk_sleep(MS);
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(gstk_mutex_lock(&mutex), 0);
		value++;
		CHECK_EQ(i % 3 ? gstk_cond_signal(&cond) : gstk_cond_broadcast(&cond), 0);
		CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	}
	for (int i = 0; i < 40; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
	CHECK_EQ(value, 0);
	CHECK_EQ(gstk_mutex_destroy(&mutex), 0);
}

static struct waiter late;

/* One that waits, until @deadline; the mutex is ours. NULL: it was over before. */
static gstk_task *waits_while_we_lock(uint64_t deadline)
{
	struct waiter *p = &late;
	gstk_task *t;

	value = waiting = 0;
	late = (struct waiter){ .deadline = deadline };
	t = future(&waiter, &p);
	while (!waiting && gstk_now() < deadline)
		gstk_sleep(MS);
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	if (waiting)
		return t;
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
	return NULL;
}

/* The wait is over long before the mutex is free: it has that all the same, and then the error. */
static void ends_with(bool cancel, int64_t want)
{
	uint64_t patience = 20 * MS, deadline;
	gstk_task *t;

	do {
		deadline = cancel ? GSTK_NEVER : gstk_now() + patience;
		t = waits_while_we_lock(deadline);
		patience *= 2;
	} while (!t);
	if (cancel)
		gstk_cancel(t);
	else
		gstk_sleep_until(deadline);
	gstk_sleep(10 * MS * slowness());
	CHECK_EQ(waiting, 1);
	if (cancel)
		gstk_cancel(t); /* nor does another one */
	gstk_sleep(5 * MS);
	CHECK_EQ(waiting, 1);
	CHECK_EQ(gstk_mutex_unlock(&mutex), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(late.result, want);
	CHECK_EQ(gstk_mutex_destroy(&mutex), 0);
}

WAIT_TEST(a_condition_gives_the_mutex_back_after_a_cancel)
{
	ends_with(true, -ECANCELED);
}

WAIT_TEST(and_after_a_deadline)
{
	ends_with(false, -ETIMEDOUT);
}

struct refused {
	int line;
	int64_t result[6];
};

static void *nothing(void *arg)
{
	return arg;
}

FUTURE(refused, struct refused *, NULL)
{
	struct refused *s = *(struct refused **)state_;
	int local;

	GSTK_FUTURE_BEGIN(s->line);
	GSTK_AWAIT(s->line, gstk_await_cond(f, &cond, &mutex, GSTK_NEVER));
	s->result[0] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_blocking(f, NULL, NULL, NULL, GSTK_NEVER));
	s->result[1] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_blocking(f, nothing, &local, NULL, GSTK_NEVER));
	s->result[2] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_connect(f, 0, NULL, 8, GSTK_NEVER));
	s->result[3] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_connect(f, -1, NULL, 0, GSTK_NEVER));
	s->result[4] = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_blocking(f, nothing, NULL, NULL, 1));
	s->result[5] = gstk_await_result(f);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

WAIT_TEST(what_cannot_be_is_refused)
{
	static const int want[6] = { -EPERM, -EINVAL, -EINVAL, -EINVAL, -EBADF, -ETIMEDOUT };
	static struct refused r;
	struct refused *p = &r;

	r = (struct refused){ 0 };
	CHECK_EQ(gstk_join(future(&refused, &p), NULL), 0);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(r.result[i], want[i]);
}

/* ---- connections ---- */

struct caller {
	int line, fd;
	uint64_t deadline;
	struct sockaddr_in to;
	int64_t result;
	char text[8];
};

FUTURE(caller, struct caller *, NULL)
{
	struct caller *s = *(struct caller **)state_;

	GSTK_FUTURE_BEGIN(s->line);
	GSTK_AWAIT(s->line, gstk_await_connect(f, s->fd, (struct sockaddr *)&s->to, sizeof(s->to), s->deadline));
	s->result = gstk_await_result(f);
	if (!s->result) {
		GSTK_AWAIT(s->line, gstk_await_read(f, s->fd, s->text, sizeof(s->text), GSTK_NEVER));
		CHECK_EQ(gstk_await_result(f), 5);
	}
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static struct sockaddr_in address_of(int fd)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	CHECK_EQ(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return at;
}

WAIT_TEST(it_connects_and_reads)
{
	int listener = gstk_listen("127.0.0.1:0", 0), fd;
	static struct caller c;
	struct caller *p = &c;
	gstk_task *t;

	c = (struct caller){ .fd = gstk_socket(AF_INET, SOCK_STREAM, 0), .deadline = GSTK_NEVER, .to = address_of(listener) };
	t = future(&caller, &p);
	fd = gstk_accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	CHECK_EQ(gstk_write_all(fd, "hello", 5), 0);
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(c.result, 0);
	CHECK(!memcmp(c.text, "hello", 5));
	gstk_close(fd);
	gstk_close(c.fd);
	/* The port is nobody's any more. */
	c.line = 0;
	c.fd = gstk_socket(AF_INET, SOCK_STREAM, 0);
	gstk_close(listener);
	CHECK_EQ(gstk_join(future(&caller, &p), NULL), 0);
	CHECK_EQ(c.result, -ECONNREFUSED);
	gstk_close(c.fd);
}

/* A listener with a full backlog answers nobody. */
static int64_t in_vain(uint64_t deadline, bool cancel)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), full[8];
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static struct caller c;
	struct caller *p = &c;
	gstk_task *t;

	CHECK_EQ(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	CHECK_EQ(listen(listener, 0), 0);
	at = address_of(listener);
	for (int i = 0; i < 8; i++) {
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(full[i], (struct sockaddr *)&at, sizeof(at));
	}
	c = (struct caller){ .fd = gstk_socket(AF_INET, SOCK_STREAM, 0), .deadline = deadline, .to = at };
	t = future(&caller, &p);
	gstk_sleep(10 * MS);
	if (cancel)
		gstk_cancel(t);
	CHECK_EQ(gstk_join(t, NULL), 0);
	for (int i = 0; i < 8; i++)
		close(full[i]);
	close(listener);
	gstk_close(c.fd);
	return c.result;
}

WAIT_TEST(a_connection_that_does_not_come_ends_by_deadline_or_cancel)
{
	CHECK_EQ(in_vain(gstk_now() + 30 * MS, false), -ETIMEDOUT);
	CHECK_EQ(in_vain(GSTK_NEVER, true), -ECANCELED);
}

/* ---- calls on a thread ---- */

static _Atomic int running, may_end;

struct call {
	int line;
	uint64_t deadline;
	void *(*fn)(void *);
	void *arg, *out;
	int64_t result, next;
};

FUTURE(call, struct call *, NULL)
{
	struct call *s = *(struct call **)state_;

	GSTK_FUTURE_BEGIN(s->line);
	GSTK_AWAIT(s->line, gstk_await_blocking(f, s->fn, s->arg, &s->out, s->deadline));
	s->result = gstk_await_result(f);
	GSTK_AWAIT(s->line, gstk_await_time(f, gstk_now()));
	s->next = gstk_await_result(f);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void *adds_one(void *arg)
{
	CHECK(!gstk_self());
	usleep(1000);
	return (char *)arg + 1;
}

WAIT_TEST(many_calls_run_on_threads)
{
	static struct call c[50];
	gstk_task *t[50];

	for (long i = 0; i < 50; i++) {
		struct call *p = &c[i];

		c[i] = (struct call){ .fn = adds_one, .arg = ptr(i * 10), .deadline = i % 2 ? GSTK_NEVER : gstk_now() + 3600 * 1000 * MS };
		t[i] = future(&call, &p);
	}
	for (long i = 0; i < 50; i++) {
		CHECK_EQ(gstk_join(t[i], NULL), 0);
		CHECK_EQ(c[i].result, 0);
		CHECK_EQ((long)c[i].out, i * 10 + 1);
		CHECK_EQ(c[i].next, 0);
	}
}

static void *long_call(void *arg)
{
	running = 1;
	while (!may_end)
		usleep(1000);
	running = 0;
	return arg;
}

/* Once begun it is waited for, and has succeeded; the next wait sees what came. */
static void begun(bool cancel)
{
	static struct call c;
	struct call *p = &c;
	uint64_t patience = 20 * MS;
	gstk_task *t;

	for (;; patience *= 2) { /* until it begins in time */
		running = may_end = 0;
		c = (struct call){ .fn = long_call, .arg = ptr(5), .deadline = cancel ? GSTK_NEVER : gstk_now() + patience };
		t = future(&call, &p);
		while (!running && gstk_join_until(t, NULL, gstk_now() + MS))
			;
		if (running)
			break;
		CHECK_EQ(c.result, -ETIMEDOUT);
	}
	if (cancel)
		gstk_cancel(t);
	else
		gstk_sleep_until(c.deadline);
	gstk_sleep(10 * MS * slowness());
	CHECK_EQ(gstk_join_until(t, NULL, gstk_now() + MS), -ETIMEDOUT);
	may_end = 1;
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(running, 0);
	CHECK_EQ(c.result, 0);
	CHECK_EQ((long)c.out, 5);
	CHECK_EQ(c.next, cancel ? -ECANCELED : 0);
}

WAIT_TEST(a_call_that_has_begun_is_waited_for)
{
	begun(true);
	begun(false);
}

static void *never_begun(void *arg)
{
	abort();
}

/* One thread, which is busy: who waits for it is withdrawn. */
static void *queued(void *arg)
{
	static struct call first, c;
	struct call *p = &first;
	gstk_task *busy, *t;

	running = may_end = 0;
	first = (struct call){ .fn = long_call, .deadline = GSTK_NEVER };
	busy = future(&call, &p);
	while (!running)
		gstk_sleep(MS);
	p = &c;
	c = (struct call){ .fn = never_begun, .deadline = gstk_now() + 10 * MS };
	CHECK_EQ(gstk_join(future(&call, &p), NULL), 0);
	CHECK_EQ(c.result, -ETIMEDOUT);
	c = (struct call){ .fn = never_begun, .deadline = GSTK_NEVER };
	t = future(&call, &p);
	gstk_sleep(5 * MS);
	gstk_cancel(t);
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(c.result, -ECANCELED);
	may_end = 1;
	CHECK_EQ(gstk_join(busy, NULL), 0);
	return NULL;
}

TEST(a_call_that_waits_for_a_thread_can_be_cancelled_and_time_out)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .blocking_threads = 1 };

	ASSERT_EQ(0, gstk_main(queued, NULL, NULL, &config));
}

TEST_HARNESS_MAIN
