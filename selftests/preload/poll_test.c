// SPDX-License-Identifier: MIT
/* The interposed poll, select and epoll_wait. */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include "preload_test.h"

static int a[2], b[2];

static void pairs_open(void)
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
}

static void pairs_close(void)
{
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

/* Into a or b, soon. */
static void *write_soon(void *arg)
{
	usleep(3000);
	CHECK_EQ(write((int)(long)arg, "x", 1), 1);
	return NULL;
}

static void take(int fd)
{
	CHECK_EQ(read(fd, &(char){ 0 }, 1), 1);
}

static uint64_t since(uint64_t from)
{
	return gstk_now() - from;
}

WAIT_TEST(poll_waits_for_one_and_for_many)
{
	struct pollfd p[4];
	uint64_t from;
	gstk_task *t;

	pairs_open();
	p[0] = (struct pollfd){ .fd = a[0], .events = POLLIN };
	p[1] = (struct pollfd){ .fd = b[0], .events = POLLIN };
	p[2] = (struct pollfd){ .fd = -1, .events = POLLIN };
	p[3] = (struct pollfd){ .fd = b[0], .events = POLLPRI }; /* the same once more */
	CHECK_EQ(poll(p, 4, 0), 0);
	for (nfds_t nr = 1; nr <= 4; nr++) {
		from = gstk_now();
		CHECK_EQ(poll(p, nr, 10), 0);
		CHECK(since(from) >= 10 * MS);
		for (int round = 0; round < 20; round++) {
			int which = nr > 1 && round % 2;

			t = start(write_soon, (void *)(long)(which ? b[1] : a[1]));
			CHECK_EQ(poll(p, nr, -1), 1);
			CHECK_EQ(p[which].revents, POLLIN);
			CHECK_EQ(p[!which].revents, 0);
			take(which ? b[0] : a[0]);
			finish(t);
		}
	}
	p[1].events = POLLOUT;
	CHECK_EQ(poll(p, 2, -1), 1);
	CHECK_EQ(p[1].revents, POLLOUT);
	/* What comes is for the second of two entries for one descriptor. */
	p[0] = (struct pollfd){ .fd = b[0], .events = POLLPRI };
	p[1] = (struct pollfd){ .fd = b[0], .events = POLLIN };
	t = start(write_soon, (void *)(long)b[1]);
	CHECK_EQ(poll(p, 2, 30000), 1);
	CHECK_EQ(p[1].revents, POLLIN);
	finish(t);
	CHECK_EQ(poll(NULL, 0, 5), 0);
	pairs_close();
}

WAIT_TEST(poll_reports_ends_and_what_is_no_descriptor)
{
	struct pollfd p[2];

	pairs_open();
	shutdown(a[1], SHUT_WR);
	p[0] = (struct pollfd){ .fd = a[0], .events = POLLRDHUP };
	p[1] = (struct pollfd){ .fd = b[0], .events = POLLIN };
	CHECK_EQ(poll(p, 2, -1), 1);
	CHECK_EQ(p[0].revents, POLLRDHUP);
	close(b[1]);
	b[1] = -1;
	CHECK_EQ(poll(p, 2, -1), 2);
	CHECK(p[1].revents & POLLHUP);
	p[0].fd = 999999;
	CHECK_EQ(poll(p, 1, -1), 1);
	CHECK_EQ(p[0].revents, POLLNVAL);
	pairs_close();
}

/* Waiting for the end alone must not spin on data that is there. */
WAIT_TEST(data_that_nobody_asked_for_wakes_nobody)
{
	struct pollfd p = { .events = POLLRDHUP };

	pairs_open();
	CHECK_EQ(write(a[1], "x", 1), 1);
	p.fd = a[0];
	CHECK_EQ(poll(&p, 1, 20), 0);
	pairs_close();
}

WAIT_TEST(ppoll_and_select_wait_too)
{
	struct timespec ts = { 0, 5000000 };
	struct timeval tv = { 0, 10000 };
	struct pollfd p = { .events = POLLIN };
	fd_set r, w;
	gstk_task *t;

	pairs_open();
	p.fd = a[0];
	CHECK_EQ(ppoll(&p, 1, &ts, NULL), 0);
	t = start(write_soon, (void *)(long)a[1]);
	CHECK_EQ(ppoll(&p, 1, NULL, NULL), 1);
	finish(t);
	take(a[0]);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(a[0], &r);
	FD_SET(b[0], &r);
	CHECK_EQ(select(b[1] + 1, &r, NULL, NULL, &tv), 0);
	CHECK(tv.tv_sec == 0 && tv.tv_usec == 0);
	CHECK(!FD_ISSET(a[0], &r));
	FD_SET(a[0], &r);
	FD_SET(b[0], &r);
	tv.tv_sec = 50;
	t = start(write_soon, (void *)(long)b[1]);
	CHECK_EQ(select(b[1] + 1, &r, NULL, NULL, &tv), 1);
	CHECK(FD_ISSET(b[0], &r) && !FD_ISSET(a[0], &r));
	CHECK(tv.tv_sec > 10 && tv.tv_sec < 50);
	finish(t);
	FD_SET(a[0], &w);
	CHECK_EQ(pselect(b[1] + 1, &r, &w, NULL, NULL, NULL), 2);
	CHECK(FD_ISSET(b[0], &r) && FD_ISSET(a[0], &w));
	pairs_close();
	FD_ZERO(&r);
	FD_SET(900, &r);
	CHECK_EQ(select(901, &r, NULL, NULL, NULL), -1);
	CHECK_EQ(errno, EBADF);
	tv = (struct timeval){ 0, 3000 };
	CHECK_EQ(select(0, NULL, NULL, NULL, &tv), 0);
}

/* As old programs do: select(getdtablesize(), ...). The kernel looks at no more than it has descriptors. */
WAIT_TEST(select_looks_at_no_more_than_there_can_be)
{
	struct { fd_set set; unsigned char behind[1 << 17]; } *s = malloc(sizeof(*s));
	struct timeval tv = { 0, 3000 };

	CHECK(s);
	FD_ZERO(&s->set);
	memset(s->behind, 0x55, sizeof(s->behind));
	pairs_open();
	FD_SET(a[0], &s->set);
	CHECK_EQ(select(1 << 20, &s->set, NULL, NULL, &tv), 0);
	CHECK(!FD_ISSET(a[0], &s->set));
	FD_SET(a[0], &s->set);
	CHECK_EQ(write(a[1], "x", 1), 1);
	CHECK_EQ(select(1 << 20, &s->set, NULL, NULL, NULL), 1);
	CHECK(FD_ISSET(a[0], &s->set));
	for (size_t i = sizeof(s->behind) / 2; i < sizeof(s->behind); i++)
		CHECK_EQ(s->behind[i], 0x55);
	take(a[0]);
	pairs_close();
	free(s);
}

WAIT_TEST(epoll_wait_parks_its_task_only)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 7 }, out[4];
	struct timespec ts = { 0, 5000000 };
	int ep = epoll_create1(0);
	uint64_t from = gstk_now();
	gstk_task *t;

	pairs_open();
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, a[0], &ev), 0);
	ev.data.u64 = 8;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, b[0], &ev), 0);
	CHECK_EQ(epoll_wait(ep, out, 4, 10), 0);
	CHECK(since(from) >= 10 * MS);
	for (int i = 0; i < 20; i++) {
		t = start(write_soon, (void *)(long)(i % 2 ? b[1] : a[1]));
		CHECK_EQ(i % 3 ? epoll_wait(ep, out, 4, -1) : epoll_pwait(ep, out, 4, 50000, NULL), 1);
		CHECK_EQ(out[0].data.u64, 7 + i % 2);
		take(i % 2 ? b[0] : a[0]);
		finish(t);
	}
	CHECK_EQ(epoll_pwait2(ep, out, 4, &ts, NULL), 0);
	CHECK_EQ(epoll_wait(ep, out, 0, 5), -1);
	CHECK_EQ(errno, EINVAL);
	close(ep);
	pairs_close();
}

