// SPDX-License-Identifier: MIT
/* Files: what the page cache has is read at once, the rest on another thread. */
#include "block.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

static ssize_t read_at(int fd, const struct iovec *iov, int nr, int64_t at)
{
	size_t want = 0;
	ssize_t n = preadv2(fd, iov, nr, at, RWF_NOWAIT), more;

	for (int i = 0; i < nr; i++)
		want += iov[i].iov_len;
	if (n == 0 || n == (ssize_t)want ||
	    (n < 0 && preload_errno() != EAGAIN && preload_errno() != EOPNOTSUPP && preload_errno() != ENOSYS))
		return n;
	if (n < 0)
		return preload_file(fd, iov, nr, at, false);
	if (nr > 1)
		return n; /* the application asks for the rest, as after any short read */
	more = preload_file(fd, &(struct iovec){ (char *)iov->iov_base + n, iov->iov_len - (size_t)n }, 1, at + n, false);
	return more > 0 ? n + more : n;
}

EXPORT ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	if (!IS_GREEN() || at < 0)
		return real(pread)(fd, buf, len, at);
	return read_at(fd, &(struct iovec){ buf, len }, 1, at);
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (!IS_GREEN() || at < 0)
		return real(pwrite)(fd, buf, len, at);
	return preload_file(fd, &(struct iovec){ (void *)buf, len }, 1, at, true);
}

EXPORT ssize_t preadv(int fd, const struct iovec *iov, int nr, off_t at)
{
	if (!IS_GREEN() || at < 0 || nr <= 0 || nr > IOV_MAX)
		return real(preadv)(fd, iov, nr, at);
	return read_at(fd, iov, nr, at);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t at)
{
	if (!IS_GREEN() || at < 0 || nr <= 0 || nr > IOV_MAX)
		return real(pwritev)(fd, iov, nr, at);
	return preload_file(fd, iov, nr, at, true);
}

static void sync_it(struct preload_call *c)
{
	c->ret = c->a[1].n ? real(fdatasync)((int)c->a[0].n) : real(fsync)((int)c->a[0].n);
}

static int sync_there(int fd, bool data)
{
	struct preload_call c = { .fn = sync_it };

	c.a[0].n = fd;
	c.a[1].n = data;
	return preload_block(&c) ? -1 : (int)c.ret;
}

EXPORT int fsync(int fd)
{
	return IS_GREEN() ? sync_there(fd, false) : real(fsync)(fd);
}

EXPORT int fdatasync(int fd)
{
	return IS_GREEN() ? sync_there(fd, true) : real(fdatasync)(fd);
}

static void open_it(struct preload_call *c)
{
	c->ret = real(openat)((int)c->a[0].n, c->a[1].p, (int)c->a[2].n, (mode_t)c->a[3].n);
}

static int open_there(int dir, const char *path, int flags, mode_t mode)
{
	struct preload_call c = { .fn = open_it };
	const void *name = path;
	int fd;

	if (preload_lend(&name, path ? strlen(path) + 1 : 0))
		return -1;
	c.a[0].n = dir;
	c.a[1].p = name;
	c.a[2].n = flags;
	c.a[3].n = mode;
	fd = preload_block(&c) ? -1 : (int)c.ret;
	preload_take_back(name, path);
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return IS_GREEN() ? open_there(AT_FDCWD, path, flags, mode) : real(open)(path, flags, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return IS_GREEN() ? open_there(dir, path, flags, mode) : real(openat)(dir, path, flags, mode);
}

EXPORT int creat(const char *path, mode_t mode)
{
	return IS_GREEN() ? open_there(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode) : real(creat)(path, mode);
}

#if __WORDSIZE == 64 /* offsets have one size */
#define SAME(name, as) EXPORT __typeof__(as) name __attribute__((alias(#as)))
SAME(pread64, pread);
SAME(pwrite64, pwrite);
SAME(preadv64, preadv);
SAME(pwritev64, pwritev);
SAME(open64, open);
SAME(openat64, openat);
SAME(creat64, creat);
#endif
