// SPDX-License-Identifier: MIT
/*
 * Shadow stacks. A switch leaves calls on the shadow stack that belong to the task left, so the
 * next ret of the other task would raise SIGSEGV. The notes in our assembly say that this
 * library does not do shadow stacks, hence glibc does not turn them on for a program linked with
 * it; what is left are programs that turned them on by themselves, or loaded us late.
 * Not handled by turning them off: glibc's longjmp keeps a shadow stack pointer and would fault.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../arch.h"
#include "check.h"

#ifndef ARCH_SHSTK_STATUS
#define ARCH_SHSTK_STATUS 0x5005
#endif
#define GSTK__SHSTK_SHSTK 1ul

static long shstk_status(unsigned long *features)
{
	return syscall(SYS_arch_prctl, ARCH_SHSTK_STATUS, features);
}

long (*gstk__shstk_status)(unsigned long *features) = shstk_status;

int gstk__arch_check(const char **why)
{
	unsigned long features = 0;

	if (why)
		*why = NULL;
	/* Kernels before 6.6, or a CPU without: EINVAL or ENOTSUP. Nothing is on then. */
	if (gstk__shstk_status(&features) || !(features & GSTK__SHSTK_SHSTK))
		return 0;
	if (why)
		*why = "this thread runs on a hardware shadow stack, which greenstk does not "
		       "switch; start the program with "
		       "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off, or link it with -z shstk removed";
	return -ENOTSUP;
}
