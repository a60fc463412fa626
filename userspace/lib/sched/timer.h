// SPDX-License-Identifier: MIT
/*
 * Timer wheels: one a worker, 4 KiB each, touched only when a timer is armed in it.
 *
 * A tick is 2^17 ns (131 us). Level l has 64 slots of 64^l ticks; a timer lies in the level of the
 * highest digit in which its tick differs from the wheel's. So all slots in use lie after the
 * wheel's own position, timers of a lower level are due before those of a higher one, and an idle
 * timer is touched at most once a level: one that is disarmed before it is due, hardly ever.
 * (Hashed hierarchical wheels: Varghese and Lauck, 1987.)
 */
#ifndef GSTK__SCHED_TIMER_H
#define GSTK__SCHED_TIMER_H

#include "sched/sched.h"

#define GSTK__WHEEL_TICK_SHIFT 17
#define GSTK__WHEEL_SLOTS      64
#define GSTK__WHEEL_LEVELS     8 /* 6 bits each: covers all of 64 - 17 bits */

struct gstk__timer_wheel {
	_Atomic uint32_t lock;
	_Atomic uint32_t nr;	  /* armed */
	_Atomic uint64_t next_ns; /* nothing to do before; may be too early, never too late */
	uint64_t tick;		  /* everything up to here was handled */
	struct gstk__timer *due;  /* armed too late: next time */
	uint64_t used[GSTK__WHEEL_LEVELS];
	struct gstk__timer *slot[GSTK__WHEEL_LEVELS][GSTK__WHEEL_SLOTS];
};

void gstk__timer_wheel_init(struct gstk__timer_wheel *w, uint64_t now_ns);
/* Disarm all that is left: the runtime ends, and those of applications may outlive it. */
void gstk__timer_wheel_fini(struct gstk__timer_wheel *w);

/* Run what is due at @now_ns; returns how many. Any thread may do it for any wheel. */
unsigned int gstk__timer_wheel_advance_slow(struct gstk__timer_wheel *w, uint64_t now_ns);

/* When the next call of advance has something to do; UINT64_MAX: never. */
static inline uint64_t gstk__timer_wheel_next_deadline(struct gstk__timer_wheel *w)
{
	return atomic_load_explicit(&w->next_ns, memory_order_relaxed);
}

static inline unsigned int gstk__timer_wheel_advance(struct gstk__timer_wheel *w, uint64_t now_ns)
{
	if (__builtin_expect(now_ns < gstk__timer_wheel_next_deadline(w), 1))
		return 0;
	return gstk__timer_wheel_advance_slow(w, now_ns);
}

/* True when the timer is now the wheel's first: whoever sleeps for it must look again. */
bool gstk__timer_wheel_arm(struct gstk__timer_wheel *w, struct gstk__timer *timer);
/* True when fn will not run for this arming; false when it ran, or when it was not armed. */
bool gstk__timer_wheel_disarm(struct gstk__timer_wheel *w, struct gstk__timer *timer);
/* For fn only, which runs under the lock: set the same timer again, to a later time. */
void gstk__timer_wheel_rearm_locked(struct gstk__timer_wheel *w, struct gstk__timer *timer);

/* The wheels of the workers, by worker index (arm.c); initialised by who starts a worker. */
extern struct gstk__timer_wheel gstk__timer_wheels[];
/* Armed timers in all wheels: a gauge. */
uint64_t gstk__timers_armed(void);

#endif
