// SPDX-License-Identifier: MIT
/*
 * Many woken stacks come back with one call. A worker that is about to run a task whose pages are in a
 * slot takes the next ones of its queue that are so, too, restores all of them, and queues the others
 * again: they are resident then.
 *
 * Who owns what: the consumer of a queue owns a task alone in its window (RUNNABLE, in no queue) from the
 * pop until it is queued again. For one that shares its window the window is owned as for a run, or the
 * task is left to whoever has it; so a worker owns up to MOST windows, and never waits for one while it
 * does. It looks before it takes, and stops at the first item that needs nothing: such a one never loses
 * its place. A resident that came so keeps its window until its quantum has begun, and so is not evicted
 * before it ran. selftests/model/batch.pml.
 */
#include "debug/annotate.h"
#include "debug/inject.h"
#include "host/host.h"
#include "park/tier.h"
#include "sched/worker.h"

#define MOST 32u /* what the tasks behind, and thieves, have to wait for */

/* Only a hint for what the caller does not own. */
static GSTK__RACY bool remapped(uint32_t item)
{
	return item && !(item & GSTK__ITEM_WINDOW) && gstk__in_slot(gstk__task(item)->tier);
}

/* The oldest item, or 0; a thief may have it a moment later. */
static uint32_t oldest(struct gstk__deque *d)
{
	int64_t t = atomic_load_explicit(&d->top, memory_order_relaxed);
	struct gstk__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);

	if (t >= atomic_load_explicit(&d->bottom, memory_order_relaxed))
		return 0;
	return atomic_load_explicit(&r->item[t & r->mask], memory_order_relaxed);
}

static bool shared(const struct gstk_task *t)
{
	return gstk__word(t) & GSTK__SHARED;
}

/* The caller owns t's stack and whose is in its window: what is to be done. False: no memory. */
static bool prepare(struct gstk__park *p, struct gstk_task *t, struct gstk__move *m)
{
	struct gstk__window *win = gstk__win(t->window);
	struct gstk_task *r = win->resident ? gstk__task(win->resident) : NULL;

	*m = (struct gstk__move){ .in = t };
	if (!r || r == t)
		return true;
	gstk__count(&p->n.claims);
	if (r->tier != GSTK__TIER_RESIDENT)
		return true;
	if (gstk__used(r) < gstk__remap.batch_bytes)
		return gstk__evict(p, r, true) == 0;
	m->out = r;
	m->must = true;
	return true;
}

/* A mate's window that is owned and whose turn is over before it came: back into the line. */
static void put_back(struct gstk__worker *w, struct gstk_task *t)
{
	uint32_t window = t->window;
	struct gstk__window *win = gstk__win(window);

	t->tick = gstk__stamp(); /* it waits from here */
	if (win->resident == gstk__task_index(t))
		win->resident_ready = 1;
	else
		gstk__fifo_push(win, t);
	gstk__window_release(w, window);
}

/* An item that was seen to be in a slot. False: it is not, or cannot be had; it is where it belongs. */
static bool take(struct gstk__worker *w, uint32_t item, struct gstk__move *m)
{
	struct gstk_task *t;

	if (!item)
		return false;
	if (item & GSTK__ITEM_WINDOW || !(shared(t = gstk__task(item)) || remapped(item))) {
		gstk__push_ready(w, item); /* a thief was here: it is another one */
		return false;
	}
	if (!shared(t))
		return prepare(&w->park, t, m);
	if (!gstk__own_or_leave(t))
		return false;
	if (gstk__in_slot(t->tier) && prepare(&w->park, t, m))
		return true;
	put_back(w, t);
	return false;
}

/* It is there, or as it was: in a queue again. */
static void queue_again(struct gstk__worker *w, struct gstk__move *m)
{
	struct gstk_task *t = m->in;
	struct gstk__window *win = gstk__win(t->window);

	if (!shared(t)) {
		gstk__push_ready(w, gstk__task_index(t));
		return;
	}
	if (!m->err) {
		win->resident = gstk__task_index(t);
		win->flags |= GSTK__WIN_NOT_YET;
	}
	put_back(w, t);
}

void gstk__restore_together(struct gstk__worker *w, struct gstk_task *t)
{
	struct gstk__move m[MOST];
	uint32_t nr = 1;

	if (!prepare(&w->park, t, &m[0]))
		return;
	gstk__wake_batch_begin();
	while (nr < MOST && remapped(oldest(&w->ready))) {
		GSTK__INJECT(together);
		if (!take(w, gstk__deque_take_top(&w->ready, gstk__sched.alone), &m[nr]))
			break;
		nr++;
	}
	gstk__remap_moves(&w->park, m, nr);
	gstk__count_by(&w->park.n.remap_ahead, nr - 1);
	GSTK__INJECT(together_there);
	if (!m[0].err) {
		gstk__win(t->window)->resident = gstk__task_index(t);
		gstk__win(t->window)->claim_stamp = gstk__stamp();
	}
	for (uint32_t i = 1; i < nr; i++)
		queue_again(w, &m[i]);
	gstk__wake_batch_end();
}
