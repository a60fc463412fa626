// SPDX-License-Identifier: MIT
#include "block.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void *run(void *arg)
{
	struct preload_call *c = arg;

	c->fn(c);
	c->err = errno; /* a thread of the pool: nothing parks here */
	return NULL;
}

int preload_block(struct preload_call *c)
{
	int err = gstk_blocking_copy(run, c, sizeof(*c), NULL);

	preload_fail(err ? -err : c->err);
	return err ? -1 : 0;
}

int preload_lend(const void **p, size_t bytes)
{
	void *copy;

	if (!*p)
		return 0;
	copy = malloc(bytes ? bytes : 1);
	if (!copy)
		return preload_fail(ENOMEM);
	memcpy(copy, *p, bytes);
	*p = copy;
	return 0;
}

void preload_take_back(const void *p, const void *was)
{
	if (p != was)
		free((void *)p);
}

bool preload_is_file(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode));
}
