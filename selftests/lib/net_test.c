// SPDX-License-Identifier: MIT
/* Blocking-style I/O: TCP, Unix, UDP, pipes; deadlines, cancellation, close, resets, EMFILE. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "wait_test.h"

static char where[64];

/* A listener on a free port; its address goes to where[]. */
static int listener(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = gstk_listen("127.0.0.1:0", 0);

	CHECK(fd >= 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(a.sin_port));
	return fd;
}

static void *echo_one(void *arg)
{
	int fd = gstk_accept((int)(long)arg, NULL, NULL);
	char buf[300];
	ssize_t n;

	if (fd < 0)
		return (void *)(long)fd;
	while ((n = gstk_read(fd, buf, sizeof(buf))) > 0)
		if (gstk_write_all(fd, buf, (size_t)n))
			break;
	gstk_close(fd);
	return (void *)(long)n;
}

WAIT_TEST(tcp_bytes_come_back_in_order_and_the_end_is_seen)
{
	int l = listener(), fd;
	gstk_task *t = start(echo_one, (void *)(long)l);
	unsigned char out[5000], in[5000];

	fd = gstk_dial(where, GSTK_NEVER);
	CHECK(fd >= 0);
	for (int round = 0; round < 50; round++) {
		size_t got = 0, len = (size_t)round * 97 % sizeof(out) + 1;

		for (size_t i = 0; i < len; i++)
			out[i] = (unsigned char)(i * 7 + (size_t)round);
		CHECK_EQ(gstk_write_all(fd, out, len), 0);
		while (got < len) {
			ssize_t n = gstk_read(fd, in + got, len - got);

			CHECK(n > 0);
			got += (size_t)n;
		}
		CHECK(!memcmp(in, out, len));
	}
	shutdown(fd, SHUT_WR);
	CHECK_EQ(gstk_read(fd, in, sizeof(in)), 0);
	CHECK_EQ(finish(t), 0);
	gstk_close(fd);
	gstk_close(l);
}

/* The end and the last bytes arrive together: a short read must not hide the end. */
static void *send_and_close(void *arg)
{
	int fd = gstk_accept((int)(long)arg, NULL, NULL);

	CHECK(fd >= 0);
	gstk_sleep(1 * MS);
	CHECK_EQ(gstk_write(fd, "x", 1), 1);
	gstk_close(fd);
	return NULL;
}

WAIT_TEST(an_end_right_behind_data_is_seen)
{
	int l = listener();

	for (int i = 0; i < 20; i++) {
		gstk_task *t = start(send_and_close, (void *)(long)l);
		int fd = gstk_dial(where, GSTK_NEVER);
		char buf[100];

		CHECK(fd >= 0);
		CHECK_EQ(gstk_read(fd, buf, sizeof(buf)), 1);
		CHECK_EQ(gstk_read(fd, buf, sizeof(buf)), 0);
		CHECK_EQ(gstk_read(fd, buf, sizeof(buf)), 0);
		gstk_close(fd);
		finish(t);
	}
	gstk_close(l);
}

WAIT_TEST(reads_time_out_and_go_on_afterwards)
{
	uint64_t now = gstk_now();
	int p[2];
	char c;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(gstk_read_until(p[0], &c, 1, now + 5 * MS), -ETIMEDOUT);
	CHECK(gstk_now() - now >= 5 * MS);
	CHECK_EQ(gstk_write(p[1], "y", 1), 1);
	CHECK_EQ(gstk_read_until(p[0], &c, 1, gstk_now() + 1000 * MS), 1);
	CHECK_EQ(c, 'y');
	gstk_close(p[0]);
	gstk_close(p[1]);
}

static void *read_one(void *arg)
{
	char c;

	return (void *)(long)gstk_read((int)(long)arg, &c, 1);
}

WAIT_TEST(cancel_reaches_a_read_and_loses_no_byte)
{
	int p[2];
	char c;
	gstk_task *t;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	t = start(read_one, (void *)(long)p[0]);
	settle();
	gstk_cancel(t);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(gstk_write(p[1], "z", 1), 1);
	CHECK_EQ(gstk_read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'z');
	gstk_close(p[0]);
	gstk_close(p[1]);
}

