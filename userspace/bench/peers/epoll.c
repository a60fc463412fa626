// SPDX-License-Identifier: MIT
/* Raw epoll: the loop that a runtime's echo server is measured against. One shared buffer. */
#include <errno.h>
#include <sys/epoll.h>

#include "peer.h"

static char buf[65536];

/* Short reads mean drained; a short write would need a queue, and a 64-byte answer has none. */
static int serve_ready(int fd)
{
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n > 0 && write(fd, buf, (size_t)n) == n ? 0 : -1;
}

static void serve_echo(void)
{
	int lfd = peer_listen(), ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = lfd }, evs[256];

	peer_check(ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev));
	for (;;) {
		int n = epoll_wait(ep, evs, 256, -1);

		for (int i = 0; i < n; i++) {
			int fd = evs[i].data.fd;

			if (fd != lfd) {
				if (serve_ready(fd))
					close(fd);
				continue;
			}
			fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (fd < 0)
				continue;
			peer_nodelay(fd);
			ev.events = EPOLLIN | EPOLLET | EPOLLRDHUP;
			ev.data.fd = fd;
			peer_check(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
		}
	}
}

int main(int argc, char **argv)
{
	return peer_main(argc, argv, NULL, serve_echo);
}
