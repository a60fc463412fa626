// SPDX-License-Identifier: MIT
/* recv, send and their kin: never wait in the kernel, but as long as the original would. */
#include "preload.h"

#include <stdlib.h>
#include <string.h>

void preload_advance(struct iovec **iov, size_t *nr, size_t bytes)
{
	while (*nr && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		++*iov;
		--*nr;
	}
	if (*nr) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + bytes;
		(*iov)->iov_len -= bytes;
	}
}

static size_t bytes_of(const struct msghdr *msg)
{
	size_t n = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += msg->msg_iov[i].iov_len;
	return n;
}

static bool is_stream(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

/* The rest of a transfer, in a copy of the vectors that may be changed. */
struct rest {
	struct msghdr msg;
	struct iovec *iov, few[8];
};

static int begin_rest(struct rest *r, const struct msghdr *msg)
{
	r->iov = msg->msg_iovlen <= 8 ? r->few : malloc(msg->msg_iovlen * sizeof(*r->iov));
	if (!r->iov)
		return preload_fail(ENOMEM);
	memcpy(r->iov, msg->msg_iov, msg->msg_iovlen * sizeof(*r->iov));
	r->msg = (struct msghdr){ .msg_iov = r->iov, .msg_iovlen = msg->msg_iovlen };
	return 0;
}

static void end_rest(struct rest *r)
{
	if (r->iov != r->few)
		free(r->iov);
}

/* MSG_WAITALL on a stream, after its first @done bytes. */
static ssize_t recv_rest(int fd, const struct msghdr *msg, int flags, size_t done)
{
	size_t want = bytes_of(msg);
	struct preload_try t = { 0 };
	struct rest r;

	if (done >= want || begin_rest(&r, msg))
		return (ssize_t)done;
	preload_advance(&r.msg.msg_iov, &r.msg.msg_iovlen, done);
	while (done < want) {
		ssize_t n = real(recvmsg)(fd, &r.msg, flags | MSG_DONTWAIT);

		if (!n)
			break;
		if (n < 0) {
			if (preload_errno() != EAGAIN || preload_wait(fd, POLLIN, SO_RCVTIMEO, &t))
				break;
			continue;
		}
		t.vain = 0;
		done += (size_t)n;
		preload_advance(&r.msg.msg_iov, &r.msg.msg_iovlen, (size_t)n);
	}
	end_rest(&r);
	return (ssize_t)done;
}

ssize_t preload_recv(int fd, struct msghdr *msg, int flags)
{
	struct preload_try t = { 0 };
	ssize_t n;

	for (;;) {
		n = real(recvmsg)(fd, msg, flags | MSG_DONTWAIT);
		if (n >= 0 || preload_errno() != EAGAIN || (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)))
			break;
		if (preload_wait(fd, POLLIN | (flags & MSG_OOB ? POLLPRI : 0), SO_RCVTIMEO, &t))
			return -1;
	}
	if (n > 0 && (flags & (MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT)) == MSG_WAITALL && is_stream(fd))
		n = recv_rest(fd, msg, flags, (size_t)n);
	return n;
}

/* A blocking send on a stream takes all, or what it took before an error or the end of its time. */
static ssize_t send_rest(int fd, const struct msghdr *msg, int flags, size_t done, struct preload_try *t)
{
	size_t want = bytes_of(msg);
	struct rest r;

	if (done >= want || !is_stream(fd) || begin_rest(&r, msg))
		return (ssize_t)done;
	preload_advance(&r.msg.msg_iov, &r.msg.msg_iovlen, done);
	while (done < want) {
		ssize_t n = real(sendmsg)(fd, &r.msg, flags | MSG_DONTWAIT);

		if (n < 0) {
			if (preload_errno() != EAGAIN || preload_wait(fd, POLLOUT, SO_SNDTIMEO, t))
				break;
			continue;
		}
		t->vain = 0;
		done += (size_t)n;
		preload_advance(&r.msg.msg_iov, &r.msg.msg_iovlen, (size_t)n);
	}
	end_rest(&r);
	return (ssize_t)done;
}

ssize_t preload_send(int fd, const struct msghdr *msg, int flags)
{
	struct preload_try t = { 0 };
	ssize_t n;

	for (;;) {
		n = real(sendmsg)(fd, msg, flags | MSG_DONTWAIT);
		if (n >= 0 || preload_errno() != EAGAIN || (flags & MSG_DONTWAIT))
			break;
		if (preload_wait(fd, POLLOUT, SO_SNDTIMEO, &t))
			return -1;
	}
	if (n >= 0 && !(flags & MSG_DONTWAIT))
		n = send_rest(fd, msg, flags, (size_t)n, &t);
	return n;
}

