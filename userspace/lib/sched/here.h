// SPDX-License-Identifier: MIT
/* May the caller wait where it is? For those who may not know all of a worker. */
#ifndef GSTK__SCHED_HERE_H
#define GSTK__SCHED_HERE_H

#include "arch/arch.h"
#include "sched/sched.h"

/* What struct gstk__worker begins with. */
struct gstk__here {
	struct gstk_task *current;
	uintptr_t signal_from;
	size_t signal_bytes;
} __attribute__((may_alias));

/* A signal handler's frames are gone when it returns: nothing there may wait. */
static inline __attribute__((always_inline)) bool gstk__in_handler(const struct gstk__worker *w)
{
	const struct gstk__here *h = (const struct gstk__here *)w;

	return __builtin_expect(gstk__sp() - h->signal_from < h->signal_bytes, 0);
}

/*
 * Nor in a poll function, which has no stack of its own to leave: sched/stackless.c makes all addresses such.
 * Nor may a worker outside its tasks, which an embedded runtime's thread is mostly: who would run them?
 */
static inline __attribute__((always_inline)) bool gstk__must_not_wait(const struct gstk__worker *w)
{
	return __builtin_expect(!((const struct gstk__here *)w)->current, 0) || gstk__in_handler(w);
}

/* What every wait asks before it links its task: gstk__wait_refused() then. A thread that is no worker may always. */
static inline __attribute__((always_inline)) bool gstk__no_wait_here(void)
{
	const struct gstk__worker *w = gstk__self();

	return __builtin_expect(w != NULL, 1) && gstk__must_not_wait(w);
}

#endif
