// SPDX-License-Identifier: MIT
/*
 * The long ways of after(): what is done for the task that was left when it shares its window, waits by a
 * commit function, ends, or somebody has a request. The short ones are in after.h.
 */
#include <greenstk/base.h>

#include "debug/inject.h"
#include "debug/stackprof.h"
#include "debug/trace.h"
#include "sched/after.h"
#include "sched/timer_pool.h"

static void after_yield(struct gstk__worker *w, struct gstk_task *t)
{
	uint32_t window = t->window;

	if (__builtin_expect(gstk__word(t) & GSTK__SHARED, 0)) {
		if (gstk__forced_evict && t->tier == GSTK__TIER_RESIDENT)
			gstk__evict(&w->park, t, false);
		gstk__state_yield(t);
		gstk__win(window)->resident_ready = 1;
		gstk__window_release(w, window);
	} else if (t->flags & GSTK__T_PINNED) {
		gstk__state_yield(t);
		gstk__enqueue(t);
	} else {
		if (gstk__forced_evict && !(t->flags & GSTK__T_PRIVATE))
			gstk__evict(&w->park, t, false);
		gstk__state_yield(t);
		gstk__push_ready(w, gstk__task_index(t));
	}
}

static void after_commit(struct gstk__worker *w, struct gstk_task *t)
{
	bool shared = gstk__word(t) & GSTK__SHARED;
	uint32_t window = t->window;
	struct gstk__timer *timer = w->after_timer;

	gstk__state_park(t, GSTK__OWNED, w->after_flags);
	if (timer)
		gstk__timer_arm(timer);
	if (!w->after_commit(t, w->after_arg) && gstk__state_wake(t, GSTK__CODE_OK, 0) == GSTK__ENQUEUE)
		__builtin_unreachable(); /* we own it */
	GSTK__INJECT(committed);
	gstk__fence_light(); /* partner: gstk_cancel() */
	if (gstk__cancel_pending(t) && gstk__state_wake(t, GSTK__CODE_CANCELED, 0) == GSTK__ENQUEUE)
		__builtin_unreachable();
	if (gstk__forced_evict && !(t->flags & GSTK__T_PRIVATE) && t->tier == GSTK__TIER_RESIDENT) {
		gstk__evict(&w->park, t, false);
		if (gstk__forced_pack && t->tier != GSTK__TIER_RESIDENT)
			gstk__pack(&w->park, t);
	}
	if (gstk__state_disown(t) == GSTK__ENQUEUE)
		gstk__enqueue(t);
	if (shared)
		gstk__window_release(w, window);
}

bool gstk__commit_unlock(struct gstk_task *t, void *lock)
{
	gstk__unlock(lock);
	return true;
}

/* The long way of what has a short one. */
static void after_owned(struct gstk__worker *w, struct gstk_task *t, gstk__commit_fn commit, void *arg)
{
	w->after_commit = commit;
	w->after_arg = arg;
	w->after_flags = 0;
	w->after_timer = NULL;
	after_commit(w, t);
}

void gstk__after_slow(struct gstk__worker *w)
{
	struct gstk_task *t = w->left;
	enum gstk__after after = (enum gstk__after)w->after;

	GSTK__TRACE(switch(w));
	if (__builtin_expect(gstk__profiling, 0) && after != GSTK__AFTER_EXIT)
		gstk__stackprof_left(t, after == GSTK__AFTER_YIELD);
	w->after = GSTK__AFTER_NOTHING;
	t->tick = w->tick;
	if (after != GSTK__AFTER_EXIT &&
	    __builtin_expect(atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_WANTED, 0) &&
	    !(gstk__word(t) & GSTK__SHARED) && !(t->flags & (GSTK__T_PRIVATE | GSTK__T_PINNED)))
		gstk__window_share(w, t);
	switch (after) {
	case GSTK__AFTER_NOTHING:
		break;
	case GSTK__AFTER_YIELD:
		after_yield(w, t);
		break;
	case GSTK__AFTER_UNLOCK:
		if (!gstk__forced_evict) {
			bool shared = gstk__word(t) & GSTK__SHARED;
			uint32_t window = t->window;

			uint32_t word = gstk__park_unlock(w, t); /* a mate cannot run before we let go of the window */

			if (word)
				gstk__parked_canceled(t, word);
			if (shared)
				gstk__window_release(w, window);
		} else {
			after_owned(w, t, gstk__commit_unlock, w->after_lock);
		}
		break;
	case GSTK__AFTER_COMMIT:
		after_commit(w, t);
		break;
	case GSTK__AFTER_EXIT: {
		uint32_t window = t->window;
		bool shared = gstk__word(t) & GSTK__SHARED;

		gstk__task_ended(w, t);
		if (shared)
			gstk__window_left(w, window);
		break;
	}
	}
}
