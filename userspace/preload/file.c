// SPDX-License-Identifier: MIT
/* Files: what they wait for is the runtime's matter (greenstk/file.h). */
#include "preload.h"

#include <limits.h>
#include <stdarg.h>

static ssize_t told(ssize_t r)
{
	return r < 0 ? preload_fail((int)-r) : r;
}

ssize_t preload_file(int fd, const struct iovec *iov, int nr, int64_t at, bool write)
{
	if (nr == 1)
		return told(write ? gstk_file_write(fd, iov->iov_base, iov->iov_len, at)
				  : gstk_file_read(fd, iov->iov_base, iov->iov_len, at));
	return told(write ? gstk_file_writev(fd, iov, nr, at) : gstk_file_readv(fd, iov, nr, at));
}

EXPORT ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	if (!IS_GREEN() || at < 0)
		return real(pread)(fd, buf, len, at);
	return told(gstk_file_read(fd, buf, len, at));
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (!IS_GREEN() || at < 0)
		return real(pwrite)(fd, buf, len, at);
	return told(gstk_file_write(fd, buf, len, at));
}

EXPORT ssize_t preadv(int fd, const struct iovec *iov, int nr, off_t at)
{
	if (!IS_GREEN() || at < 0 || nr <= 0 || nr > IOV_MAX)
		return real(preadv)(fd, iov, nr, at);
	return told(gstk_file_readv(fd, iov, nr, at));
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t at)
{
	if (!IS_GREEN() || at < 0 || nr <= 0 || nr > IOV_MAX)
		return real(pwritev)(fd, iov, nr, at);
	return told(gstk_file_writev(fd, iov, nr, at));
}

EXPORT int fsync(int fd)
{
	return IS_GREEN() ? (int)told(gstk_file_sync(fd, false)) : real(fsync)(fd);
}

EXPORT int fdatasync(int fd)
{
	return IS_GREEN() ? (int)told(gstk_file_sync(fd, true)) : real(fdatasync)(fd);
}

static int open_there(int dir, const char *path, int flags, mode_t mode)
{
	return (int)told(gstk_file_open(dir, path, flags, mode));
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
