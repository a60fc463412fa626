// SPDX-License-Identifier: MIT
/* Nodes for timed waits. NULL: no memory. */
#ifndef GSTK__SCHED_TIMER_POOL_H
#define GSTK__SCHED_TIMER_POOL_H

#include "sched/sched.h"

struct gstk__timer *gstk__timer_get(void);
void gstk__timer_put(struct gstk__timer *timer);

#endif
