// SPDX-License-Identifier: MIT
/*
 * Windows that several tasks share, seen from the task that leaves: made shared, given back, queued for a
 * mate, freed after the last one. The side that comes in is loop.c and bind.c.
 */
#include <greenstk/base.h>

#include "debug/annotate.h"
#include "debug/inject.h"
#include "host/host.h"
#include "sched/site.h"
#include "sched/starved.h"
#include "sched/worker.h"

/* A mate waits for the window that was given back. @turn: and it comes next, not after another round of
 * the queue. */
static __attribute__((noinline)) void window_queue(struct gstk__worker *w, uint32_t index, bool turn)
{
	if (turn && !atomic_load_explicit(&w->next, memory_order_relaxed))
		gstk__push_next(w, GSTK__ITEM_WINDOW | index);
	else
		gstk__push_ready(w, GSTK__ITEM_WINDOW | index);
}

void gstk__window_release(struct gstk__worker *w, uint32_t index)
{
	struct gstk__window *win = gstk__win(index);
	bool more = win->fifo_head || win->resident_ready, turn = false;
	uint64_t old = atomic_load_explicit(&win->word, memory_order_relaxed), new;

	GSTK__INJECT(release);
	if (__builtin_expect(win->fifo_head != 0, 0))
		turn = !win->resident_ready || gstk__quantum_over(w, win);
	do {
		new = more || old >> 32 ? (old & ~(uint64_t)GSTK__WIN_STATE_MASK) | GSTK__WIN_QUEUED
					: GSTK__WIN_IDLE;
	} while (!atomic_compare_exchange_weak_explicit(&win->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	GSTK__INJECT(released);
	if ((new & GSTK__WIN_STATE_MASK) == GSTK__WIN_QUEUED)
		window_queue(w, index, turn);
}

void gstk__window_starve(struct gstk__worker *w, uint32_t index)
{
	struct gstk__window *win = gstk__win(index);
	uint64_t old = atomic_load_explicit(&win->word, memory_order_relaxed), new;

	do {
		new = (old & ~(uint64_t)GSTK__WIN_STATE_MASK) | GSTK__WIN_QUEUED;
	} while (!atomic_compare_exchange_weak_explicit(&win->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	gstk__starve(w, GSTK__ITEM_WINDOW | index);
}

void gstk__window_left(struct gstk__worker *w, uint32_t index)
{
	struct gstk__window *win = gstk__win(index);
	uint64_t owned = GSTK__WIN_OWNED;

	GSTK__INJECT(window_left);
	if (atomic_load_explicit(&win->nbound, memory_order_relaxed) ||
	    !atomic_compare_exchange_strong(&win->word, &owned, GSTK__WIN_FREE)) {
		gstk__window_release(w, index);
		return;
	}
	win->low = 0;
	gstk__gauge(&w->park.n.windows_shared, -1);
	gstk__gauge(&w->park.n.windows_bound, -1);
	gstk__win_put(&w->wins, index);
}

void gstk__window_share(struct gstk__worker *w, struct gstk_task *t)
{
	struct gstk__window *win = gstk__win(t->window);

	win->resident = gstk__task_index(t);
	win->claim_stamp = gstk__stamp();
	win->shared_tick = t->tick;
	win->sites = gstk__site_bit(t);
	atomic_store_explicit(&win->word, GSTK__WIN_OWNED, memory_order_release);
	GSTK__INJECT(share);
	gstk__state_share(t, true);
	gstk__gauge(&w->park.n.windows_shared, 1);
	atomic_fetch_and_explicit(&t->poke, (uint8_t)~GSTK__POKE_WANTED, memory_order_relaxed);
}

void gstk__fifo_push(struct gstk__window *win, struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	t->next = 0;
	if (win->fifo_head)
		gstk__task(win->fifo_tail)->next = i;
	else
		win->fifo_head = i;
	win->fifo_tail = i;
}

void *gstk__mate_stack(struct gstk__worker *w, struct gstk_task *n)
{
	struct gstk__window *win = gstk__win(n->window);
	uint64_t idle = GSTK__WIN_IDLE;

	if (gstk__peek(&win->resident) != gstk__task_index(n) ||
	    !atomic_compare_exchange_strong_explicit(&win->word, &idle, GSTK__WIN_OWNED, memory_order_acq_rel,
						     memory_order_relaxed))
		return NULL;
	if (win->resident != gstk__task_index(n) || n->tier != GSTK__TIER_RESIDENT) {
		gstk__window_release(w, n->window);
		return NULL;
	}
	gstk__earn_back(w, win, n);
	return n->sp;
}
