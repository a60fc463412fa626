// SPDX-License-Identifier: MIT
/* Connections: made, accepted, closed. */
#include "preload.h"

static int finish_connect(int fd, struct preload_try *t)
{
	socklen_t len = sizeof(int);
	int err;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (real(poll)(&p, 1, 0) > 0)
			break;
		t->vain = 0;
		if (preload_wait(fd, POLLOUT, SO_SNDTIMEO, t))
			return preload_errno() == EAGAIN ? preload_fail(EINPROGRESS) : -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -1;
	return err ? preload_fail(err) : 0;
}

/* Only the system call itself sees the socket non-blocking: it is back to what it was before anybody waits. */
EXPORT int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	struct preload_try t = { 0 };
	int fl, r, err;

	if (!IS_GREEN())
		return real(connect)(fd, addr, len);
	fl = real(fcntl)(fd, F_GETFL);
	if (fl < 0 || (fl & O_NONBLOCK))
		return real(connect)(fd, addr, len);
	for (;;) {
		if (real(fcntl)(fd, F_SETFL, fl | O_NONBLOCK))
			return -1;
		r = real(connect)(fd, addr, len);
		err = r ? preload_errno() : 0;
		if (real(fcntl)(fd, F_SETFL, fl))
			return -1;
		if (err == EINPROGRESS || err == EALREADY || err == EINTR)
			return finish_connect(fd, &t);
		if (err != EAGAIN) /* a Unix listener with a full backlog, for which nothing tells */
			return err ? preload_fail(err) : 0;
		t.vain = 3;
		if (preload_wait(fd, POLLOUT, SO_SNDTIMEO, &t))
			return -1;
	}
}

/* Tasks that accept on one listener look and take one at a time: none is left waiting in the kernel. */
static _Atomic uint32_t accepting[64];

static int accept_now(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
	_Atomic uint32_t *lock = &accepting[(unsigned int)fd % 64];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r, err = 0;

	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	if (real(poll)(&p, 1, 0) == 0) {
		r = -1;
		err = EAGAIN;
	} else {
		r = real(accept4)(fd, addr, len, flags);
		err = r < 0 ? preload_errno() : 0;
	}
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	return r < 0 ? preload_fail(err) : r;
}

static int accept_green(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
	struct preload_try t = { 0 };
	int r;

	for (;;) {
		r = accept_now(fd, addr, len, flags);
		if (r >= 0 || preload_errno() != EAGAIN)
			return r;
		t.vain = 0;
		if (preload_wait(fd, POLLIN, SO_RCVTIMEO, &t))
			return -1;
	}
}

EXPORT int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
	return IS_GREEN() ? accept_green(fd, addr, len, flags) : real(accept4)(fd, addr, len, flags);
}

EXPORT int accept(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	return IS_GREEN() ? accept_green(fd, addr, len, 0) : real(accept)(fd, addr, len);
}

/* gstk_close() ends in close() again, in ours where the runtime is linked statically. */
static __thread bool closing __attribute__((tls_model("initial-exec")));

static NOINLINE bool *closing_here(void)
{
	return &closing;
}

/*
 * From tasks and threads: whoever is parked on it must learn of it, and the runtime, that the number is free.
 * Not in the child of a vfork(), which has our memory but descriptors of its own.
 */
EXPORT int close(int fd)
{
	int err;

	if (*closing_here() || !preload_is_green(__builtin_return_address(0)) || !preload_owns_memory())
		return real(close)(fd);
	*closing_here() = true;
	err = gstk_close(fd); /* never parks */
	*closing_here() = false;
	return err ? preload_fail(-err) : 0;
}
