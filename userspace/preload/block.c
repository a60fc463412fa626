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

static void transfer(struct preload_call *c)
{
	const struct iovec *iov = c->a[1].p;
	int fd = (int)c->a[0].n, nr = (int)c->a[2].n;

	if (c->a[4].n)
		c->ret = c->a[3].n < 0 ? real(writev)(fd, iov, nr) : real(pwritev)(fd, iov, nr, c->a[3].n);
	else
		c->ret = c->a[3].n < 0 ? real(readv)(fd, iov, nr) : real(preadv)(fd, iov, nr, c->a[3].n);
}

static ssize_t transfer_there(int fd, const struct iovec *iov, int nr, int64_t at, bool write)
{
	struct preload_call c = { .fn = transfer };

	c.a[0].n = fd;
	c.a[1].p = iov;
	c.a[2].n = nr;
	c.a[3].n = at;
	c.a[4].n = write;
	return preload_block(&c) ? -1 : c.ret;
}

static bool any_movable(const struct iovec *iov, int nr)
{
	bool any = gstk_movable(iov);

	for (int i = 0; i < nr; i++)
		any |= gstk_movable(iov[i].iov_base);
	return any;
}

ssize_t preload_file(int fd, const struct iovec *iov, int nr, int64_t at, bool write)
{
	size_t bytes = 0, done = 0;
	struct iovec *one;
	ssize_t n;

	if (!any_movable(iov, nr))
		return transfer_there(fd, iov, nr, at, write);
	for (int i = 0; i < nr; i++)
		bytes += iov[i].iov_len;
	one = malloc(sizeof(*one) + bytes);
	if (!one)
		return preload_fail(ENOMEM);
	*one = (struct iovec){ one + 1, bytes };
	for (int i = 0; write && i < nr; done += iov[i++].iov_len)
		memcpy((char *)one->iov_base + done, iov[i].iov_base, iov[i].iov_len);
	n = transfer_there(fd, one, 1, at, write);
	for (int i = 0; !write && i < nr && (ssize_t)done < n; done += iov[i++].iov_len)
		memcpy(iov[i].iov_base, (char *)one->iov_base + done,
		       (size_t)n - done < iov[i].iov_len ? (size_t)n - done : iov[i].iov_len);
	free(one);
	return n;
}
