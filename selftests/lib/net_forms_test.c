// SPDX-License-Identifier: MIT
/* Blocking-style I/O in all its forms: vectors, messages with addresses, IPv6, Unix sockets by name. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "seccomp_test.h"

union any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static int bound(union any *a, socklen_t *len)
{
	int fd = gstk_socket(a->sa.sa_family, SOCK_DGRAM, 0);

	CHECK(fd >= 0);
	CHECK_EQ(bind(fd, &a->sa, *len), 0);
	CHECK_EQ(getsockname(fd, &a->sa, len), 0);
	return fd;
}

struct datagrams {
	int fd;
	int nr;
};

/* Sends each datagram back to where it came from, with one more byte. */
static void *answer(void *arg)
{
	struct datagrams *d = arg;

	for (int i = 0; i < d->nr; i++) {
		union any from;
		char buf[64];
		struct iovec in[2] = { { buf, 2 }, { buf + 2, sizeof(buf) - 3 } };
		struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = in, .msg_iovlen = 2 };
		ssize_t n = gstk_recvmsg(d->fd, &m, 0);
		struct iovec out = { buf, (size_t)n + 1 };

		CHECK(n > 0 && !(m.msg_flags & MSG_TRUNC));
		buf[n] = '!';
		m = (struct msghdr){ .msg_name = &from, .msg_namelen = m.msg_namelen, .msg_iov = &out, .msg_iovlen = 1 };
		CHECK_EQ(gstk_sendmsg(d->fd, &m, 0), n + 1);
	}
	return NULL;
}

static void datagrams_over(union any a, socklen_t len)
{
	union any here = a;
	socklen_t here_len = len;
	struct datagrams *d = gstk_alloc(sizeof(*d));
	gstk_task *t;
	int fd;

	d->fd = bound(&a, &len);
	d->nr = 20;
	fd = bound(&here, &here_len);
	t = start(answer, d);
	for (int i = 0; i < d->nr; i++) {
		char text[32], buf[64];
		int n = snprintf(text, sizeof(text), "datagram %d", i);
		struct iovec v[2] = { { text, 4 }, { text + 4, (size_t)n - 4 } }, in = { buf, sizeof(buf) };
		union any from = { 0 };
		struct msghdr m = { .msg_name = &a, .msg_namelen = len, .msg_iov = v, .msg_iovlen = 2 };

		CHECK_EQ(gstk_sendmsg_until(fd, &m, 0, gstk_now() + 5000 * MS), n);
		m = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &in, .msg_iovlen = 1 };
		CHECK_EQ(gstk_recvmsg_until(fd, &m, 0, gstk_now() + 5000 * MS), n + 1);
		CHECK(!memcmp(buf, text, (size_t)n) && buf[n] == '!');
		CHECK_EQ(m.msg_namelen, len);
		CHECK(!memcmp(&from, &a, len));
	}
	finish(t);
	gstk_close(fd);
	gstk_close(d->fd);
	gstk_free(d);
}

WAIT_TEST(datagrams_carry_their_addresses)
{
	datagrams_over((union any){ .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } },
		       sizeof(struct sockaddr_in));
}

static bool have_ipv6(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), err = fd < 0 || bind(fd, (void *)&a, sizeof(a));

	if (fd >= 0)
		close(fd);
	return !err;
}

static void datagrams_over_ipv6(void)
{
	datagrams_over((union any){ .in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT } },
		       sizeof(struct sockaddr_in6));
}

TEST(datagrams_carry_ipv6_addresses)
{
	if (!have_ipv6())
		SKIP(return, "no ::1 on this machine");
	with_workers(2, datagrams_over_ipv6);
}

/* Vectors in pieces that do not fit the receiver's, more than a socket holds. */
enum { STREAM = 1 << 20 };

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

static void *send_vectors(void *arg)
{
	static unsigned char out[STREAM];
	size_t sent = 0;

	for (size_t i = 0; i < STREAM; i++)
		out[i] = byte_at(i);
	while (sent < STREAM) {
		struct iovec v[3];
		size_t left = STREAM - sent, at = sent;

		for (int k = 0; k < 3; k++) {
			size_t len = (size_t)k * 997 + 3001;

			len = len < left ? len : left;
			v[k] = (struct iovec){ out + at, len };
			at += len;
			left -= len;
		}
		ssize_t n = gstk_writev((int)(long)arg, v, 3);

		CHECK(n > 0);
		sent += (size_t)n;
	}
	shutdown((int)(long)arg, SHUT_WR);
	return NULL;
}

