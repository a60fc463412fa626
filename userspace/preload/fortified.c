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
