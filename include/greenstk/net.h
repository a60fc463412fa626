// SPDX-License-Identifier: MIT
/*
 * Blocking-style calls on file descriptors (sockets, pipes, eventfds): they park the task until the
 * descriptor is ready. They return what the system call of that name returns, with -errno for
 * errors, also -ECANCELED and -ETIMEDOUT, and -ESRCH without a runtime. No socket raises SIGPIPE; a pipe does, as with write(2).
 * A cancelled task is refused at once, also where it would not have to wait. Descriptors are made non-blocking when first used here.
 * Buffers may lie on the caller's stack: nobody touches them while the task is parked.
 */
#ifndef GREENSTK_NET_H
#define GREENSTK_NET_H

#include <greenstk/base.h>
#include <sys/socket.h>
#include <sys/uio.h>

GSTK_BEGIN_DECLS

/** As socket(2), non-blocking and close-on-exec. */
GSTK_API int gstk_socket(int domain, int type, int protocol);
/** Connect to @addr; parks until it is established. */
GSTK_API int gstk_connect(int fd, const struct sockaddr *addr, socklen_t len);
GSTK_API int gstk_connect_until(int fd, const struct sockaddr *addr, socklen_t len, uint64_t deadline_ns);
/**
 * Accept one connection; the new descriptor is non-blocking and close-on-exec. Under EMFILE,
 * ENFILE and ENOMEM it parks with a growing delay (at most 100 ms a step, reported once on stderr)
 * until one can be had: the listener never spins and never loses its place.
 */
GSTK_API int gstk_accept(int fd, struct sockaddr *addr, socklen_t *len);
GSTK_API int gstk_accept_until(int fd, struct sockaddr *addr, socklen_t *len, uint64_t deadline_ns);

/**
 * As read(2) and write(2): one transfer, which may be short; read returns 0 at the end. Parks until ready. After a short
 * read of a TCP stream the next one waits for an event before it tries; where the kernel does TLS, reads end with its
 * records, and what is behind them is no event: receive there by gstk_recvmsg().
 */
GSTK_API ssize_t gstk_read(int fd, void *buf, size_t len);
GSTK_API ssize_t gstk_read_until(int fd, void *buf, size_t len, uint64_t deadline_ns);
GSTK_API ssize_t gstk_write(int fd, const void *buf, size_t len);
GSTK_API ssize_t gstk_write_until(int fd, const void *buf, size_t len, uint64_t deadline_ns);
/** Write all of it, or fail; a partial count is lost with the error. */
GSTK_API int gstk_write_all(int fd, const void *buf, size_t len);
GSTK_API int gstk_write_all_until(int fd, const void *buf, size_t len, uint64_t deadline_ns);
/**
 * As the system calls of these names, datagrams with their addresses and control data included. Parks
 * until ready, until @deadline_ns at most. With MSG_DONTWAIT, and those that receive with MSG_ERRQUEUE, never parks:
 * -EAGAIN then. MSG_WAITALL has no effect: one transfer, which may be short.
 */
GSTK_API ssize_t gstk_readv(int fd, const struct iovec *iov, int nr);
GSTK_API ssize_t gstk_readv_until(int fd, const struct iovec *iov, int nr, uint64_t deadline_ns);
GSTK_API ssize_t gstk_writev(int fd, const struct iovec *iov, int nr);
GSTK_API ssize_t gstk_writev_until(int fd, const struct iovec *iov, int nr, uint64_t deadline_ns);
GSTK_API ssize_t gstk_recv(int fd, void *buf, size_t len, int flags);
GSTK_API ssize_t gstk_recv_until(int fd, void *buf, size_t len, int flags, uint64_t deadline_ns);
GSTK_API ssize_t gstk_send(int fd, const void *buf, size_t len, int flags);
GSTK_API ssize_t gstk_send_until(int fd, const void *buf, size_t len, int flags, uint64_t deadline_ns);
GSTK_API ssize_t gstk_recvmsg(int fd, struct msghdr *msg, int flags);
GSTK_API ssize_t gstk_recvmsg_until(int fd, struct msghdr *msg, int flags, uint64_t deadline_ns);
GSTK_API ssize_t gstk_sendmsg(int fd, const struct msghdr *msg, int flags);
GSTK_API ssize_t gstk_sendmsg_until(int fd, const struct msghdr *msg, int flags, uint64_t deadline_ns);

/**
 * Park until one of @events (POLLIN, POLLOUT, POLLPRI, POLLRDHUP) is there. Returns the events
 * that are (with POLLERR and POLLHUP), or -ETIMEDOUT, -ECANCELED, -EBADF. Another who reads the same descriptor may be
 * faster, and what the caller has read already may be told once more: read without blocking, or by this library, and come
 * back. Costs no system call of its own where a TCP stream was last read by gstk_read() or gstk_recv()
 * and had no more; else one.
 */
GSTK_API int gstk_poll(int fd, short events, uint64_t deadline_ns);

/**
 * The same for a descriptor that somebody else owns: it is left as it is, blocking or not, and may have
 * been closed and its number given to another since it was last waited for. Costs one more system call.
 * Parks until one of @events may be there: try then, and come back. Returns 0, -EPERM for what is always
 * ready (a regular file), else as gstk_poll().
 */
GSTK_API int gstk_poll_foreign(int fd, short events, uint64_t deadline_ns);

/**
 * Close a descriptor that was used here. Tasks parked on it, or about to, get -EBADF. One that was closed with plain
 * close(2) is noticed when a call of this library gives its number out again, but not when somebody else
 * opens it: a descriptor of another's that is blocking could then block a worker. Never -EINTR: the descriptor is
 * gone then, too. Returns 0 or what close(2) says, -EIO say.
 */
GSTK_API int gstk_close(int fd);

/**
 * A listening socket in one call: "127.0.0.1:6379", "[::1]:80", "unix:/run/x". @backlog 0 means
 * SOMAXCONN. Returns the descriptor. -EINVAL, with a line on stderr, for what is no such address.
 */
GSTK_API int gstk_listen(const char *addr, int backlog);
/** A connected stream in one call, same addresses (no name resolution) and errors. Parks. */
GSTK_API int gstk_dial(const char *addr, uint64_t deadline_ns);

GSTK_END_DECLS
#endif