static int zero_fd;

static void *read_for_ever(void *arg)
{
	char buf[16];
	ssize_t n;

	if (arg)
		gstk_deadline_set(gstk_now() + 20 * MS);
	while ((n = gstk_read(zero_fd, buf, sizeof(buf))) == sizeof(buf))
		;
	return (void *)n;
}

WAIT_TEST(cancel_and_the_own_deadline_reach_reads_that_never_wait)
{
	gstk_task *t;

	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	CHECK(zero_fd >= 0);
	CHECK_EQ(finish(start(read_for_ever, "with a deadline")), -ETIMEDOUT);
	t = start(read_for_ever, NULL);
	settle();
	gstk_cancel(t);
	CHECK_EQ(finish(t), -ECANCELED);
	gstk_close(zero_fd);
}

static void *is_refused_everything(void *arg)
{
	int fd = (int)(long)arg;
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	gstk_cancel(gstk_self());
	CHECK_EQ(gstk_read(fd, iov.iov_base, 1), -ECANCELED);
	CHECK_EQ(gstk_write(fd, "x", 1), -ECANCELED);
	CHECK_EQ(gstk_write_all(fd, "x", 1), -ECANCELED);
	CHECK_EQ(gstk_readv(fd, &iov, 1), -ECANCELED);
	CHECK_EQ(gstk_writev(fd, &iov, 1), -ECANCELED);
	CHECK_EQ(gstk_recvmsg(fd, &m, 0), -ECANCELED);
	CHECK_EQ(gstk_sendmsg(fd, &m, 0), -ECANCELED);
	CHECK_EQ(gstk_accept(fd, NULL, NULL), -ECANCELED);
	CHECK_EQ(gstk_connect(fd, (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET },
			      sizeof(struct sockaddr_in)), -ECANCELED);
	CHECK_EQ(gstk_poll(fd, POLLIN | POLLOUT, GSTK_NEVER), -ECANCELED);
	CHECK(gstk_cancel_clear());
	CHECK_EQ(gstk_write(fd, "x", 1), 1);
	return NULL;
}

WAIT_TEST(a_cancelled_task_may_use_no_descriptor_until_it_clears_the_request)
{
	int p[2];
	char c;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(finish(start(is_refused_everything, (void *)(long)p[0])), 0);
	CHECK_EQ(gstk_read(p[1], &c, 1), 1);
	gstk_close(p[0]);
	gstk_close(p[1]);
}

WAIT_TEST(a_peer_that_is_gone_is_an_error_and_not_a_signal)
{
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int p[2], fd;

	for (int kind = 0; kind < 2; kind++) {
		CHECK_EQ(socketpair(AF_UNIX, kind ? SOCK_SEQPACKET : SOCK_STREAM, 0, p), 0);
		gstk_close(p[1]);
		CHECK_EQ(gstk_write(p[0], "x", 1), -EPIPE);
		CHECK_EQ(gstk_writev(p[0], &iov, 1), -EPIPE);
		CHECK_EQ(gstk_sendmsg(p[0], &m, 0), -EPIPE);
		gstk_close(p[0]);
	}
	/* What is no socket is written, too. */
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CHECK_EQ(gstk_write(fd, "x", 1), 1);
	CHECK_EQ(gstk_writev(fd, &iov, 1), 1);
	CHECK_EQ(gstk_write(fd, "x", 1), 1);
	gstk_close(fd);
}

WAIT_TEST(closing_a_descriptor_ends_the_reads_on_it_and_its_number_can_be_used_again)
{
	for (int i = 0; i < 10; i++) {
		int p[2], q[2];
		gstk_task *t;
		char c;

		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
		t = start(read_one, (void *)(long)p[0]);
		settle();
		CHECK_EQ(gstk_close(p[0]), 0);
		CHECK_EQ(finish(t), -EBADF);
		gstk_close(p[1]);
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, q), 0);
		t = start(read_one, (void *)(long)q[0]);
		settle();
		CHECK_EQ(gstk_write(q[1], "n", 1), 1);
		CHECK_EQ(finish(t), 1);
		CHECK_EQ(gstk_read_until(q[0], &c, 1, gstk_now() + MS), -ETIMEDOUT);
		gstk_close(q[0]);
		gstk_close(q[1]);
	}
}

