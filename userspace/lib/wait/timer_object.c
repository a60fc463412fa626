// SPDX-License-Identifier: MIT
/*
 * Timers that send into a channel. The expiry runs under a wheel's lock, which others take with a
 * channel's lock held (they arm a timed wait); so it only tries that lock, and comes again a
 * moment later when it is taken.
 */
#include <greenstk/base.h>
#include <greenstk/time.h>

#include <errno.h>
#include <stdlib.h>
#include "host/host.h"
#include "host/refuse.h"
#include "sched/timer.h"
#include "wait/chan.h"

struct gstk_timer {
	struct gstk__timer timer; /* first; under its wheel's lock while armed */
	uint64_t due_ns;	  /* nominal time of the next expiry */
	uint64_t period_ns;
	uint64_t pending;	  /* expiries not yet sent */
	struct gstk_chan *chan;
	_Atomic uint32_t lock;	  /* set, stop, destroy; taken before the wheel's */
};

static void expire(struct gstk__timer *timer)
{
	struct gstk_timer *tm = (struct gstk_timer *)timer;
	uint64_t now = gstk__now_ns();

	if (tm->due_ns <= now) {
		uint64_t n = tm->period_ns ? (now - tm->due_ns) / tm->period_ns + 1 : 1;

		tm->pending += n;
		if (!tm->period_ns || __builtin_mul_overflow(n, tm->period_ns, &n) ||
		    __builtin_add_overflow(tm->due_ns, n, &tm->due_ns))
			tm->due_ns = GSTK_NEVER;
	}
	if (tm->pending && gstk__chan_try_add(tm->chan, tm->pending))
		tm->pending = 0;
	timer->deadline_ns = tm->pending ? now + 1 : tm->due_ns;
	if (timer->deadline_ns != GSTK_NEVER)
		gstk__timer_wheel_rearm_locked(&gstk__timer_wheels[timer->wheel], timer);
}

int gstk_timer_create(gstk_timer **timer)
{
	struct gstk_timer *tm;
	int r;

	if (!timer)
		return gstk__refuse("gstk_timer_create: nowhere to put the timer; give the address of a gstk_timer *");
	tm = calloc(1, sizeof(*tm));
	if (!tm)
		return -ENOMEM;
	r = gstk_chan_create(&tm->chan, sizeof(uint64_t), 1);
	if (r) {
		free(tm);
		return r;
	}
	tm->timer.fn = expire;
	*timer = tm;
	return 0;
}

static __attribute__((cold, noinline)) int refuse(const char *call)
{
	return gstk__refuse("%s: the timer is NULL; gstk_timer_create() makes one", call);
}

int gstk_timer_set(gstk_timer *tm, uint64_t deadline_ns, uint64_t period_ns)
{
	if (!tm)
		return refuse("gstk_timer_set");
	if (!gstk__current())
		return gstk__no_task("gstk_timer_set");
	gstk__lock(&tm->lock);
	gstk__timer_disarm(&tm->timer);
	tm->pending = 0;
	tm->due_ns = tm->timer.deadline_ns = deadline_ns;
	tm->period_ns = period_ns;
	if (deadline_ns != GSTK_NEVER)
		gstk__timer_arm(&tm->timer);
	gstk__unlock(&tm->lock);
	return 0;
}

int gstk_timer_stop(gstk_timer *tm)
{
	if (!tm)
		return refuse("gstk_timer_stop");
	gstk__lock(&tm->lock);
	gstk__timer_disarm(&tm->timer);
	tm->pending = 0;
	gstk__unlock(&tm->lock);
	return 0;
}

gstk_chan *gstk_timer_chan(gstk_timer *tm)
{
	if (!tm)
		refuse("gstk_timer_chan");
	return tm ? tm->chan : NULL;
}

int gstk_timer_destroy(gstk_timer *tm)
{
	int err;

	if (!tm)
		return 0;
	gstk_timer_stop(tm);
	err = gstk_chan_destroy(tm->chan);
	if (!err)
		free(tm);
	return err;
}
