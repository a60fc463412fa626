// SPDX-License-Identifier: MIT
/*
 * read, write and their kin on whatever the descriptor is: first as a socket, then with RWF_NOWAIT,
 * and what knows neither (pipes before Linux 6.4, terminals) is polled before it is called.
 */
#include "block.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool nowait_unknown(int err)
{
	return err == EOPNOTSUPP || err == ENOSYS || err == EPERM; /* the last: older filters of containers */
}

static bool is_ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return real(poll)(&p, 1, 0) != 0;
}

static ssize_t read_other(int fd, const struct iovec *iov, int nr)
{
	struct preload_try t = { 0 };
	bool by_poll = false;

	for (;;) {
		ssize_t n;
		int err;

		if (!by_poll) {
			n = preadv2(fd, iov, nr, -1, RWF_NOWAIT);
			if (n >= 0)
				return n;
			err = preload_errno();
			by_poll = nowait_unknown(err);
			if (err != EAGAIN && !by_poll)
				return -1;
			if (preload_is_file(fd))
				return preload_file(fd, iov, nr, -1, false);
		}
		if (by_poll && is_ready(fd, POLLIN))
			return real(readv)(fd, iov, nr);
		t.vain = 0;
		if (preload_wait(fd, POLLIN, 0, &t))
			return preload_errno() == EPERM ? real(readv)(fd, iov, nr) : -1;
	}
}

/* What the cache had of a file is not all of it. */
static ssize_t read_one(int fd, void *buf, size_t len)
{
	ssize_t n = read_other(fd, &(struct iovec){ buf, len }, 1), more;

	if (n <= 0 || (size_t)n == len || !preload_is_file(fd))
		return n;
	more = preload_file(fd, &(struct iovec){ (char *)buf + n, len - (size_t)n }, 1, -1, false);
	return more > 0 ? n + more : n;
}

/* One step of a write; no longer than what fits for sure where the kernel might wait. */
static ssize_t write_step(int fd, const struct iovec *iov, int nr, bool *by_poll)
{
	struct iovec first = *iov;
	ssize_t n;

	if (!*by_poll) {
		n = pwritev2(fd, iov, nr, -1, RWF_NOWAIT);
		if (n >= 0 || !nowait_unknown(preload_errno()))
			return n;
		*by_poll = true;
	}
	if (!is_ready(fd, POLLOUT))
		return preload_fail(EAGAIN);
	if (first.iov_len > PIPE_BUF)
		first.iov_len = PIPE_BUF;
	return real(writev)(fd, &first, 1);
}

static ssize_t write_other(int fd, const struct iovec *iov, int nr)
{
	struct iovec few[8], *all, *rest;
	size_t want = 0, done = 0, left = (size_t)nr;
	struct preload_try t = { 0 };
	bool by_poll = false;
	ssize_t n = 0;

	if (preload_is_file(fd))
		return preload_file(fd, iov, nr, -1, true);
	all = rest = nr <= 8 ? few : malloc((size_t)nr * sizeof(*all));
	if (!all)
		return preload_fail(ENOMEM);
	memcpy(all, iov, (size_t)nr * sizeof(*all));
	for (int i = 0; i < nr; i++)
		want += iov[i].iov_len;
	while (done < want) {
		preload_advance(&rest, &left, 0); /* empty vectors */
		n = write_step(fd, rest, (int)left, &by_poll);
		if (n > 0) {
			done += (size_t)n;
			preload_advance(&rest, &left, (size_t)n);
			continue;
		}
		if (n == 0 || preload_errno() != EAGAIN)
			break;
		t.vain = 0;
		if (!preload_wait(fd, POLLOUT, 0, &t))
			continue;
		if (preload_errno() == EPERM)
			n = real(writev)(fd, rest, (int)left);
		done += n > 0 ? (size_t)n : 0;
		break;
	}
	if (all != few)
		free(all);
	return done ? (ssize_t)done : n;
}

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	ssize_t n;

	if (!IS_GREEN() || !len)
		return real(read)(fd, buf, len);
	n = preload_recv_one(fd, buf, len, 0);
	if (n < 0 && preload_errno() == ENOTSOCK)
		n = read_one(fd, buf, len);
	return n;
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	ssize_t n;

	if (!IS_GREEN() || !len)
		return real(write)(fd, buf, len);
	n = preload_send_one(fd, buf, len, 0);
	if (n < 0 && preload_errno() == ENOTSOCK)
		n = write_other(fd, &(struct iovec){ (void *)buf, len }, 1);
	return n;
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)nr };
	ssize_t n;

	if (!IS_GREEN() || nr <= 0 || nr > IOV_MAX)
		return real(readv)(fd, iov, nr);
	n = preload_recv(fd, &msg, 0);
	if (n < 0 && preload_errno() == ENOTSOCK)
		n = read_other(fd, iov, nr);
	return n;
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)nr };
	ssize_t n;

	if (!IS_GREEN() || nr <= 0 || nr > IOV_MAX)
		return real(writev)(fd, iov, nr);
	n = preload_send(fd, &msg, 0);
	if (n < 0 && preload_errno() == ENOTSOCK)
		n = write_other(fd, iov, nr);
	return n;
}