static void *fill(void *arg)
{
	static char block[65536];
	long sent = 0;

	for (int i = 0; i < 64; i++) {
		int err = gstk_write_all((int)(long)arg, block, sizeof(block));

		if (err)
			return (void *)(long)err;
		sent += (long)sizeof(block);
	}
	return (void *)sent;
}

WAIT_TEST(a_writer_waits_for_room)
{
	static char sink[50000];
	int p[2];
	long got = 0;
	gstk_task *t;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	t = start(fill, (void *)(long)p[0]);
	settle();
	while (got < 64 * 65536) {
		ssize_t n = gstk_read(p[1], sink, sizeof(sink));

		CHECK(n > 0);
		got += n;
	}
	CHECK_EQ(finish(t), 64 * 65536);
	gstk_close(p[0]);
	gstk_close(p[1]);
}

WAIT_TEST(a_reset_is_an_error_and_not_a_signal)
{
	struct linger lg = { 1, 0 };
	int l = listener(), fd, a;
	char c;

	fd = gstk_dial(where, GSTK_NEVER);
	a = gstk_accept(l, NULL, NULL);
	CHECK(fd >= 0 && a >= 0);
	CHECK_EQ(setsockopt(a, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)), 0);
	gstk_close(a);
	CHECK_EQ(gstk_read(fd, &c, 1), -ECONNRESET);
	settle();
	CHECK_EQ(gstk_write(fd, "x", 1), -EPIPE);
	gstk_close(fd);
	gstk_close(l);
}

