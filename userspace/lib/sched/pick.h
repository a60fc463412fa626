// SPDX-License-Identifier: MIT
/*
 * Who runs next: an item of this worker's own queues, and its stack when it can run without the loop's help.
 */
#ifndef GSTK__SCHED_PICK_H
#define GSTK__SCHED_PICK_H

#include "debug/probe.h"
#include "sched/worker.h"

#define GSTK__HANDOFF_BUDGET 64u /* hand-offs before the queue gets its turn */

/* An item of this worker's own queues, or 0: nothing there, or (@may_poll) time for the loop to poll. */
static inline __attribute__((always_inline)) uint32_t gstk__pick_own(struct gstk__worker *w, bool may_poll)
{
	bool alone = gstk__sched.alone;
	uint32_t picks, item;

	/* Not counted as a pick: polls at every 2nd pick, say, could hide every 64th one below. */
	if (may_poll && __builtin_expect((int32_t)(w->picks - w->poll_at) >= 0, 0))
		return 0;
	picks = ++w->picks;
	if (__builtin_expect(picks % 16 == 0, 0)) { /* the slot must not starve the queues */
		w->handoff_budget = GSTK__HANDOFF_BUDGET;
		item = picks % 64 == 0 ? gstk__deque_take_top(&w->fresh, alone) : 0;
		if (!item)
			item = gstk__deque_take_top(&w->ready, alone);
		if (item)
			return item;
	}
	item = atomic_load_explicit(&w->next, memory_order_relaxed);
	if (item) {
		if (alone)
			atomic_store_explicit(&w->next, 0, memory_order_relaxed);
		else
			item = atomic_exchange_explicit(&w->next, 0, memory_order_acq_rel);
		if (item)
			return item;
	}
	item = gstk__deque_take_top(&w->ready, alone);
	return item ? item : gstk__deque_take_bottom(&w->fresh, alone);
}

/* The next item that can run without the loop's help, made current; its stack pointer. */
static inline __attribute__((always_inline)) void *gstk__next_stack(struct gstk__worker *w)
{
	uint32_t item = gstk__pick_own(w, true);
	struct gstk_task *n;

	if (__builtin_expect(item != 0 && !(item & GSTK__ITEM_WINDOW), 1)) {
		n = gstk__task(item);
		if (__builtin_expect(gstk__word(n) & GSTK__SHARED, 0)) {
			void *sp = gstk__mate_stack(w, n);

			if (sp) {
				gstk__look_ahead(w);
				w->current = n;
				gstk__state_run(n);
				gstk__count(&w->park.n.switches);
				GSTK__PROBE2(run, n, w->index);
				return sp;
			}
		} else if (__builtin_expect(n->tier == GSTK__TIER_RESIDENT, 1)) {
			gstk__look_ahead(w);
			w->current = n;
			gstk__state_run(n);
			gstk__count(&w->park.n.switches);
			GSTK__PROBE2(run, n, w->index);
			return n->sp;
		} else if (n->tier == GSTK__TIER_NONE && !(n->flags & (GSTK__T_PRIVATE | GSTK__T_PINNED)) &&
		    w->wins.head) {
			gstk__bind_free(w, n, gstk__win_get(&w->wins));
			gstk__start_prepare(w, n);
			w->current = n;
			gstk__state_run(n);
			gstk__count(&w->park.n.switches);
			GSTK__PROBE2(run, n, w->index);
			return n->sp;
		}
	}
	w->pending = item;
	w->current = NULL;
	return w->loop_sp;
}

#endif
