// SPDX-License-Identifier: MIT
/*
 * An echo server: what blocking style looks like. One task a connection. A task that waits costs
 * the stack it uses, so the buffer is in echo_some(), not in the frame that waits.
 *
 *	echo [ADDR]		default 127.0.0.1:7777
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <greenstk.h>

static __attribute__((noinline)) bool echo_some(int fd)
{
	char buf[4096];
	ssize_t n = gstk_read(fd, buf, sizeof(buf));

	return n > 0 && gstk_write_all(fd, buf, (size_t)n) == 0;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (gstk_poll(fd, POLLIN, GSTK_NEVER) > 0 && echo_some(fd))
		;
	gstk_close(fd);
	return NULL;
}

static void *listen_main(void *arg)
{
	int listener = gstk_listen(arg, 0), fd;

	if (listener < 0) {
		fprintf(stderr, "echo: %s: %s\n", (const char *)arg, strerror(-listener));
		return (void *)1;
	}
	printf("echo: listening on %s\n", (const char *)arg);
	fflush(stdout);
	while ((fd = gstk_accept(listener, NULL, NULL)) != -ECANCELED)
		if (fd >= 0 && gstk_go(serve, (void *)(intptr_t)fd))
			gstk_close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	void *failed = NULL;
	int err = gstk_main(listen_main, argc > 1 ? argv[1] : "127.0.0.1:7777", &failed, NULL);

	if (err)
		fprintf(stderr, "echo: %s\n", strerror(-err));
	return err || failed;
}
