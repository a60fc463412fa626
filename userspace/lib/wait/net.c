// SPDX-License-Identifier: MIT
/* Blocking-style I/O: try, and where the descriptor is not ready, park. */
#include <greenstk/net.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "debug/inject.h"
#include "host/host.h"
#include "sched/sched.h"
#include "wait/fd.h"
#include "wait/sleep.h"
#include "window/present.h"

/* Try CALL, whose buffers PRESENT makes present, until it does not say EAGAIN. A macro, so that the fast
 * path has no indirect call. */
#define RETRY(fd, f, want, why, deadline, PRESENT, CALL) \
	({ \
		ssize_t ret_; \
		for (;;) { \
			gstk__fd_clear(f, want); \
			PRESENT; /* each time: the stack may have left in a wait */ \
			ret_ = (CALL); \
			if (__builtin_expect(ret_ >= 0, 1)) { \
				gstk__did_not_wait(); \
				break; \
			} \
			ret_ = -net_errno(); \
			if (ret_ == -EINTR) \
				continue; \
			if (ret_ != -EAGAIN) \
				break; \
			ret_ = gstk__fd_wait(fd, f, want, why, deadline); \
			if (ret_) \
				break; \
		} \
		ret_; \
	})

/* errno of this thread, never through an address from before a park. */
static __attribute__((noinline)) int net_errno(void)
{
	return errno;
}

/* No SIGPIPE from any socket; what is none is found out once. */
ssize_t gstk__net_write(int fd, struct gstk__fd *f, const void *buf, size_t len)
{
	ssize_t n;

	if (!(f->flags & GSTK__FD_NO_SOCKET)) {
		n = send(fd, buf, len, MSG_NOSIGNAL);
		if (n >= 0 || net_errno() != ENOTSOCK)
			return n;
		atomic_fetch_or_explicit(&f->flags, GSTK__FD_NO_SOCKET, memory_order_relaxed);
	}
	return write(fd, buf, len);
}

static ssize_t write_many(int fd, struct gstk__fd *f, const struct iovec *iov, int nr)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)nr };
	ssize_t n;

	if (!(f->flags & GSTK__FD_NO_SOCKET) && nr > 0) {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n >= 0 || net_errno() != ENOTSOCK)
			return n;
		atomic_fetch_or_explicit(&f->flags, GSTK__FD_NO_SOCKET, memory_order_relaxed);
	}
	return writev(fd, iov, nr);
}

/* Drained streams wait first; see fd.h. When time is over one try is left: what came may not have been told yet. */
static inline int wait_drained(int fd, struct gstk__fd *f, uint64_t deadline_ns)
{
	int r = gstk__fd_take_drained(f) ? gstk__fd_wait(fd, f, GSTK__FD_READ, GSTK__WAIT_FD_READ, deadline_ns) : 0;

	return r == -ETIMEDOUT ? 0 : r;
}

static ssize_t read_ready(int fd, struct gstk__fd *f, void *buf, size_t len, uint64_t deadline_ns)
{
	ssize_t n = RETRY(fd, f, GSTK__FD_READ, GSTK__WAIT_FD_READ, deadline_ns, gstk__present(buf, len), read(fd, buf, len));

	gstk__fd_note_short(f, n, len);
	return n;
}

ssize_t gstk_read_until(int fd, void *buf, size_t len, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n || (n = wait_drained(fd, f, deadline_ns)))
		return n;
	return read_ready(fd, f, buf, len, deadline_ns);
}

static int read_end(struct gstk_task *t, enum gstk__code code, void *buf, uint32_t len)
{
	struct gstk__fd *f = t->obj;
	int r = gstk__fd_waited(f, t, code);

	return r ? r : (int)read_ready(gstk__fd_number(f), f, buf, len, GSTK_NEVER);
}

/* One try; who has to wait leaves a small frame: it is what connections do most of their time. */
ssize_t gstk_read(int fd, void *buf, size_t len)
{
	struct gstk__fd *f = gstk__fd_known(fd);
	ssize_t n;

	if (__builtin_expect(!f || len > INT_MAX || gstk__may_go_on(), 0))
		return gstk_read_until(fd, buf, len, GSTK_NEVER);
	if (!gstk__fd_take_drained(f)) {
		gstk__fd_clear(f, GSTK__FD_READ);
		gstk__present(buf, len);
		n = read(fd, buf, len);
		if (__builtin_expect(n >= 0, 1)) {
			gstk__did_not_wait();
			gstk__fd_note_short(f, n, len);
			return n;
		}
		n = -net_errno();
		if (n == -EINTR)
			return read_ready(fd, f, buf, len, GSTK_NEVER);
		if (n != -EAGAIN)
			return n;
	}
	return gstk__fd_then(f, GSTK__FD_READ, GSTK_NEVER, read_end, buf, (uint32_t)len);
}

