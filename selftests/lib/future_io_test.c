// SPDX-License-Identifier: MIT
/* Stackless tasks at sockets, and their selects against those of others. */
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include "future_test.h"

/* ---- descriptors ---- */

struct echo {
	int line, fd;
	long at, got;
	char buf[512];
};

FUTURE(echoes, struct echo, count_drop)
{
	struct echo *e = state_;

	GSTK_FUTURE_BEGIN(e->line);
	for (;;) {
		GSTK_AWAIT(e->line, gstk_await_read(f, e->fd, e->buf, sizeof(e->buf), GSTK_NEVER));
		e->got = gstk_await_result(f);
		if (e->got <= 0)
			break;
		for (e->at = 0; e->at < e->got; e->at += gstk_await_result(f)) {
			GSTK_AWAIT(e->line, gstk_await_write(f, e->fd, e->buf + e->at, (size_t)(e->got - e->at), GSTK_NEVER));
			CHECK(gstk_await_result(f) > 0);
		}
	}
	CHECK_EQ(e->got, 0);
	CHECK_EQ(gstk_close(e->fd), 0);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

FUTURE(accepts, struct echo, NULL)
{
	struct echo *e = state_;

	GSTK_FUTURE_BEGIN(e->line);
	for (;;) {
		GSTK_AWAIT(e->line, gstk_await_accept(f, e->fd, GSTK_NEVER));
		if (gstk_await_result(f) < 0)
			return gstk_future_done(f, ptr((long)gstk_await_result(f)));
		CHECK_EQ(gstk_future_spawn(NULL, &echoes, &(struct echo){ .fd = (int)gstk_await_result(f) }), 0);
	}
	GSTK_FUTURE_END;
}

static char where[64];

static void *asks(void *arg)
{
	int fd = gstk_dial(where, GSTK_NEVER);
	uint32_t seed = (uint32_t)(long)arg + 1;
	char out[3000], in[3000];

	CHECK(fd >= 0);
	for (unsigned long i = 0; i < scaled(100); i++) {
		size_t len = rnd(&seed) % sizeof(out) + 1, at = 0;

		memset(out, (int)i, len);
		CHECK_EQ(gstk_write_all(fd, out, len), 0);
		while (at < len) {
			ssize_t n = gstk_read(fd, in + at, len - at);

			CHECK(n > 0);
			at += (size_t)n;
		}
		CHECK(!memcmp(in, out, len));
	}
	CHECK_EQ(gstk_close(fd), 0);
	return NULL;
}

WAIT_TEST(a_server_of_stackless_tasks_echoes)
{
	enum { NR = 30 };
	gstk_task *server, *client[NR];
	int fd = gstk_listen("127.0.0.1:0", 0);
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	dropped = 0;
	CHECK(fd >= 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(at.sin_port));
	server = future(&accepts, &(struct echo){ .fd = fd });
	for (long i = 0; i < NR; i++)
		client[i] = start(asks, ptr(i));
	for (int i = 0; i < NR; i++)
		finish(client[i]);
	while (dropped < NR)
		gstk_sleep(MS);
	CHECK_EQ(gstk_close(fd), 0); /* with one that waits there */
	CHECK_EQ(finish(server), -EBADF);
}

FUTURE(bad_descriptor, struct echo, NULL)
{
	struct echo *w = state_;

	GSTK_FUTURE_BEGIN(w->line);
	GSTK_AWAIT(w->line, gstk_await_read(f, -1, NULL, 0, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), -EBADF);
	GSTK_AWAIT(w->line, gstk_await_ready(f, 1 << 29, POLLIN, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), -EBADF);
	GSTK_AWAIT(w->line, gstk_await_select(f, NULL, 1, GSTK_NEVER));
	CHECK_EQ(gstk_await_result(f), -EINVAL);
	GSTK_AWAIT(w->line, gstk_await_select(f, NULL, 0, 0));
	CHECK_EQ(gstk_await_result(f), -EAGAIN);
	GSTK_AWAIT(w->line, gstk_await_select(f, NULL, 0, gstk_now() + MS));
	CHECK_EQ(gstk_await_result(f), -ETIMEDOUT);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

WAIT_TEST(what_cannot_be_waited_for_is_refused)
{
	finish(future(&bad_descriptor, NULL));
}

/* ---- selects of both kinds against each other ---- */

struct mixer {
	int line;
	long left, sum;
	uint64_t in, out;
	struct gstk_case cases[3];
};

static gstk_chan *cross[3];
static _Atomic long mixed_in, mixed_out;

static void set_cases(struct mixer *m, int i)
{
	for (int k = 0; k < 3; k++)
		m->cases[k] = (struct gstk_case){ .chan = cross[k], .op = k == i % 3 ? GSTK_CASE_SEND : GSTK_CASE_RECV,
						  .elem = k == i % 3 ? &m->out : &m->in };
}

static void count_case(struct mixer *m, long chosen)
{
	m->left--;
	if (m->cases[chosen].op == GSTK_CASE_SEND)
		mixed_out += (long)m->out;
	else
		mixed_in += (long)m->in;
	m->out = (uint64_t)m->left;
}

FUTURE(mixes, struct mixer, NULL)
{
	struct mixer *m = state_;

	GSTK_FUTURE_BEGIN(m->line);
	set_cases(m, (int)m->sum);
	for (;;) {
		GSTK_AWAIT(m->line, gstk_await_select(f, m->cases, 3, GSTK_NEVER));
		if (gstk_await_result(f) < 0 || m->cases[gstk_await_result(f)].result)
			break;
		count_case(m, (long)gstk_await_result(f));
	}
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void *stackful_mixes(void *arg)
{
	struct mixer *m = calloc(1, sizeof(*m));

	set_cases(m, (int)(long)arg);
	for (;;) {
		int r = gstk_select(m->cases, 3, GSTK_NEVER);

		if (r < 0 || m->cases[r].result)
			break;
		count_case(m, r);
	}
	free(m);
	return NULL;
}

WAIT_TEST(selects_of_both_kinds_meet)
{
	gstk_task *t[9];

	mixed_in = mixed_out = 0;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(gstk_chan_create(&cross[i], 8, 0), 0);
	for (int i = 0; i < 9; i++)
		t[i] = i < 5 ? future(&mixes, &(struct mixer){ .sum = i }) : start(stackful_mixes, ptr(i));
	for (unsigned long i = 0; i < scaled(3000); i++)
		gstk_yield();
	gstk_sleep(20 * MS);
	while (!mixed_out)
		gstk_sleep(MS);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(gstk_chan_close(cross[i]), 0);
	for (int i = 0; i < 9; i++)
		finish(t[i]);
	CHECK_EQ(mixed_in, mixed_out);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(gstk_chan_destroy(cross[i]), 0);
}

TEST_HARNESS_MAIN