static void stream(int to, int from)
{
	gstk_task *t = start(send_vectors, (void *)(long)to);
	unsigned char a[1500], b[700];
	size_t got = 0;

	for (;;) {
		struct iovec v[2] = { { a, sizeof(a) }, { b, sizeof(b) } };
		ssize_t n = gstk_readv(from, v, 2);

		CHECK(n >= 0);
		if (!n)
			break;
		for (size_t i = 0; i < (size_t)n; i++)
			CHECK_EQ(i < sizeof(a) ? a[i] : b[i - sizeof(a)], byte_at(got + i));
		got += (size_t)n;
	}
	CHECK_EQ(got, STREAM);
	finish(t);
}

WAIT_TEST(vectors_arrive_whole_over_unix_sockets_found_by_name)
{
	char addr[100];
	int l, to, from;

	snprintf(addr, sizeof(addr), "unix:/tmp/gstk-net-forms-%d", getpid());
	CHECK_EQ(gstk_dial(addr, GSTK_NEVER), -ENOENT);
	l = gstk_listen(addr, 0);
	CHECK(l >= 0);
	CHECK_EQ(gstk_listen(addr, 0), -EADDRINUSE);
	to = gstk_dial(addr, GSTK_NEVER);
	from = gstk_accept(l, NULL, NULL);
	CHECK(to >= 0 && from >= 0);
	stream(to, from);
	gstk_close(to);
	gstk_close(from);
	gstk_close(l);
	CHECK_EQ(gstk_dial(addr, GSTK_NEVER), -ECONNREFUSED);
	unlink(addr + 5);
}

static void stream_over_ipv6(void)
{
	union any a;
	socklen_t len = sizeof(a);
	char addr[64];
	int l = gstk_listen("[::1]:0", 0), to, from;

	CHECK(l >= 0);
	CHECK_EQ(getsockname(l, &a.sa, &len), 0);
	snprintf(addr, sizeof(addr), "[::1]:%u", ntohs(a.in6.sin6_port));
	to = gstk_dial(addr, gstk_now() + 5000 * MS);
	len = sizeof(a);
	from = gstk_accept_until(l, &a.sa, &len, gstk_now() + 5000 * MS);
	CHECK(to >= 0 && from >= 0);
	CHECK_EQ(a.sa.sa_family, AF_INET6);
	stream(to, from);
	gstk_close(to);
	gstk_close(from);
	gstk_close(l);
}

TEST(vectors_arrive_whole_over_ipv6)
{
	if (!have_ipv6())
		SKIP(return, "no ::1 on this machine");
	with_workers(2, stream_over_ipv6);
}

WAIT_TEST(flags_that_say_do_not_wait_are_obeyed)
{
	char c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int p[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	CHECK_EQ(gstk_recv(p[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(gstk_recv_until(p[0], &c, 1, MSG_DONTWAIT, 1), -EAGAIN);
	CHECK_EQ(gstk_recv_until(p[0], &c, 1, MSG_PEEK, 1), -ETIMEDOUT);
	CHECK_EQ(gstk_recvmsg(p[0], &m, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(gstk_recvmsg_until(p[0], &m, MSG_DONTWAIT, 1), -EAGAIN);
	while (gstk_sendmsg(p[0], &m, MSG_DONTWAIT) > 0)
		;
	CHECK_EQ(gstk_send(p[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(gstk_send_until(p[0], &c, 1, MSG_DONTWAIT, 1), -EAGAIN);
	CHECK_EQ(gstk_send_until(p[0], &c, 1, 0, 1), -ETIMEDOUT);
	CHECK_EQ(gstk_sendmsg_until(p[0], &m, MSG_DONTWAIT, 1), -EAGAIN);
	CHECK_EQ(gstk_sendmsg_until(p[0], &m, 0, 1), -ETIMEDOUT);
	gstk_close(p[0]);
	gstk_close(p[1]);
}

static void close_is_interrupted(void)
{
	int p[2];

	CHECK_EQ(pipe(p), 0);
	refuse(SYS_close, EINTR);
	CHECK_EQ(gstk_close(p[0]), 0);
}

static void close_fails(void)
{
	int p[2];

	CHECK_EQ(pipe(p), 0);
	refuse(SYS_close, EIO);
	CHECK_EQ(gstk_close(p[0]), -EIO);
}

/* The system closes it all the same: the call must not be made again. */
TEST(a_close_that_a_signal_ended_is_a_close)
{
	if (EMULATED())
		SKIP(return, "the emulator has no system call filters");
	with_workers(1, close_is_interrupted);
}

TEST(a_close_that_failed_is_told)
{
	if (EMULATED())
		SKIP(return, "the emulator has no system call filters");
	with_workers(1, close_fails);
}

TEST_HARNESS_MAIN
