// SPDX-License-Identifier: MIT
/*
 * A web server in a child process, for clients that are measured or tested: one thread, epoll, an answer of
 * one size, after a delay that is the same for all ("GET /300" waits 300 ms). Connections are kept.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HTTP_BODY 4096

struct http_server {
	pid_t pid;
	int port;
};

/* Asked by a client, not answered yet: in the order of time, as long as the delay stays the same. */
struct http_owed {
	int fd;
	uint64_t at_ms;
};

static inline uint64_t http_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void http_answer(int fd)
{
	static char text[HTTP_BODY + 200];
	static int len;

	if (!len) {
		len = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", HTTP_BODY);
		memset(text + len, 'x', HTTP_BODY);
		len += HTTP_BODY;
	}
	if (send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) != len)
		shutdown(fd, SHUT_RDWR);
}

/* A request is small and comes whole. False: the client is gone. */
static inline bool http_ask(int fd, struct http_owed *owed)
{
	char text[4000];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	text[n] = 0;
	*owed = (struct http_owed){ fd, http_now_ms() + (strncmp(text, "GET /", 5) ? 0 : strtoul(text + 5, NULL, 10)) };
	return true;
}

static inline void http_serve(int listener)
{
	enum { MANY = 1 << 16 };
	static struct http_owed owed[MANY];
	static struct epoll_event ev[256];
	uint64_t first = 0, last = 0;
	int ep = epoll_create1(0), n, fd;

	ev[0] = (struct epoll_event){ .events = EPOLLIN, .data.fd = listener };
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev[0]);
	for (;;) {
		uint64_t now = http_now_ms();

		for (; first < last && owed[first % MANY].at_ms <= now; first++)
			http_answer(owed[first % MANY].fd);
		n = epoll_wait(ep, ev, 256, first < last ? (int)(owed[first % MANY].at_ms - now) : -1);
		for (int i = 0; i < n; i++) {
			struct epoll_event in = { .events = EPOLLIN };

			if (ev[i].data.fd == listener) {
				while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					in.data.fd = fd;
					epoll_ctl(ep, EPOLL_CTL_ADD, fd, &in);
				}
			} else if (http_ask(ev[i].data.fd, &owed[last % MANY])) {
				last++;
			} else {
				close(ev[i].data.fd);
			}
		}
	}
}

/* 0, or -1 with errno. It dies with the thread that started it. */
static inline int http_server_start(struct http_server *s)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(in);
	struct rlimit rl;

	if (!getrlimit(RLIMIT_NOFILE, &rl)) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) || getsockname(fd, (struct sockaddr *)&in, &len) ||
	    listen(fd, 4096))
		return -1;
	s->port = ntohs(in.sin_port);
	s->pid = fork();
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		http_serve(fd);
	}
	close(fd);
	return s->pid < 0 ? -1 : 0;
}

static inline void http_server_stop(struct http_server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

#endif