static void *poll_own(void *arg)
{
	struct pollfd p[3];
	int q[2][2];
	char c;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, q[0]), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, q[1]), 0);
	p[0] = (struct pollfd){ .fd = q[0][0], .events = POLLIN };
	p[1] = (struct pollfd){ .fd = q[1][0], .events = POLLIN };
	CHECK_EQ(poll(p, 2, 300), 0);
	CHECK_EQ(write(q[1][1], "x", 1), 1);
	CHECK_EQ(poll(p, 2, -1), 1);
	CHECK_EQ(read(q[1][0], &c, 1), 1);
	for (int i = 0; i < 2; i++) {
		close(q[i][0]);
		close(q[i][1]);
	}
	return NULL;
}

/* One after another: 60 s. */
WAIT_TEST(two_hundred_polls_take_the_time_of_one)
{
	uint64_t from = gstk_now();

	all_of(200, poll_own);
	CHECK(since(from) >= 300 * MS && since(from) < 20000 * MS);
}

static void *poll_canceled(void *arg)
{
	struct pollfd p[2] = { { .fd = a[0], .events = POLLIN }, { .fd = b[0], .events = POLLIN } };

	CHECK_EQ(poll(p, (nfds_t)(long)arg, -1), -1);
	CHECK_EQ(errno, ECANCELED);
	return NULL;
}

WAIT_TEST(cancel_ends_a_poll)
{
	pairs_open();
	for (long nr = 1; nr <= 2; nr++) {
		gstk_task *t = start(poll_canceled, (void *)nr);

		usleep(3000);
		gstk_cancel(t);
		finish(t);
	}
	pairs_close();
}

/* In nanoseconds these are a tenth of a second less than 2^64: added to the time, long ago. */
WAIT_TEST(a_read_with_a_timeout_of_centuries_waits)
{
	struct timeval tv = { 18446744073, 600000 };
	gstk_task *t;

	pairs_open();
	CHECK_EQ(setsockopt(a[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	t = start(write_soon, (void *)(long)a[1]);
	take(a[0]);
	finish(t);
	pairs_close();
}

TEST_HARNESS_MAIN
