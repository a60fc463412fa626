// SPDX-License-Identifier: MIT
/*
 * Calls on files: at once what the page cache has, the rest by the ring, or where that cannot do it as the plain call
 * would, on a thread of the pool. Which is when: Documentation/rejected.d/files.rst.
 */
#include <greenstk/file.h>

#include <errno.h>
#include <fcntl.h>
#include <greenstk/call.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "wait/files.h"
#include "wait/waitq.h"
#include "window/present.h"

#define MOST_BYTES 0x7ffff000u /* of one transfer, as in the kernel */
#define DISK_UNIT  512u	       /* what O_DIRECT transfers are multiples of */
#define MOST_STOPS 1000	       /* of the process, during one operation */

struct call {
	long (*fn)(struct call *c); /* the plain call */
	const void *p;		    /* buffer, vectors, name */
	size_t len;		    /* of a buffer */
	int64_t at;
	int fd, nr;		    /* @nr vectors; 0: a buffer */
	int flags;
	mode_t mode;
	long ret;
};

static __attribute__((noinline)) int file_errno(void)
{
	return errno;
}

/* ---- on a thread of the pool, or one that runs no task ---- */

static long plain_open(struct call *c)
{
	return openat(c->fd, c->p, c->flags, c->mode);
}

static long plain_read(struct call *c)
{
	if (!c->nr)
		return c->at < 0 ? read(c->fd, (void *)c->p, c->len) : pread(c->fd, (void *)c->p, c->len, c->at);
	return c->at < 0 ? readv(c->fd, c->p, c->nr) : preadv(c->fd, c->p, c->nr, c->at);
}

static long plain_write(struct call *c)
{
	if (!c->nr)
		return c->at < 0 ? write(c->fd, c->p, c->len) : pwrite(c->fd, c->p, c->len, c->at);
	return c->at < 0 ? writev(c->fd, c->p, c->nr) : pwritev(c->fd, c->p, c->nr, c->at);
}

static long plain_sync(struct call *c)
{
	return c->flags ? fdatasync(c->fd) : fsync(c->fd);
}

static void *run(void *arg)
{
	struct call *c = arg;

	c->ret = c->fn(c);
	if (c->ret < 0)
		c->ret = -errno;
	return NULL;
}

static int64_t by_thread(struct call *c)
{
	int err;

	if (gstk__current_task())
		gstk__files_count_pool();
	err = gstk_blocking_copy(run, c, sizeof(*c), NULL);
	return err ? err : c->ret;
}

/* A name is taken at once, as the kernel does: it may lie in what the next task of this worker uses, too. */
static int64_t open_by_thread(struct call *c)
{
	const char *name = c->p;
	int64_t r;

	c->p = strdup(name);
	if (!c->p)
		return -ENOMEM;
	r = by_thread(c);
	free((void *)c->p);
	c->p = name;
	return r;
}

/* ---- by the ring ---- */

static struct io_uring_sqe entry(const struct call *c)
{
	struct io_uring_sqe e = { .fd = c->fd, .addr = (uintptr_t)c->p, .off = (uint64_t)c->at };

	if (c->fn == plain_open) {
		e.opcode = IORING_OP_OPENAT;
		e.flags = IOSQE_ASYNC; /* else it tries with O_NONBLOCK, which a FIFO takes at its word */
		e.off = 0;
		e.len = c->mode;
		e.open_flags = (uint32_t)c->flags;
	} else if (c->fn == plain_sync) {
		e.opcode = IORING_OP_FSYNC;
		e.addr = e.off = 0;
		e.fsync_flags = c->flags ? IORING_FSYNC_DATASYNC : 0;
	} else if (c->nr) {
		e.opcode = c->fn == plain_read ? IORING_OP_READV : IORING_OP_WRITEV;
		e.len = (uint32_t)c->nr;
	} else {
		e.opcode = c->fn == plain_read ? IORING_OP_READ : IORING_OP_WRITE;
		e.len = c->len < MOST_BYTES ? (uint32_t)c->len : MOST_BYTES;
	}
	return e;
}

/* The current position is the plain calls': io_uring does not take its lock. */
static bool ring_may(const struct call *c, uint32_t others)
{
	if ((c->fn == plain_read || c->fn == plain_write) && (c->at < 0 || (ssize_t)c->len < 0))
		return false;
	return c->fn == plain_read ? gstk__files_ring() : gstk__files_ring_pays(others);
}

