// SPDX-License-Identifier: MIT
/*
 * Guarded control stacks, aarch64's shadow stacks: as on x86-64 a switch would leave the calls of the
 * task left on them. The notes in our assembly keep glibc from turning them on; what is left are
 * programs that turned them on by themselves, or loaded us late.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "../arch.h"
#include "check.h"

#ifndef PR_GET_SHADOW_STACK_STATUS
#define PR_GET_SHADOW_STACK_STATUS 74
#define PR_SHADOW_STACK_ENABLE 1ul
#endif

static long gcs_status(unsigned long *features)
{
	return prctl(PR_GET_SHADOW_STACK_STATUS, features, 0, 0, 0);
}

long (*gstk__shstk_status)(unsigned long *features) = gcs_status;

int gstk__arch_check(const char **why)
{
	unsigned long features = 0;

	if (why)
		*why = NULL;
	/* Kernels before 6.13, or a CPU without: EINVAL. Nothing is on then. */
	if (gstk__shstk_status(&features) || !(features & PR_SHADOW_STACK_ENABLE))
		return 0;
	if (why)
		*why = "this thread runs on a guarded control stack, which greenstk does not switch; start "
		       "the program with GLIBC_TUNABLES=glibc.cpu.aarch64_gcs=0";
	return -ENOTSUP;
}
