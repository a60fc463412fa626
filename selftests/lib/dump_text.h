// SPDX-License-Identifier: MIT
/* A dump of all tasks, to be looked into. */
#ifndef DUMP_TEXT_H
#define DUMP_TEXT_H

#include <fcntl.h>
#include <unistd.h>
#include "wait_test.h"

static char text[8 << 20];

/* The dump, into text. By way of a file: a pipe would fill up. */
static inline void dump(bool backtraces)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	ssize_t n;

	CHECK(fd >= 0);
	CHECK_EQ(gstk_dump(fd, backtraces), 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	text[n] = 0;
	close(fd);
}

#endif
