// SPDX-License-Identifier: MIT
/* For the tests of the interposed libc; the programs are run with it preloaded, or linked with it. */
#ifndef PRELOAD_TEST_H
#define PRELOAD_TEST_H

#include "../lib/wait_test.h"

/* @nr tasks at a time, their numbers as argument. */
static inline void all_of(int nr, gstk_fn fn)
{
	gstk_task **t = malloc((size_t)nr * sizeof(*t));

	for (int i = 0; i < nr; i++)
		t[i] = start(fn, (void *)(long)i);
	for (int i = 0; i < nr; i++)
		finish(t[i]);
	free(t);
}

/* Until another task has got somewhere. */
static inline void wait_for_flag(_Atomic int *flag)
{
	while (!atomic_exchange(flag, 0))
		gstk_sleep(MS);
}

#endif
