// SPDX-License-Identifier: MIT
#include "host/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096u
#define MOST 16 /* messages of one read */

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xaa, 0)
#endif

struct gstk__uffd gstk__uffd = { .fd = -1 };

static int from_device(void)
{
	int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -1;
	fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	close(dev);
	return fd;
}

int gstk__uffd_probe(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY), err = errno;

	if (fd < 0)
		fd = from_device();
	return fd < 0 ? -err : fd;
}

static int refused(const char *step, int err)
{
	const char *advice;

	if (err == -ENOSYS)
		advice = "this kernel (or emulator) was built without it";
	else if (err == -EINVAL && !strcmp(step, "open"))
		advice = "kernels before 5.11 need the capability CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1";
	else if (err == -EPERM || err == -EACCES)
		advice = "a filter of system calls (a container's seccomp profile) forbids it: allow userfaultfd, or "
			 "let this user open /dev/userfaultfd";
	else
		advice = "see errno(3)";
	snprintf(gstk__uffd.why, sizeof(gstk__uffd.why), "userfaultfd: %s: %s; %s", step, strerror(-err), advice);
	gstk__uffd_close();
	return err;
}

int gstk__uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct gstk__uffd *u = &gstk__uffd;
	const char *how = "as this process is privileged, or vm.unprivileged_userfaultfd is 1";

	u->kernel_faults = true;
	u->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (u->fd < 0) {
		how = "by /dev/userfaultfd";
		u->fd = from_device();
	}
	if (u->fd < 0) {
		how = "for user mode only: what system calls touch must be there, see vm.unprivileged_userfaultfd "
		      "and /dev/userfaultfd";
		u->kernel_faults = false;
		u->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	}
	if (u->fd < 0)
		return refused("open", -errno);
	if (ioctl(u->fd, UFFDIO_API, &api))
		return refused("api", -errno);
	u->open = true;
	snprintf(u->why, sizeof(u->why), "userfaultfd is there, %s", how);
	return 0;
}

void gstk__uffd_close(void)
{
	if (gstk__uffd.fd >= 0)
		close(gstk__uffd.fd);
	gstk__uffd.fd = -1;
	gstk__uffd.open = false;
}

void gstk__uffd_unused(const char *what, int err)
{
	snprintf(gstk__uffd.why, sizeof(gstk__uffd.why), "%s: %s", what, strerror(-err));
}

int gstk__uffd_register(void *p, size_t bytes)
{
	struct uffdio_register r = { .range = { (uintptr_t)p, bytes }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	return ioctl(gstk__uffd.fd, UFFDIO_REGISTER, &r) ? -errno : 0;
}

int gstk__uffd_unregister(void *p, size_t bytes)
{
	struct uffdio_range r = { (uintptr_t)p, bytes };

	return ioctl(gstk__uffd.fd, UFFDIO_UNREGISTER, &r) ? -errno : 0;
}

void gstk__uffd_wake(void *p, size_t bytes)
{
	struct uffdio_range r = { (uintptr_t)p, bytes };

	ioctl(gstk__uffd.fd, UFFDIO_WAKE, &r);
}

/* How far an answer came; the rest is to be tried again. @done: bytes, or -errno as the kernel wrote it. */
static int went_on(int64_t done, int err, size_t *at, size_t bytes)
{
	if (done > 0) {
		*at += (size_t)done;
		return *at < bytes ? 1 : 0;
	}
	if (err == EAGAIN) /* the address space is changing */
		return 1;
	if (err == EEXIST) {
		*at += PAGE;
		return *at < bytes ? 1 : 0;
	}
	return -err;
}

int gstk__uffd_copy(void *to, const void *from, size_t bytes)
{
	size_t at = 0;
	int more;

	do {
		struct uffdio_copy c = { .dst = (uintptr_t)to + at, .src = (uintptr_t)from + at, .len = bytes - at };
		int err = ioctl(gstk__uffd.fd, UFFDIO_COPY, &c) ? errno : 0;

		more = went_on(c.copy, err, &at, bytes);
		if (err == EEXIST)
			gstk__uffd_wake((char *)to, bytes);
	} while (more > 0);
	return more;
}

int gstk__uffd_zero(void *to, size_t bytes)
{
	size_t at = 0;
	int more;

	do {
		struct uffdio_zeropage z = { .range = { (uintptr_t)to + at, bytes - at } };
		int err = ioctl(gstk__uffd.fd, UFFDIO_ZEROPAGE, &z) ? errno : 0;

		more = went_on(z.zeropage, err, &at, bytes);
		if (err == EEXIST)
			gstk__uffd_wake((char *)to, bytes);
	} while (more > 0);
	return more;
}

int gstk__uffd_read(uintptr_t *address, int nr)
{
	struct uffd_msg m[MOST];
	ssize_t n = read(gstk__uffd.fd, m, sizeof(*m) * (size_t)(nr < MOST ? nr : MOST));
	int got = 0;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(*m); i++)
		if (m[i].event == UFFD_EVENT_PAGEFAULT)
			address[got++] = (uintptr_t)m[i].arg.pagefault.address;
	return got;
}
