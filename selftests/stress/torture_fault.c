// SPDX-License-Identifier: MIT
/*
 * Failures at the two edges of the library: the arena's own injection point (no memory for an image), and the
 * ioctls of userfaultfd and the module and the call that tells holes of its slots, which the linker's --wrap leads
 * through here. On a kernel with fault injection (the debug kernels) the module itself has no memory, too, at any of
 * its allocations.
 */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "host/module.h"
#include "host/uffd.h"
#include "park/arena.h"
#include "window/window.h"

struct faults faults;
struct failed failed, failures;
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
int __real_madvise(void *from, size_t bytes, int advice);
int __wrap_madvise(void *from, size_t bytes, int advice);
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

/* The kernel's own injection, for one call of this thread: its switch, opened before, or -1. */
static int kernel_fails(void)
{
	int fd = faults.move ? open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC) : -1;

	if (fd >= 0 && pwrite(fd, "1", 1, 0) != 1)
		seen->wrong++;
	return fd;
}

static void kernel_works(int fd)
{
	if (fd < 0)
		return;
	if (pwrite(fd, "0", 1, 0) != 1) {
		perror("make-it-fail");
		abort();
	}
	close(fd);
}

/* Of a real stack in its window, so the library has to tell of it. The spare ones are for measuring. */
static bool leaves(const struct greenstk_switch *e)
{
	return e->out_bytes && !e->flags && e->window < gstk__module.nr_windows - GSTK__WIN_SPARE;
}

/* A slot is only let go of: the module needs no memory for that. */
static bool needs_nothing(const struct greenstk_switch *e, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		if (!e[i].out_bytes && !e[i].handle_in)
			return true;
	return false;
}

/* As the module does: not now, nothing done for want of memory, or only some of the entries. */
static int module_call(int fd, unsigned long request, struct greenstk_batch *b)
{
	struct greenstk_switch *e = (struct greenstk_switch *)(uintptr_t)b->entries;
	bool can_fail = request == GREENSTK_POPULATE || (request == GREENSTK_SWITCH && !needs_nothing(e, b->nr));
	uint32_t nr = b->nr;
	int rc, on;

	if (draw(faults.move))
		return fail(EAGAIN, &failed.again);
	if (can_fail && draw(faults.move)) {
		for (uint32_t i = 0; i < nr && request == GREENSTK_SWITCH; i++)
			failed.moves += leaves(&e[i]);
		return fail(ENOMEM, &failed.nomem);
	}
	if (nr > 1 && draw(faults.move)) {
		b->nr = nr / 2;
		failed.shorter++;
	}
	on = kernel_fails();
	rc = __real_ioctl(fd, request, b);
	kernel_works(on);
	b->nr = nr;
	for (uint32_t i = 0; !rc && i < b->done && request == GREENSTK_SWITCH; i++)
		failed.moves += e[i].result == -ENOMEM && leaves(&e[i]);
	return rc;
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
	switch (request) {
	case GREENSTK_SWITCH: case GREENSTK_RECLAIM: case GREENSTK_DROP: case GREENSTK_COLD: case GREENSTK_POPULATE:
		return module_call(fd, request, arg);
	}
	return __real_ioctl(fd, request, arg);
}

/* Of all errors one at random, but not the one that means a hole. */
int __wrap_madvise(void *from, size_t bytes, int advice)
{
	static const int err[] = { ENOMEM, EAGAIN, EINTR };
	int on, rc;

	if (advice != MADV_POPULATE_READ)
		return __real_madvise(from, bytes, advice);
	for (int i = 0; i < 3; i++)
		if (draw(faults.move))
			return fail(err[i], i ? &failed.again : &failed.nomem);
	on = kernel_fails();
	rc = __real_madvise(from, bytes, advice);
	kernel_works(on);
	return rc;
}

int __wrap_gstk__uffd_read(uintptr_t *address, int nr)
{
	int n = __real_gstk__uffd_read(address, nr);

	return faults.pager ? -EIO : n;
}

static void setting(const char *of, const char *file, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", of, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		seen->wrong++;
	close(fd);
}

/* One allocation in ten of the threads that asked for it, of every kind. */
static void kernel_injection(void)
{
	static const char *const of[] = { "failslab", "fail_page_alloc" };
	static const char *const what[][2] = { { "verbose", "0" }, { "ignore-gfp-wait", "0" }, { "task-filter", "1" },
		{ "interval", "1" }, { "space", "0" }, { "times", "-1" }, { "probability", "10" } };

	for (int i = 0; i < 2; i++)
		for (size_t k = 0; k < sizeof(what) / sizeof(*what); k++)
			setting(of[i], what[k][0], what[k][1]);
	setting(of[1], "ignore-gfp-highmem", "0");
	setting(of[1], "min-order", "0");
}

void faults_begin(uint64_t seed)
{
	kernel_injection();
	state = seed;
	gstk__arena_fail = no_block;
}

void faults_end(void)
{
	faults = (struct faults){ 0 };
	gstk__arena_fail = NULL;
}
