// SPDX-License-Identifier: MIT
#include "sched/timer.h"
#include "sched/worker.h"
struct gstk__timer_wheel gstk__timer_wheels[GSTK__MAX_WORKERS];
void gstk__timer_arm(struct gstk__timer *timer)
{
	struct gstk__worker *w = gstk__self();
	timer->wheel = w ? w->index : 0;
	gstk__timer_wheel_arm(&gstk__timer_wheels[timer->wheel], timer);
}
bool gstk__timer_disarm(struct gstk__timer *timer)
{
	return gstk__timer_wheel_disarm(&gstk__timer_wheels[timer->wheel], timer);
}
