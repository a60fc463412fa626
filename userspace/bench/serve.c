// SPDX-License-Identifier: MIT
/*
 * Our echo server: a task a connection, plain blocking calls. "echo" reads straight into a buffer
 * of its stack. "idle" waits in a shallow frame first, so that a connection that says nothing
 * holds no buffer; peers' servers for the same case hold none either.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <greenstk.h>

#include "bench.h"
#include "echo.h"

enum { BUFFER = 2048 };

static void *talk(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[BUFFER];
	ssize_t n;

	while ((n = gstk_read(fd, buf, sizeof(buf))) > 0)
		if (gstk_write_all(fd, buf, (size_t)n))
			break;
	gstk_close(fd);
	return NULL;
}

static BENCH_NOINLINE bool answer(int fd)
{
	char buf[BUFFER];
	ssize_t n = gstk_read(fd, buf, sizeof(buf));

	return n > 0 && !gstk_write_all(fd, buf, (size_t)n);
}

static void *talk_seldom(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (gstk_poll(fd, POLLIN, GSTK_NEVER) > 0 && answer(fd))
		;
	gstk_close(fd);
	return NULL;
}

static void *serve_main(void *arg)
{
	gstk_fn talker = strcmp(arg, "idle") ? talk : talk_seldom;
	int fd = gstk_listen("127.0.0.1:0", 0), on = 1;
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (fd < 0)
		bench_fail("gstk_listen: %s", strerror(-fd));
	bench_check(!getsockname(fd, (struct sockaddr *)&addr, &len));
	printf("listening %u\n", ntohs(addr.sin_port));
	fflush(stdout);
	for (;;) {
		int c = gstk_accept(fd, NULL, NULL);

		if (c < 0)
			bench_fail("gstk_accept: %s", strerror(-c));
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		bench_check(!gstk_go(talker, (void *)(intptr_t)c));
	}
}

int echo_serve(const char *style)
{
	bench_main(serve_main, (void *)style, NULL);
	return 1;
}