#define ONE_IOV(buf, len) (&(struct msghdr){ .msg_iov = &(struct iovec){ (void *)(buf), len }, .msg_iovlen = 1 })

EXPORT ssize_t recvfrom(int fd, void *buf, size_t len, int flags, __SOCKADDR_ARG addr, socklen_t *alen)
{
	struct msghdr *msg = ONE_IOV(buf, len);
	ssize_t n;

	if (!IS_GREEN() || (flags & MSG_DONTWAIT))
		return real(recvfrom)(fd, buf, len, flags, addr, alen);
	if (addr.__sockaddr__ && alen) {
		msg->msg_name = addr.__sockaddr__;
		msg->msg_namelen = *alen;
	}
	n = preload_recv(fd, msg, flags);
	if (n >= 0 && addr.__sockaddr__ && alen)
		*alen = msg->msg_namelen;
	return n;
}

ssize_t preload_recv_one(int fd, void *buf, size_t len, int flags)
{
	struct preload_try t = { 0 };
	ssize_t n;

	if (flags & (MSG_WAITALL | MSG_ERRQUEUE | MSG_OOB))
		return preload_recv(fd, ONE_IOV(buf, len), flags);
	for (;;) {
		n = real(recv)(fd, buf, len, flags | MSG_DONTWAIT);
		if (n >= 0 || preload_errno() != EAGAIN)
			return n;
		if (preload_wait(fd, POLLIN, SO_RCVTIMEO, &t))
			return -1;
	}
}

EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	if (!IS_GREEN() || (flags & MSG_DONTWAIT))
		return real(recv)(fd, buf, len, flags);
	return preload_recv_one(fd, buf, len, flags);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	return IS_GREEN() ? preload_recv(fd, msg, flags) : real(recvmsg)(fd, msg, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, __CONST_SOCKADDR_ARG addr, socklen_t alen)
{
	struct msghdr *msg = ONE_IOV(buf, len);

	if (!IS_GREEN() || (flags & MSG_DONTWAIT))
		return real(sendto)(fd, buf, len, flags, addr, alen);
	msg->msg_name = (void *)addr.__sockaddr__;
	msg->msg_namelen = alen;
	return preload_send(fd, msg, flags);
}

ssize_t preload_send_one(int fd, const void *buf, size_t len, int flags)
{
	struct preload_try t = { 0 };
	ssize_t n = real(send)(fd, buf, len, flags | MSG_DONTWAIT);

	if ((n >= 0 && (size_t)n == len) || (n < 0 && preload_errno() != EAGAIN))
		return n;
	if (n < 0)
		return preload_send(fd, ONE_IOV(buf, len), flags);
	return send_rest(fd, ONE_IOV(buf, len), flags, (size_t)n, &t);
}

EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	if (!IS_GREEN() || (flags & MSG_DONTWAIT))
		return real(send)(fd, buf, len, flags);
	return preload_send_one(fd, buf, len, flags);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return IS_GREEN() ? preload_send(fd, msg, flags) : real(sendmsg)(fd, msg, flags);
}

/* The timeout is looked at only after a message, as in the kernel. */
EXPORT int recvmmsg(int fd, struct mmsghdr *vec, unsigned int nr, int flags, struct timespec *timeout)
{
	uint64_t deadline_ns;
	unsigned int i;

	if (!IS_GREEN() || (flags & MSG_DONTWAIT))
		return real(recvmmsg)(fd, vec, nr, flags, timeout);
	deadline_ns = preload_deadline_ts(timeout);
	for (i = 0; i < nr && (!i || gstk_now() < deadline_ns); i++) {
		ssize_t n = preload_recv(fd, &vec[i].msg_hdr,
					 (flags & ~MSG_WAITFORONE) | (i && (flags & MSG_WAITFORONE) ? MSG_DONTWAIT : 0));

		if (n < 0)
			return i ? (int)i : -1;
		vec[i].msg_len = (unsigned int)n;
	}
	return (int)i;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *vec, unsigned int nr, int flags)
{
	unsigned int i;

	if (!IS_GREEN() || (flags & MSG_DONTWAIT))
		return real(sendmmsg)(fd, vec, nr, flags);
	for (i = 0; i < nr; i++) {
		ssize_t n = preload_send(fd, &vec[i].msg_hdr, flags);

		if (n < 0)
			return i ? (int)i : -1;
		vec[i].msg_len = (unsigned int)n;
	}
	return (int)i;
}
