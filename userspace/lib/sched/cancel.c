// SPDX-License-Identifier: MIT
/*
 * Cancellation. The parking side stores PARKED and then reads ->poke with no barrier between; so
 * the cancelling side stores ->poke, runs a barrier in every thread, and then reads the word. One of
 * the two sees the other. Many tasks can share one barrier: mark all, barrier, wake all.
 */
#include "debug/inject.h"
#include "host/host.h"
#include "sched/start.h"
#include "sched/worker.h"

void gstk__cancel_mark(struct gstk_task *t)
{
	struct gstk__worker *w = gstk__self();

	if (w)
		gstk__count(&w->park.n.cancels);
	atomic_fetch_or_explicit(&t->poke, GSTK__POKE_CANCEL, memory_order_seq_cst);
}

static bool waits(uint32_t word)
{
	return gstk__state_of(word) == GSTK__PARKED || gstk__state_of(word) == GSTK__OWNED;
}

void gstk__cancel_wake(struct gstk_task *t)
{
	uint32_t word = gstk__word(t);

	GSTK__INJECT(cancel);
	/* Still asked for, in the wait that we saw: else it has noticed, and waits for something else. Who did not wait sees
	 * it when it parks; or has ended, and the next one in its place has not been asked. */
	if (!waits(word) || !gstk__cancel_pending(t))
		return;
	GSTK__INJECT(cancel_seen);
	if (gstk__state_wake(t, GSTK__CODE_CANCELED, word) == GSTK__ENQUEUE)
		gstk__enqueue(t);
}

int gstk__own_deadline_passed(struct gstk_task *t)
{
	return gstk__now_ns() >= gstk__ext(t)->deadline_ns ? -ETIMEDOUT : 0;
}
