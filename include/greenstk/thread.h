// SPDX-License-Identifier: MIT
/*
 * What belongs to the thread, in tasks that change threads. The address of a thread-local variable is good
 * until the next call that may park, and compilers do not know which calls those are: within a function
 * they compute it once and keep it. So does libc's errno, whose function is declared const.
 */
#ifndef GREENSTK_THREAD_H
#define GREENSTK_THREAD_H

#include <errno.h>

#if defined(errno) && !defined(GSTK_KEEP_ERRNO) && !defined(GSTK_BUILD)
/* Which function it is the compiler cannot see, so it is called at each use, also with LTO. */
static inline int *gstk__errno(void)
{
	int *(*here)(void) = __errno_location;

	__asm__ volatile("" : "+r"(here));
	return here();
}

/* libc's errno, found anew at each use. Define GSTK_KEEP_ERRNO before the first header to keep libc's macro. */
#undef errno
#define errno (*gstk__errno())
#endif

/**
 * Defines @name(), a function of this file that returns the address of the thread-local @var in the calling
 * thread. It is computed at each call, also with LTO; what it returned is good until the next call that may
 * park. A noinline function alone is not enough: compilers see that it always returns the same.
 *
 *     static __thread struct cache cache;
 *     GSTK_THREAD_ADDRESS(cache_here, cache)
 */
#define GSTK_THREAD_ADDRESS(name, var)								\
	static __attribute__((noinline, unused)) __typeof__(&(var)) name(void)			\
	{											\
		__typeof__(&(var)) here_ = &(var);						\
												\
		__asm__ volatile("" : "+r"(here_));						\
		return here_;									\
	}

#endif
