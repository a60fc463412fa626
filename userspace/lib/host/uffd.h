/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd: ranges of this process whose missing pages somebody here provides. The only caller of its
 * commands. Descriptor by what is permitted, the most able first:
 *
 *	userfaultfd(0)			CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1
 *	/dev/userfaultfd		whoever may open it
 *	userfaultfd(USER_MODE_ONLY)	everybody, Linux 5.11; what the kernel itself touches is EFAULT then
 */
#ifndef GSTK__HOST_UFFD_H
#define GSTK__HOST_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gstk__uffd {
	bool open;
	bool kernel_faults; /* also what the kernel touches, in system calls, waits for the page */
	int fd;
	char why[256];	    /* why it is open and how, or is not and what to do; never empty after a try */
};
extern struct gstk__uffd gstk__uffd;

/* 0 or -errno, and gstk__uffd.why says it in words. */
int gstk__uffd_open(void);
void gstk__uffd_close(void);
/* A descriptor by any of these ways, for who only asks; else -errno of the call for user mode only, which needs least. */
int gstk__uffd_probe(void);
/* Note why it is not used after all. */
void gstk__uffd_unused(const char *what, int err);

/* Whole pages. 0 or -errno. Unregistering wakes who waits there. */
int gstk__uffd_register(void *p, size_t bytes);
int gstk__uffd_unregister(void *p, size_t bytes);

/*
 * Provide missing pages, and wake who waits for them. A page that is there already stays as it is (0).
 * -ENOENT: not registered any more; -ESRCH: the process is ending; -ENOMEM.
 */
int gstk__uffd_copy(void *to, const void *from, size_t bytes);
int gstk__uffd_zero(void *to, size_t bytes);
/* Let who waits there try again. */
void gstk__uffd_wake(void *p, size_t bytes);

/* Wait for faults; up to @nr addresses. 0: none, or a signal; -errno. */
int gstk__uffd_read(uintptr_t *address, int nr);

#endif