ssize_t gstk_write_until(int fd, const void *buf, size_t len, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n)
		return n;
	return RETRY(fd, f, GSTK__FD_WRITE, GSTK__WAIT_FD_WRITE, deadline_ns, gstk__present(buf, len),
		     gstk__net_write(fd, f, buf, len));
}

ssize_t gstk_write(int fd, const void *buf, size_t len)
{
	return gstk_write_until(fd, buf, len, GSTK_NEVER);
}

int gstk_write_all_until(int fd, const void *buf, size_t len, uint64_t deadline_ns)
{
	const char *p = buf;

	while (len) {
		ssize_t n = gstk_write_until(fd, p, len, deadline_ns);

		if (n < 0)
			return (int)n;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int gstk_write_all(int fd, const void *buf, size_t len)
{
	return gstk_write_all_until(fd, buf, len, GSTK_NEVER);
}

ssize_t gstk_readv_until(int fd, const struct iovec *iov, int nr, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n || (n = wait_drained(fd, f, deadline_ns)))
		return n;
	return RETRY(fd, f, GSTK__FD_READ, GSTK__WAIT_FD_READ, deadline_ns,
		     gstk__present_iov(iov, nr), readv(fd, iov, nr));
}

ssize_t gstk_readv(int fd, const struct iovec *iov, int nr)
{
	return gstk_readv_until(fd, iov, nr, GSTK_NEVER);
}

ssize_t gstk_writev_until(int fd, const struct iovec *iov, int nr, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n)
		return n;
	return RETRY(fd, f, GSTK__FD_WRITE, GSTK__WAIT_FD_WRITE, deadline_ns,
		     gstk__present_iov(iov, nr), write_many(fd, f, iov, nr));
}

ssize_t gstk_writev(int fd, const struct iovec *iov, int nr)
{
	return gstk_writev_until(fd, iov, nr, GSTK_NEVER);
}

ssize_t gstk_recv_until(int fd, void *buf, size_t len, int flags, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n)
		return n;
	if (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) {
		gstk__fd_clear(f, GSTK__FD_READ);
		gstk__present(buf, len);
		n = recv(fd, buf, len, flags);
		n = n < 0 ? -net_errno() : n;
	} else {
		if (!flags && (n = wait_drained(fd, f, deadline_ns)))
			return n;
		n = RETRY(fd, f, GSTK__FD_READ, GSTK__WAIT_FD_READ, deadline_ns, gstk__present(buf, len),
			  recv(fd, buf, len, flags));
	}
	if (!(flags & ~MSG_DONTWAIT)) /* a look (MSG_PEEK) takes nothing, and the others are not of the stream */
		gstk__fd_note_short(f, n, len);
	return n;
}

ssize_t gstk_recv(int fd, void *buf, size_t len, int flags)
{
	return gstk_recv_until(fd, buf, len, flags, GSTK_NEVER);
}

ssize_t gstk_send_until(int fd, const void *buf, size_t len, int flags, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n)
		return n;
	if (flags & MSG_DONTWAIT) {
		gstk__present(buf, len);
		n = send(fd, buf, len, flags | MSG_NOSIGNAL);
		return n < 0 ? -net_errno() : n;
	}
	return RETRY(fd, f, GSTK__FD_WRITE, GSTK__WAIT_FD_WRITE, deadline_ns, gstk__present(buf, len),
		     send(fd, buf, len, flags | MSG_NOSIGNAL));
}

ssize_t gstk_send(int fd, const void *buf, size_t len, int flags)
{
	return gstk_send_until(fd, buf, len, flags, GSTK_NEVER);
}

ssize_t gstk_recvmsg_until(int fd, struct msghdr *msg, int flags, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n)
		return n;
	if (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) {
		gstk__present_msg(msg);
		n = recvmsg(fd, msg, flags);
		return n < 0 ? -net_errno() : n;
	}
	return RETRY(fd, f, GSTK__FD_READ, GSTK__WAIT_FD_READ, deadline_ns,
		     gstk__present_msg(msg), recvmsg(fd, msg, flags));
}

ssize_t gstk_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return gstk_recvmsg_until(fd, msg, flags, GSTK_NEVER);
}

