// SPDX-License-Identifier: MIT
/*
 * OPTIONAL: looking ahead in the queue. With thousands of tasks awake each turn misses the cache and
 * the TLB on the task, on its window, on the stack that leaves it and on the image that comes. Each is
 * asked for when what leads to it has arrived:
 *
 *	turns ahead	4	3		2		1
 *	asked for	task	window, image,	resident's	resident's stack,
 *				or stack	task		or the empty place
 *
 * What goes to the next-to-run slot has no turns ahead: of a stack that is not there all is asked for at
 * once, and arrives while the waker goes on to its own wait.
 *
 * A stale answer only prefetches in vain. See bench wake.evicted.1e6, yield.10000, echo.1000,
 * chan.hop.evicted.
 */
#include "debug/annotate.h"
#include "sched/worker.h"

static inline uint32_t ahead(const struct gstk__ring *r, int64_t i)
{
	return atomic_load_explicit(&r->item[i & r->mask], memory_order_relaxed);
}

GSTK__RACY_INLINE uint32_t window_of(uint32_t item)
{
	return item & GSTK__ITEM_WINDOW ? item & ~GSTK__ITEM_WINDOW : gstk__task(item)->window;
}

GSTK__RACY_INLINE bool moves(uint32_t item)
{
	return item & GSTK__ITEM_WINDOW || gstk__task(item)->tier != GSTK__TIER_RESIDENT;
}

GSTK__RACY void gstk__look_ahead_far(struct gstk__worker *w, int64_t t)
{
	struct gstk__ring *r = atomic_load_explicit(&w->ready.ring, memory_order_relaxed);
	uint32_t item;

	w->looked = t;
	item = ahead(r, t + 3);
	__builtin_prefetch(item & GSTK__ITEM_WINDOW ? (void *)gstk__win(item & ~GSTK__ITEM_WINDOW)
						    : (void *)gstk__task(item), 1);
	item = ahead(r, t + 2);
	if (!(item & GSTK__ITEM_WINDOW)) {
		struct gstk_task *n = gstk__task(item);

		if (n->tier == GSTK__TIER_RESIDENT) {
			/* Any value of sp is fine: it is only a hint. */
			__builtin_prefetch(n->sp, 1);
			__builtin_prefetch((char *)n->sp + 64, 1);
		} else if (n->tier == GSTK__TIER_STACKLESS) {
			__builtin_prefetch(n->stackless, 1);
		} else if (gstk__prefetch(&w->park, n)) {
			w->prefetched[item % 8] = item;
		}
		if (atomic_load_explicit(&n->word, memory_order_relaxed) & GSTK__SHARED)
			__builtin_prefetch(gstk__win(n->window), 1);
	}
	item = ahead(r, t + 1);
	if (moves(item))
		__builtin_prefetch(gstk__task(gstk__win(window_of(item))->resident), 1);
	item = ahead(r, t);
	if (moves(item)) {
		uint32_t resident = gstk__win(window_of(item))->resident;

		if (resident && gstk__task(resident)->tier == GSTK__TIER_RESIDENT)
			gstk__prefetch_stack(gstk__task(resident));
		else if (!(item & GSTK__ITEM_WINDOW))
			gstk__prefetch_stack(gstk__task(item));
	}
}

GSTK__RACY void gstk__look_ahead_next(struct gstk__worker *w, struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	if (t->tier == GSTK__TIER_STACKLESS) {
		__builtin_prefetch(t->stackless, 1);
		return;
	}
	if (w->current && w->current->window == t->window)
		return; /* the waker is in its place: all of that is warm */
	__builtin_prefetch(gstk__win(t->window), 1);
	if (gstk__prefetch(&w->park, t))
		w->prefetched[i % 8] = i;
	gstk__prefetch_stack(t); /* the other's lies where this one will */
	__builtin_prefetch(gstk__task(gstk__win(t->window)->resident), 1);
}