/* The caller has seen to it that what @c names stays where it is. */
static int64_t wait_for(struct call *c)
{
	bool done = false;
	int64_t r;

	if (ring_may(c, gstk__files_begin())) {
		struct io_uring_sqe e = entry(c);
		int stops = 0;

		/* EINTR: the process was stopped, and goes on. Not for ever: a file system may say so as well. */
		do
			done = gstk__files_do(&e, &r);
		while (done && r == -EINTR && stops++ < MOST_STOPS);
		/* What the plain call would say, too? */
		done = done && r != -EAGAIN && r != -EOPNOTSUPP && r != -EINTR &&
		       (r != -ECANCELED || gstk__may_go_on());
	}
	if (!done)
		r = c->fn == plain_open ? open_by_thread(c) : by_thread(c);
	gstk__files_end();
	return r;
}

/* ---- what may be moved away is copied ---- */

static bool any_movable(const struct call *c)
{
	const struct iovec *iov = c->p;
	bool any = gstk__in_shared_window(c->p);

	for (int i = 0; i < c->nr; i++)
		any |= gstk__in_shared_window(iov[i].iov_base);
	return any;
}

/* The vectors on the heap, and behind them what they name in shared windows; the rest is for the kernel to check. */
static int64_t transfer_copied(const struct call *c)
{
	const struct iovec one = { (void *)c->p, c->len }, *iov = c->nr ? c->p : &one;
	int nr = c->nr ? c->nr : 1;
	bool write = c->fn == plain_write;
	struct call copied = *c;
	size_t bytes = 0, done = 0;
	struct iovec *to;
	int64_t n;
	char *p;

	for (int i = 0; i < nr; i++)
		if (gstk__in_shared_window(iov[i].iov_base))
			bytes += iov[i].iov_len < MOST_BYTES ? iov[i].iov_len : MOST_BYTES;
	to = malloc((size_t)nr * sizeof(*to) + bytes);
	if (!to)
		return -ENOMEM;
	memcpy(to, iov, (size_t)nr * sizeof(*to));
	p = (char *)(to + nr);
	for (int i = 0; i < nr; i++) {
		if (!gstk__in_shared_window(iov[i].iov_base) || iov[i].iov_len > MOST_BYTES)
			continue; /* none is as long: an error, or a fault */
		to[i].iov_base = p;
		if (write)
			memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	copied.p = c->nr ? to : to->iov_base;
	n = wait_for(&copied);
	for (int i = 0; !write && i < nr && (int64_t)done < n; done += iov[i++].iov_len)
		if (to[i].iov_base != iov[i].iov_base)
			memcpy(iov[i].iov_base, to[i].iov_base,
			       iov[i].iov_len < (size_t)n - done ? iov[i].iov_len : (size_t)n - done);
	free(to);
	return n;
}

static int64_t transfer(struct call *c)
{
	return unlikely(any_movable(c)) ? transfer_copied(c) : wait_for(c);
}

/* A pipe or a socket has no offsets, and io_uring does not mind (ESPIPE is what the plain call says). */
static int64_t transfer_at(struct call *c)
{
	const struct iovec none = { NULL, 0 };

	/* Not the C library's, which libgreenstk-preload has replaced. */
	if (c->at >= 0 && syscall(c->fn == plain_read ? SYS_preadv : SYS_pwritev, c->fd, &none, 1, c->at, 0) < 0)
		return -file_errno();
	return transfer(c);
}

/* ---- reads that need not wait ---- */

/* Where O_DIRECT is possible, a read goes to the disk, and RWF_NOWAIT waits for it all the same. */
static bool direct(int fd, const void *buf, size_t len)
{
	int flags;

	if (((uintptr_t)buf | len) % DISK_UNIT)
		return false;
	flags = fcntl(fd, F_GETFL);
	return flags >= 0 && flags & O_DIRECT;
}

/* -EAGAIN: it has to wait. */
static int64_t read_now(int fd, const struct iovec *iov, int nr, int64_t at)
{
	ssize_t n;

	if ((ssize_t)iov->iov_len < 0 || direct(fd, iov->iov_base, iov->iov_len)) /* the plain call knows which error */
		return -EAGAIN;
	gstk__present_iov(iov, nr);
	n = preadv2(fd, iov, nr, at, RWF_NOWAIT);
	if (n >= 0) {
		gstk__did_not_wait();
		return n;
	}
	n = -file_errno();
	/* EPERM: older filters of containers answer so to calls that they do not know. */
	return n == -EOPNOTSUPP || n == -ENOSYS || n == -EPERM ? -EAGAIN : n;
}

/* ---- the calls ---- */

/* 0: in a task that may go on; 1: no task. */
static int begin(int64_t at)
{
	if (unlikely(at < -1))
		return -EINVAL;
	return gstk__current_task() ? gstk__may_go_on() : 1;
}

static int bad_vectors(const struct iovec *iov, int nr)
{
	return nr < 0 || nr > IOV_MAX ? -EINVAL : nr && !iov ? -EFAULT : 0;
}

/* After a read that was short: is the rest still to come from a disk? A pipe, a socket, a terminal has no more for now. */
static bool has_rest(int fd, int64_t at)
{
	struct stat st;

	return at >= 0 || (!fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)));
}

