// SPDX-License-Identifier: MIT
/*
 * What cannot run for want of memory: tasks that get no window of their own, windows whose resident cannot be saved. They
 * wait in one list instead of being tried again and again. Some are tried every few milliseconds, since memory that is
 * given back says nothing, and one when a private window becomes free.
 */
#ifndef GSTK__SCHED_STARVED_H
#define GSTK__SCHED_STARVED_H

#include <stdatomic.h>
#include <stdint.h>

extern _Atomic uint32_t gstk__starved; /* so many wait */

/* @item, of which the caller is the consumer, is in no queue. */
struct gstk__worker;
void gstk__starve(struct gstk__worker *w, uint32_t item);
void gstk__feed_one(void);
void gstk__starved_fini(void);

/* A private window has become free, or was to be had. */
static inline void gstk__feed(void)
{
	if (__builtin_expect(atomic_load_explicit(&gstk__starved, memory_order_relaxed) != 0, 0))
		gstk__feed_one();
}

#endif
