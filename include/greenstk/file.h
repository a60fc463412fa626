// SPDX-License-Identifier: MIT
/*
 * Regular files and disks, in blocking style: they are always "ready", and yet a call may wait for the disk. Here
 * the task waits, and the worker runs others: with io_uring where it is permitted and pays (reads, and
 * anything else when many are under way), else on a thread of the pool of gstk_blocking() (gstk_config.files; gstk-info
 * says which, and why). What the page cache has is read at once.
 *
 * They return what the system call of that name returns, with -errno for errors. Buffers, vectors and names may lie
 * on the caller's stack: where that may be moved away they are copied. A cancelled task, or one whose own deadline has
 * passed, is refused at once (-ECANCELED, -ETIMEDOUT). When that comes while an operation is under way, the kernel is
 * asked to stop it, and its answer is waited for (a thread's end as well): what was done after all is a success. On a
 * thread that runs no task they are the system calls.
 */
#ifndef GREENSTK_FILE_H
#define GREENSTK_FILE_H

#include <greenstk/base.h>
#include <sys/uio.h>

GSTK_BEGIN_DECLS

/** As openat(2). Of a FIFO, too: it waits for the other side. */
GSTK_API int gstk_file_open(int dir, const char *path, int flags, mode_t mode);

/**
 * As pread(2), pwrite(2), preadv(2), pwritev(2); @at is where in the file, or -1: at its current position, which
 * moves on. -EINVAL for any other negative @at.
 */
GSTK_API ssize_t gstk_file_read(int fd, void *buf, size_t len, int64_t at);
GSTK_API ssize_t gstk_file_write(int fd, const void *buf, size_t len, int64_t at);
GSTK_API ssize_t gstk_file_readv(int fd, const struct iovec *iov, int nr, int64_t at);
GSTK_API ssize_t gstk_file_writev(int fd, const struct iovec *iov, int nr, int64_t at);

/** As fsync(2), or fdatasync(2) when @data_only. */
GSTK_API int gstk_file_sync(int fd, bool data_only);

GSTK_END_DECLS
#endif
