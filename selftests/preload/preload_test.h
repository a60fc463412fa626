// SPDX-License-Identifier: MIT
/* For the tests of the interposed libc; the programs are run with it preloaded, or linked with it. */
#ifndef PRELOAD_TEST_H
#define PRELOAD_TEST_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../lib/wait_test.h"

/* For a server of the test: nobody listens there now. */
static inline int free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_EQ(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return ntohs(in.sin_port);
}

/* @nr tasks at a time, their numbers as argument. */
static inline void all_of(int nr, gstk_fn fn)
{
	gstk_task **t = malloc((size_t)nr * sizeof(*t));

	for (int i = 0; i < nr; i++)
		t[i] = start(fn, (void *)(long)i);
	for (int i = 0; i < nr; i++)
		finish(t[i]);
	free(t);
}

/* Until another task has got somewhere. */
static inline void wait_for_flag(_Atomic int *flag)
{
	while (!atomic_exchange(flag, 0))
		gstk_sleep(MS);
}

#endif
