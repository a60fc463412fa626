// SPDX-License-Identifier: MIT
/* Nodes for timed waits. NULL: no memory. */
#ifndef GSTK__SCHED_TIMER_POOL_H
#define GSTK__SCHED_TIMER_POOL_H

#include "sched/sched.h"

struct gstk__timer *gstk__timer_get(void);
void gstk__timer_put(struct gstk__timer *timer);

/* The same with what is left of a wait whose stack keeps nothing of it: block.c. */
struct gstk__timed {
	struct gstk__timer timer;
	gstk__end_fn end;
	void *arg;
	uint32_t n;
};

struct gstk__timed *gstk__timed_get(void);
void gstk__timed_put(struct gstk__timed *timed);

#endif
