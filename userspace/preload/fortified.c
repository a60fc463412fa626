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
