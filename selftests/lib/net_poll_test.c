// SPDX-License-Identifier: MIT
/* gstk_poll() beside the calls that read: what an event told is not asked for again, and nothing is missed by that. */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "future_test.h"

static _Atomic unsigned int polls;

/* The library's calls come here. */
int poll(struct pollfd *fds, nfds_t nr, int timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000l };

	polls++;
	return (int)syscall(SYS_ppoll, fds, nr, timeout_ms < 0 ? NULL : &ts, NULL, 0);
}

static void pair(int p[2])
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int listener = gstk_listen("127.0.0.1:0", 0);

	CHECK_EQ(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	p[0] = gstk_socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(gstk_connect(p[0], (struct sockaddr *)&a, len), 0);
	p[1] = gstk_accept(listener, NULL, NULL);
	CHECK(p[1] >= 0);
	CHECK_EQ(gstk_close(listener), 0);
}

static void close_pair(int p[2])
{
	CHECK_EQ(gstk_close(p[0]), 0);
	CHECK_EQ(gstk_close(p[1]), 0);
}

enum reader { READ, RECV, RECV_DONTWAIT, PLAIN };

struct server {
	int fd;
	enum reader by;
};

static ssize_t take(const struct server *s, char *buf, size_t len)
{
	ssize_t n = s->by == READ ? gstk_read(s->fd, buf, len)
		    : s->by == RECV ? gstk_recv(s->fd, buf, len, 0)
		    : s->by == RECV_DONTWAIT ? gstk_recv(s->fd, buf, len, MSG_DONTWAIT) : recv(s->fd, buf, len, 0);

	return n < 0 && s->by == PLAIN ? -errno : n;
}

static void *serves(void *arg)
{
	struct server *s = arg;
	char buf[64];
	ssize_t n;

	do {
		CHECK(gstk_poll(s->fd, POLLIN, GSTK_NEVER) & POLLIN);
		n = take(s, buf, sizeof(buf));
		if (n == -EAGAIN) /* told late of what was read before */
			continue;
		CHECK(n >= 0);
		CHECK_EQ(gstk_send(s->fd, buf, (size_t)n, 0), n);
	} while (n);
	return NULL;
}

enum { ROUNDS = 50 };

static unsigned int polls_of_server(enum reader by)
{
	struct server s;
	gstk_task *t;
	int p[2];

	pair(p);
	s = (struct server){ p[1], by };
	t = start(serves, &s);
	polls = 0;
	for (int i = 0; i < ROUNDS; i++) {
		char out[40] = "", in[40];

		CHECK_EQ(gstk_write_all(p[0], out, sizeof(out)), 0);
		CHECK_EQ(gstk_read(p[0], in, sizeof(in)), (ssize_t)sizeof(in));
	}
	shutdown(p[0], SHUT_WR);
	CHECK_EQ(finish(t), 0);
	close_pair(p);
	return polls;
}

/* The first time, for the end, and where another worker told of bytes that were read already. */
WAIT_TEST(a_server_that_polls_asks_the_kernel_only_where_no_event_told)
{
	CHECK(polls_of_server(READ) < ROUNDS);
	CHECK(polls_of_server(RECV) < ROUNDS);
	CHECK(polls_of_server(RECV_DONTWAIT) < ROUNDS);
	CHECK(polls_of_server(PLAIN) <= ROUNDS + 4); /* nobody says that it read all */
}

/* A read has taken all; then bytes come, and no worker has looked for events since. */
static void drain(int p[2], bool by_recv)
{
	char c[10];

	CHECK_EQ(gstk_write(p[0], "ab", 2), 2);
	CHECK_EQ(gstk_poll(p[1], POLLIN, GSTK_NEVER), POLLIN);
	CHECK_EQ(by_recv ? gstk_recv(p[1], c, sizeof(c), MSG_DONTWAIT) : gstk_read(p[1], c, sizeof(c)), 2);
	CHECK_EQ(gstk_write(p[0], "c", 1), 1);
}

struct late {
	int line, fd;
	char c[10];
};

FUTURE(late_read, struct late, NULL)
{
	struct late *s = state_;

	GSTK_FUTURE_BEGIN(s->line);
	GSTK_AWAIT(s->line, gstk_await_ready(f, s->fd, POLLIN, 1));
	CHECK_EQ(gstk_await_result(f), POLLIN);
	GSTK_AWAIT(s->line, gstk_await_read(f, s->fd, s->c, sizeof(s->c), 1));
	return gstk_future_done(f, ptr((long)gstk_await_result(f)));
	GSTK_FUTURE_END;
}

static _Atomic bool enough;