WAIT_TEST(connecting_to_nobody_is_refused)
{
	int l = listener();

	gstk_close(l);
	CHECK_EQ(gstk_dial(where, GSTK_NEVER), -ECONNREFUSED);
	CHECK_EQ(gstk_dial("nonsense", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("127.0.0.1:99999", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_listen("unix:", 0), -EINVAL);
	CHECK_EQ(gstk_read(-1, where, 1), -EBADF);
	CHECK_EQ(gstk_read(987654, where, 1), -EBADF);
}

WAIT_TEST(datagrams_keep_their_boundaries)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int r = gstk_socket(AF_INET, SOCK_DGRAM, 0), s = gstk_socket(AF_INET, SOCK_DGRAM, 0);
	char buf[100];

	CHECK(r >= 0 && s >= 0);
	CHECK_EQ(bind(r, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(getsockname(r, (struct sockaddr *)&a, &len), 0);
	CHECK_EQ(gstk_connect(s, (struct sockaddr *)&a, len), 0);
	CHECK_EQ(gstk_read_until(r, buf, sizeof(buf), gstk_now() + 2 * MS), -ETIMEDOUT);
	/* Two in a row: the short read of the first must not make the second wait for an event. */
	CHECK_EQ(gstk_write(s, "one", 3), 3);
	CHECK_EQ(gstk_write(s, "three", 5), 5);
	CHECK_EQ(gstk_read(r, buf, sizeof(buf)), 3);
	CHECK_EQ(gstk_read(r, buf, sizeof(buf)), 5);
	gstk_close(r);
	gstk_close(s);
}

WAIT_TEST(descriptors_travel_over_unix_sockets)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'c';
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int p[2], q[2], fd;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(pipe(q), 0);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &q[0], sizeof(int));
	CHECK_EQ(gstk_sendmsg(p[0], &m, 0), 1);
	CHECK_EQ(gstk_write_all(p[0], "more", 4), 0);
	memset(control, 0, sizeof(control));
	CHECK_EQ(gstk_recvmsg(p[1], &m, 0), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	CHECK(fd > 0 && fcntl(fd, F_GETFD) >= 0);
	CHECK_EQ(gstk_read(p[1], where, 10), 4);
	close(fd);
	gstk_close(p[0]);
	gstk_close(p[1]);
	gstk_close(q[0]);
	gstk_close(q[1]);
}

WAIT_TEST(poll_waits_for_the_events_that_it_was_asked_for)
{
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(gstk_poll(p[0], POLLIN, gstk_now() + 2 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_poll(p[0], POLLOUT, GSTK_NEVER), POLLOUT);
	CHECK_EQ(gstk_write(p[1], "x", 1), 1);
	CHECK_EQ(gstk_poll(p[0], POLLIN, GSTK_NEVER), POLLIN);
	CHECK_EQ(gstk_poll(p[0], POLLIN | POLLOUT, GSTK_NEVER), POLLIN | POLLOUT);
	gstk_close(p[1]);
	CHECK(gstk_poll(p[0], POLLIN, GSTK_NEVER) & POLLHUP);
	gstk_close(p[0]);
	CHECK_EQ(gstk_poll(p[0], POLLIN, GSTK_NEVER), -EBADF);
}

static void *write_soon(void *arg)
{
	gstk_sleep(2 * MS);
	CHECK_EQ(write((int)(long)arg, "x", 1), 1);
	return NULL;
}

static void await_foreign(int *p)
{
	gstk_task *t = start(write_soon, (void *)(long)p[1]);
	char c;

	while (recv(p[0], &c, 1, MSG_DONTWAIT) < 0) {
		CHECK_EQ(errno, EAGAIN);
		CHECK_EQ(gstk_poll_foreign(p[0], POLLIN, GSTK_NEVER), 0);
	}
	CHECK_EQ(c, 'x');
	finish(t);
}

WAIT_TEST(a_foreign_descriptor_stays_blocking_and_its_number_may_come_again)
{
	int p[2], q[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(gstk_poll_foreign(p[0], POLLIN, gstk_now() + 2 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_poll_foreign(p[0], POLLIN | POLLOUT, GSTK_NEVER), 0);
	CHECK_EQ(gstk_poll_foreign(p[0], POLLIN | POLLOUT, GSTK_NEVER), 0); /* told again */
	await_foreign(p);
	CHECK_EQ(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
	/* Closed and opened with nobody told: the same numbers, another file. */
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, q), 0);
	CHECK_EQ(dup2(q[0], p[0]), p[0]);
	CHECK_EQ(dup2(q[1], p[1]), p[1]);
	close(q[0]);
	close(q[1]);
	await_foreign(p);
	/* And used as one of ours, afterwards. */
	CHECK_EQ(gstk_write(p[1], "y", 1), 1);
	CHECK_EQ(gstk_read(p[0], &(char){ 0 }, 1), 1);
	await_foreign(p);
	gstk_close(p[0]);
	gstk_close(p[1]);
	CHECK_EQ(gstk_poll_foreign(p[0], POLLIN, GSTK_NEVER), -EBADF);
	CHECK_EQ(gstk_poll_foreign(-1, POLLIN, GSTK_NEVER), -EBADF);
}

/* One waits for a foreign descriptor while another makes it one of ours. */
static void *wait_foreign(void *arg)
{
	CHECK_EQ(gstk_poll_foreign((int)(long)arg, POLLIN, GSTK_NEVER), 0);
	return NULL;
}

WAIT_TEST(who_waits_for_a_foreign_descriptor_is_not_forgotten_when_it_is_adopted)
{
	gstk_task *t;
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	t = start(wait_foreign, (void *)(long)p[0]);
	settle();
	CHECK_EQ(gstk_write(p[0], "x", 1), 1); /* makes it known */
	settle();
	CHECK_EQ(write(p[1], "y", 1), 1);
	finish(t);
	gstk_close(p[0]);
	gstk_close(p[1]);
}

WAIT_TEST(accept_waits_out_a_full_descriptor_table)
{
	struct rlimit old, low;
	int l = listener(), c, a, spare[64], nr = 0;
	uint64_t start_ns;

	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	while (nr < 64 && (spare[nr] = dup(0)) >= 0)
		nr++;
	low.rlim_cur = (rlim_t)spare[nr - 1] + 1;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
	{
		struct sockaddr_in sa;
		socklen_t len = sizeof(sa);

		CHECK_EQ(getsockname(l, (struct sockaddr *)&sa, &len), 0);
		CHECK_EQ(connect(c, (struct sockaddr *)&sa, len), 0);
	}
	start_ns = gstk_now();
	a = gstk_accept_until(l, NULL, NULL, gstk_now() + 20 * MS);
	CHECK_EQ(a, -ETIMEDOUT);
	CHECK(gstk_now() - start_ns >= 20 * MS);
	close(spare[--nr]);
	a = gstk_accept_until(l, NULL, NULL, gstk_now() + 2000 * MS);
	CHECK(a >= 0);
	gstk_close(a);
	while (nr > 0)
		close(spare[--nr]);
	setrlimit(RLIMIT_NOFILE, &old);
	close(c);
	gstk_close(l);
}

static int big_listener;
static _Atomic int served;

static void *serve(void *arg)
{
	char buf[64];
	int fd = (int)(long)arg;
	ssize_t n;

	while ((n = gstk_read(fd, buf, sizeof(buf))) > 0 && gstk_write_all(fd, buf, (size_t)n) == 0)
		served++;
	gstk_close(fd);
	return NULL;
}

static void *accept_many(void *arg)
{
	int fd;

	while ((fd = gstk_accept(big_listener, NULL, NULL)) >= 0)
		if (gstk_go(serve, (void *)(long)fd))
			gstk_close(fd);
	return (void *)(long)fd;
}

static void *talk(void *arg)
{
	int fd = gstk_dial(where, gstk_now() + 10000 * MS);
	char out[32], in[32];

	CHECK(fd >= 0);
	for (int i = 0; i < 20; i++) {
		size_t got = 0;

		memset(out, (int)(long)arg + i, sizeof(out));
		CHECK_EQ(gstk_write_all(fd, out, sizeof(out)), 0);
		while (got < sizeof(in)) {
			ssize_t n = gstk_read(fd, in + got, sizeof(in) - got);

			CHECK(n > 0);
			got += (size_t)n;
		}
		CHECK(!memcmp(in, out, sizeof(in)));
	}
	gstk_close(fd);
	return NULL;
}

WAIT_TEST(hundreds_of_connections_at_once)
{
	enum { NR = 300 };
	static gstk_task *t[NR];
	gstk_task *a;

	served = 0;
	big_listener = listener();
	a = start(accept_many, NULL);
	for (long i = 0; i < NR; i++)
		t[i] = start(talk, (void *)i);
	for (int i = 0; i < NR; i++)
		CHECK_EQ(finish(t[i]), 0);
	for (int i = 0; served < NR * 20 && i < 1000; i++)
		gstk_sleep(MS); /* the server counts after it has written */
	CHECK_EQ(served, NR * 20);
	gstk_cancel(a);
	CHECK_EQ(finish(a), -ECANCELED);
	gstk_close(big_listener);
}

/* Always ready, never parks by itself: others must get their turn. */
static _Atomic bool eats, enough;

static void *glutton(void *arg)
{
	char buf[4096];
	int fd = open("/dev/zero", O_RDONLY);
	long n = 0;

	while (!enough && gstk_read(fd, buf, sizeof(buf)) > 0)
		eats = ++n;
	close(fd);
	return (void *)(long)(n > 0 ? 0 : 1);
}

static void *modest(void *arg)
{
	for (int i = 0; i < 5; i++)
		gstk_yield();
	enough = true;
	return NULL;
}

WAIT_TEST(a_descriptor_that_is_always_ready_starves_nobody)
{
	gstk_task *g, *m;

	eats = enough = false;
	g = start(glutton, NULL);
	while (!eats)
		gstk_yield();
	m = start(modest, NULL);
	finish(m);
	CHECK_EQ(finish(g), 0);
}

static void *foreign_reader(void *arg)
{
	char c;

	return (void *)(long)gstk_read((int)(long)arg, &c, 1);
}

WAIT_TEST(other_threads_may_call_these_too)
{
	pthread_t th;
	void *r;
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(pthread_create(&th, NULL, foreign_reader, (void *)(long)p[0]), 0);
	gstk_sleep(5 * MS);
	CHECK_EQ(gstk_write(p[1], "f", 1), 1);
	gstk_sleep(5 * MS);
	pthread_join(th, &r);
	CHECK_EQ((long)r, 1);
	gstk_close(p[0]);
	gstk_close(p[1]);
}

TEST_HARNESS_MAIN