ssize_t gstk_sendmsg_until(int fd, const struct msghdr *msg, int flags, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	ssize_t n = gstk__fd_begin(fd, &f);

	if (n)
		return n;
	if (flags & MSG_DONTWAIT) {
		gstk__present_msg(msg);
		n = sendmsg(fd, msg, flags | MSG_NOSIGNAL);
		return n < 0 ? -net_errno() : n;
	}
	return RETRY(fd, f, GSTK__FD_WRITE, GSTK__WAIT_FD_WRITE, deadline_ns,
		     gstk__present_msg(msg), sendmsg(fd, msg, flags | MSG_NOSIGNAL));
}

ssize_t gstk_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return gstk_sendmsg_until(fd, msg, flags, GSTK_NEVER);
}

int gstk_socket(int domain, int type, int protocol)
{
	int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -net_errno();
	gstk__fd_adopt(fd, (type & 0xf) == SOCK_STREAM && (domain == AF_INET || domain == AF_INET6));
	return fd;
}

int gstk_connect_until(int fd, const struct sockaddr *addr, socklen_t len, uint64_t deadline_ns)
{
	struct gstk__fd *f;
	socklen_t elen = sizeof(int);
	int err = gstk__fd_begin(fd, &f), soerr = 0;

	if (err)
		return err;
	gstk__fd_clear(f, GSTK__FD_WRITE);
	for (;;) {
		gstk__present(addr, len);
		if (connect(fd, addr, len) == 0)
			return 0;
		err = net_errno();
		if (err == EINPROGRESS || err == EALREADY || err == EINTR)
			break;
		if (err != EAGAIN) /* a Unix listener with a full backlog: nothing will tell, so try again */
			return -err;
		err = gstk__sleep_until(gstk__now_ns() + 1000000, deadline_ns, GSTK__WAIT_CONNECT);
		if (err)
			return err;
	}
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		gstk__fd_clear(f, GSTK__FD_WRITE);
		if (poll(&p, 1, 0) > 0 && p.revents)
			break;
		err = gstk__fd_wait(fd, f, GSTK__FD_WRITE, GSTK__WAIT_CONNECT, deadline_ns);
		if (err)
			return err;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &soerr, &elen))
		return -net_errno();
	return -soerr;
}

int gstk_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return gstk_connect_until(fd, addr, len, GSTK_NEVER);
}

static void present_address(const struct sockaddr *addr, const socklen_t *len)
{
	if (addr && len)
		gstk__present(addr, *len);
}

int gstk_accept_until(int fd, struct sockaddr *addr, socklen_t *len, uint64_t deadline_ns)
{
	static _Atomic bool reported;
	uint64_t delay_ns = 1000000;
	struct gstk__fd *f;
	int err = gstk__fd_begin(fd, &f);

	if (err)
		return err;
	for (;;) {
		int r = (int)RETRY(fd, f, GSTK__FD_READ, GSTK__WAIT_FD_READ, deadline_ns,
				   present_address(addr, len), accept4(fd, addr, len, SOCK_NONBLOCK | SOCK_CLOEXEC));

		if (r >= 0) {
			gstk__fd_adopt(r, f->flags & GSTK__FD_STREAM);
			return r;
		}
		if (r == -ECONNABORTED || r == -EPROTO)
			continue;
		if (r != -EMFILE && r != -ENFILE && r != -ENOBUFS && r != -ENOMEM)
			return r;
		if (!atomic_exchange(&reported, true))
			fprintf(stderr, "greenstk: accept: %s; new connections wait until descriptors or memory are "
				"free (ulimit -n, fs.file-max)\n", r == -EMFILE ? "too many open files" :
				r == -ENFILE ? "file table full" : "out of memory");
		err = gstk__sleep_until(gstk__now_ns() + delay_ns, deadline_ns, GSTK__WAIT_ACCEPT_BACKOFF);
		if (err == -ENOMEM)
			gstk__yield();
		else if (err)
			return err;
		delay_ns = delay_ns * 2 < 100000000 ? delay_ns * 2 : 100000000;
	}
}

int gstk_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return gstk_accept_until(fd, addr, len, GSTK_NEVER);
}

int gstk_close(int fd)
{
	int err;

	gstk__fd_closing(fd);
	GSTK__INJECT(close);
	/* A signal that broke it off comes too late: the number is free, and who tried again would close another's. */
	err = close(fd) && errno != EINTR ? -net_errno() : 0;
	gstk__fd_closed(fd);
	return err;
}