ssize_t gstk_file_read(int fd, void *buf, size_t len, int64_t at)
{
	struct call c = { .fn = plain_read, .fd = fd, .p = buf, .len = len, .at = at };
	int err = begin(at);
	int64_t n, done = 0;

	if (unlikely(err))
		return err < 0 ? err : by_thread(&c);
	/* Again after a short one: the cache knows where the file ends, too. */
	while ((n = read_now(fd, &(struct iovec){ (char *)buf + done, c.len }, 1, c.at)) > 0) {
		done += n;
		c.len -= (size_t)n;
		c.at += at < 0 ? 0 : n;
		if (!c.len || !has_rest(fd, at))
			return done;
	}
	if (n != -EAGAIN)
		return done ? done : n;
	c.p = (char *)buf + done;
	n = done ? transfer(&c) : transfer_at(&c);
	return done && n < 0 ? done : done + n;
}

ssize_t gstk_file_readv(int fd, const struct iovec *iov, int nr, int64_t at)
{
	struct call c = { .fn = plain_read, .fd = fd, .p = iov, .nr = nr, .at = at };
	int err = begin(at);
	int64_t n;

	if (!err)
		err = bad_vectors(iov, nr);
	if (unlikely(err || !nr))
		return err < 0 ? err : !nr ? gstk_file_read(fd, NULL, 0, at) : by_thread(&c);
	n = read_now(fd, iov, nr, at);
	return n == -EAGAIN ? transfer_at(&c) : n; /* the application asks for the rest, as after any short read */
}

ssize_t gstk_file_write(int fd, const void *buf, size_t len, int64_t at)
{
	struct call c = { .fn = plain_write, .fd = fd, .p = buf, .len = len, .at = at };
	int err = begin(at);

	if (unlikely(err))
		return err < 0 ? err : by_thread(&c);
	return transfer_at(&c);
}

ssize_t gstk_file_writev(int fd, const struct iovec *iov, int nr, int64_t at)
{
	struct call c = { .fn = plain_write, .fd = fd, .p = iov, .nr = nr, .at = at };
	int err = begin(at);

	if (!err)
		err = bad_vectors(iov, nr);
	if (unlikely(err || !nr))
		return err < 0 ? err : !nr ? gstk_file_write(fd, NULL, 0, at) : by_thread(&c);
	return transfer_at(&c);
}

int gstk_file_sync(int fd, bool data_only)
{
	struct call c = { .fn = plain_sync, .fd = fd, .flags = data_only };
	int err = begin(0);

	if (unlikely(err))
		return err < 0 ? err : (int)by_thread(&c);
	return (int)wait_for(&c);
}

int gstk_file_open(int dir, const char *path, int flags, mode_t mode)
{
	struct call c = { .fn = plain_open, .fd = dir, .p = path, .flags = flags, .mode = mode };
	int err = path ? begin(0) : -EFAULT, fd;

	if (unlikely(err))
		return err < 0 ? err : (int)by_thread(&c);
	if (gstk__in_shared_window(path)) {
		c.p = strdup(path);
		if (!c.p)
			return -ENOMEM;
	}
	fd = (int)wait_for(&c);
	if (c.p != path)
		free((void *)c.p);
	return fd;
}
