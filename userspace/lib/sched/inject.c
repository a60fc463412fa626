// SPDX-License-Identifier: MIT
/* The global queue: work from threads that are no workers, and overflow when memory is out. It is
 * linked through the items, so that putting something in cannot fail. */
#include "sched/worker.h"

#include "debug/inject.h"
#include "host/host.h"

uint32_t *gstk__item_link(uint32_t item)
{
	if (item & GSTK__ITEM_WINDOW)
		return &gstk__win(item & ~GSTK__ITEM_WINDOW)->next_free;
	return &gstk__task(item)->next;
}

void gstk__inject(uint32_t item)
{
	struct gstk__sched *s = &gstk__sched;

	*gstk__item_link(item) = 0;
	gstk__lock(&s->inject_lock);
	if (s->inject_head)
		*gstk__item_link(s->inject_tail) = item;
	else
		s->inject_head = item;
	s->inject_tail = item;
	atomic_fetch_add_explicit(&s->inject_nr, 1, memory_order_seq_cst);
	gstk__unlock(&s->inject_lock);
}

/* The oldest item; a few more go to the worker's own queue, a fair share of what is there. */
uint32_t gstk__uninject(struct gstk__worker *w)
{
	struct gstk__sched *s = &gstk__sched;
	uint32_t item, more;

	if (!atomic_load_explicit(&s->inject_nr, memory_order_relaxed))
		return 0;
	gstk__lock(&s->inject_lock);
	item = s->inject_head;
	if (item) {
		s->inject_head = *gstk__item_link(item);
		more = (atomic_load_explicit(&s->inject_nr, memory_order_relaxed) - 1) / s->nr;
		if (more > 64)
			more = 64;
		atomic_fetch_sub_explicit(&s->inject_nr, 1, memory_order_relaxed);
		while (more-- && s->inject_head) {
			uint32_t other = s->inject_head, next = *gstk__item_link(other);

			if (!gstk__deque_push(&w->ready, other))
				break;
			GSTK__INJECT(uninjected);
			s->inject_head = next; /* a thief may have the other by now, and its link be another's */
			atomic_fetch_sub_explicit(&s->inject_nr, 1, memory_order_relaxed);
		}
	}
	gstk__unlock(&s->inject_lock);
	return item;
}