static void *yields(void *arg)
{
	while (!enough)
		gstk_yield();
	return NULL;
}

WAIT_TEST(a_deadline_that_has_passed_overlooks_nothing_that_is_there)
{
	gstk_task *busy;
	char c[10];
	int p[2];

	enough = false;
	pair(p);
	busy = start(yields, NULL); /* a worker that has something to do looks for events now and then only */
	for (int by_recv = 0; by_recv < 2; by_recv++) {
		drain(p, by_recv);
		CHECK_EQ(gstk_poll(p[1], POLLIN, 1), POLLIN);
		CHECK_EQ(gstk_read_until(p[1], c, sizeof(c), 1), 1);
		drain(p, by_recv);
		CHECK_EQ(gstk_read_until(p[1], c, sizeof(c), 1), 1);
		drain(p, by_recv);
		CHECK_EQ(gstk_recv_until(p[1], c, sizeof(c), 0, 1), 1);
		drain(p, by_recv);
		CHECK_EQ(gstk_readv_until(p[1], &(struct iovec){ c, sizeof(c) }, 1, 1), 1);
		drain(p, by_recv);
		CHECK_EQ(finish(future(&late_read, &(struct late){ .fd = p[1] })), 1);
		CHECK_EQ(gstk_poll(p[1], POLLIN, 1), -ETIMEDOUT);
		CHECK_EQ(gstk_read_until(p[1], c, sizeof(c), 1), -ETIMEDOUT);
	}
	enough = true;
	CHECK_EQ(finish(busy), 0);
	close_pair(p);
}

WAIT_TEST(a_look_is_no_read)
{
	char c[10];
	int p[2];

	pair(p);
	CHECK_EQ(gstk_poll(p[1], POLLIN, gstk_now() + MS), -ETIMEDOUT); /* from now on events are told */
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(gstk_write(p[0], "abc", 3), 3);
		CHECK_EQ(gstk_sleep(2 * MS), 0); /* so that the event comes before the look */
		CHECK_EQ(gstk_recv(p[1], c, sizeof(c), MSG_PEEK), 3);
		CHECK_EQ(gstk_recv(p[1], c, sizeof(c), MSG_PEEK | MSG_DONTWAIT), 3);
		CHECK_EQ(gstk_poll(p[1], POLLIN, GSTK_NEVER), POLLIN);
		CHECK_EQ(gstk_recv(p[1], c, 2, 0), 2);
		CHECK_EQ(gstk_poll(p[1], POLLIN, GSTK_NEVER), POLLIN);
		CHECK_EQ(gstk_recv(p[1], c, sizeof(c), 0), 1);
	}
	close_pair(p);
}

static void *waits(void *arg)
{
	return (void *)(long)gstk_poll((int)(long)arg, POLLIN | POLLRDHUP, GSTK_NEVER);
}

static void *waits_to_read(void *arg)
{
	return (void *)(long)gstk_poll((int)(long)arg, POLLIN, GSTK_NEVER);
}

WAIT_TEST(an_end_is_told_in_full_also_after_a_wait)
{
	gstk_task *t;
	int p[2];

	pair(p);
	t = start(waits, (void *)(long)p[1]);
	gstk_yield();
	shutdown(p[0], SHUT_WR);
	CHECK_EQ(finish(t), POLLIN | POLLRDHUP);
	CHECK_EQ(gstk_poll(p[1], POLLIN, GSTK_NEVER), POLLIN); /* and stays so */
	CHECK_EQ(gstk_poll(p[1], POLLRDHUP, GSTK_NEVER), POLLRDHUP);
	close_pair(p);
	pair(p);
	t = start(waits_to_read, (void *)(long)p[1]);
	gstk_yield();
	setsockopt(p[0], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	CHECK_EQ(gstk_close(p[0]), 0);
	CHECK_EQ(finish(t), POLLIN | POLLERR | POLLHUP);
	CHECK_EQ(gstk_close(p[1]), 0);
}

static _Atomic bool eats;

static void *glutton(void *arg)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	while (!enough) {
		CHECK_EQ(gstk_poll(fd, POLLIN, GSTK_NEVER), POLLIN);
		eats = true;
	}
	CHECK_EQ(gstk_close(fd), 0);
	return NULL;
}

/* The case's time is over otherwise. */
WAIT_TEST(who_polls_what_is_always_ready_starves_nobody)
{
	gstk_task *g;

	eats = enough = false;
	g = start(glutton, NULL);
	while (!eats)
		gstk_yield();
	enough = true;
	CHECK_EQ(finish(g), 0);
}

TEST_HARNESS_MAIN
