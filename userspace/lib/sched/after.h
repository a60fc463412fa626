// SPDX-License-Identifier: MIT
/*
 * What is done for the task that was left, on the stack of whoever runs next on this thread: until then it
 * stands on its stack, and is not wakeable.
 */
#ifndef GSTK__SCHED_AFTER_H
#define GSTK__SCHED_AFTER_H

#include "debug/inject.h"
#include "host/host.h"
#include "sched/worker.h"

/* Everything but the short ways of after(). */
void gstk__after_slow(struct gstk__worker *w);

/*
 * Park for a lock that is let go of when that is done, and whose holder may wake t then. 0, or when t was cancelled
 * before, the word that it parked with: the caller goes on with gstk__parked_canceled().
 */
static inline __attribute__((always_inline, warn_unused_result)) uint32_t gstk__park_unlock(struct gstk__worker *w, struct gstk_task *t)
{
	_Atomic uint32_t *lock = w->after_lock;
	uint32_t word;
	uint8_t poke;

	GSTK__INJECT(park);
	word = gstk__state_park(t, GSTK__PARKED, 0);
	gstk__fence_light(); /* partner: gstk_cancel() */
	poke = atomic_load_explicit(&t->poke, memory_order_relaxed);
	GSTK__INJECT(parked);
	gstk__unlock(lock);
	GSTK__INJECT(unlocked);
	return __builtin_expect(poke & GSTK__POKE_CANCEL, 0) ? word : 0;
}

/* t may wait for something else by now: this wait only. */
static inline void gstk__parked_canceled(struct gstk_task *t, uint32_t word)
{
	if (gstk__state_wake(t, GSTK__CODE_CANCELED, word) == GSTK__ENQUEUE)
		gstk__enqueue(t);
}

/* There is no more to do for t, which was left, than to park or to queue it. */
static inline __attribute__((always_inline)) bool gstk__after_is_short(const struct gstk__worker *w, struct gstk_task *t)
{
	return __builtin_expect(!(w->after > GSTK__AFTER_SHORT || gstk__leave_long ||
				  (atomic_load_explicit(&t->word, memory_order_relaxed) & GSTK__SHARED) ||
				  (atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_REQUESTS)), 1);
}

/* On the stack that was switched to. The short ways: a task alone in its window parks for a lock, or
 * yields. */
static inline __attribute__((always_inline)) void gstk__after(struct gstk__worker *w)
{
	struct gstk_task *t = w->left;
	uint32_t what = w->after;

	if (__builtin_expect(what == GSTK__AFTER_NOTHING, 0))
		return;
	if (!gstk__after_is_short(w, t)) {
		gstk__after_slow(w);
		return;
	}
	w->after = GSTK__AFTER_NOTHING;
	t->tick = w->tick;
	if (what == GSTK__AFTER_UNLOCK) {
		uint32_t word = gstk__park_unlock(w, t);

		if (__builtin_expect(word, 0))
			gstk__parked_canceled(t, word);
	} else {
		gstk__state_yield(t);
		if (__builtin_expect(t->flags & GSTK__T_PINNED, 0))
			gstk__enqueue(t);
		else if (!gstk__sched.alone || !gstk__deque_push(&w->ready, gstk__task_index(t)))
			gstk__push_ready(w, gstk__task_index(t));
	}
}

#endif
