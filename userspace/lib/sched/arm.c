// SPDX-License-Identifier: MIT
/* Which wheel a timer goes to: that of the worker that arms it; other threads use the first. */
#include "sched/timer.h"
#include "sched/worker.h"

struct gstk__timer_wheel gstk__timer_wheels[GSTK__MAX_WORKERS];

void gstk__timer_arm(struct gstk__timer *timer)
{
	struct gstk__worker *w = gstk__self();

	timer->wheel = w ? w->index : 0;
	/* A worker looks at all wheels before it sleeps; for others, and one outside, somebody may have to wake. */
	if (gstk__timer_wheel_arm(&gstk__timer_wheels[timer->wheel], timer) && (!w || w->batch & GSTK__BATCH_OUTSIDE))
		gstk__wake_idle(NULL);
}

bool gstk__timer_disarm(struct gstk__timer *timer)
{
	return gstk__timer_wheel_disarm(&gstk__timer_wheels[timer->wheel], timer);
}

uint64_t gstk__timers_armed(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < gstk__sched.nr; i++)
		n += atomic_load_explicit(&gstk__timer_wheels[i].nr, memory_order_relaxed);
	return n;
}
