// SPDX-License-Identifier: MIT
/* What -D_FORTIFY_SOURCE makes of the calls: the original where the check fails (it aborts), else ours. */
#undef _FORTIFY_SOURCE
#include "preload.h"

EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	return len > room ? real(__read_chk)(fd, buf, len, room) : read(fd, buf, len);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
	return len > room ? real(__recv_chk)(fd, buf, len, room, flags) : recv(fd, buf, len, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, __SOCKADDR_ARG addr,
			      socklen_t *alen)
{
	return len > room ? real(__recvfrom_chk)(fd, buf, len, room, flags, addr, alen)
			  : recvfrom(fd, buf, len, flags, addr, alen);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t nr, int timeout, size_t room)
{
	return nr > room / sizeof(*fds) ? real(__poll_chk)(fds, nr, timeout, room) : poll(fds, nr, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t nr, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
	return nr > room / sizeof(*fds) ? real(__ppoll_chk)(fds, nr, timeout, mask, room) : ppoll(fds, nr, timeout, mask);
}

EXPORT ssize_t __pread_chk(int fd, void *buf, size_t len, off_t at, size_t room)
{
	return len > room ? real(__pread_chk)(fd, buf, len, at, room) : pread(fd, buf, len, at);
}

EXPORT ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t room)
{
	return len > room ? real(__pread64_chk)(fd, buf, len, at, room) : pread64(fd, buf, len, at);
}

/* Flags that want a mode, and there is none: libc's check is the only thing that these add. */
#define NEEDS_MODE(flags) ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE)

EXPORT int __open_2(const char *path, int flags)
{
	return NEEDS_MODE(flags) ? real(__open_2)(path, flags) : open(path, flags);
}

EXPORT int __open64_2(const char *path, int flags)
{
	return NEEDS_MODE(flags) ? real(__open64_2)(path, flags) : open64(path, flags);
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
	return NEEDS_MODE(flags) ? real(__openat_2)(dir, path, flags) : openat(dir, path, flags);
}

EXPORT int __openat64_2(int dir, const char *path, int flags)
{
	return NEEDS_MODE(flags) ? real(__openat64_2)(dir, path, flags) : openat64(dir, path, flags);
}
