// SPDX-License-Identifier: MIT
/*
 * Failures at the two edges of the library: the arena's own injection point (no memory for an image), and the
 * ioctls of userfaultfd and the module, which the linker's --wrap leads through here.
 */
#include "torture.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include "host/uffd.h"
#include "park/arena.h"
#include "../../include/uapi/linux/greenstk.h"

struct faults faults;
struct failed failed;
static _Atomic uint64_t state = 1;

/* One in @n. Threads share the numbers; a seed repeats how many fail, not which. */
static bool draw(uint32_t n)
{
	uint64_t x;

	if (!n)
		return false;
	x = atomic_fetch_add(&state, 0x9e3779b97f4a7c15u);
	x ^= x >> 31;
	x *= 0xbf58476d1ce4e5b9u;
	return (x >> 32) % n == 0;
}

static int no_block(uint32_t bytes)
{
	(void)bytes;
	if (!draw(faults.alloc))
		return 0;
	failed.allocs++;
	return 1;
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_gstk__uffd_read(uintptr_t *address, int nr);
int __wrap_gstk__uffd_read(uintptr_t *address, int nr);

static int fail(int err, _Atomic uint64_t *count)
{
	++*count;
	errno = err;
	return -1;
}

/* As the kernel does when the address space is changing: nothing, or only the first page, was done. */
static int copy(int fd, struct uffdio_copy *c)
{
	uint64_t len = c->len;
	int rc;

	if (draw(faults.copy)) {
		c->copy = -EAGAIN;
		return fail(EAGAIN, &failed.again);
	}
	if (draw(faults.copy * 4)) {
		c->copy = -ENOMEM;
		return fail(ENOMEM, &failed.nomem);
	}
	if (len == 4096 || !draw(faults.copy))
		return __real_ioctl(fd, UFFDIO_COPY, c);
	c->len = 4096;
	rc = __real_ioctl(fd, UFFDIO_COPY, c);
	c->len = len;
	return rc ? rc : fail(EAGAIN, &failed.shorter);
}

static int zero(int fd, struct uffdio_zeropage *z)
{
	if (!draw(faults.copy))
		return __real_ioctl(fd, UFFDIO_ZEROPAGE, z);
	z->zeropage = -EAGAIN;
	return fail(EAGAIN, &failed.again);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == UFFDIO_COPY)
		return copy(fd, arg);
	if (request == UFFDIO_ZEROPAGE)
		return zero(fd, arg);
	if (request == UFFDIO_REGISTER && draw(faults.reg))
		return fail(ENOMEM, &failed.registers);
	if (request == GREENSTK_SWITCH && draw(faults.move))
		return fail(draw(2) ? EAGAIN : ENOMEM, &failed.moves);
	return __real_ioctl(fd, request, arg);
}

int __wrap_gstk__uffd_read(uintptr_t *address, int nr)
{
	int n = __real_gstk__uffd_read(address, nr);

	return faults.pager ? -EIO : n;
}

void faults_begin(uint64_t seed)
{
	state = seed;
	gstk__arena_fail = no_block;
}

void faults_end(void)
{
	faults = (struct faults){ 0 };
	gstk__arena_fail = NULL;
}
