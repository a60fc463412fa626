// SPDX-License-Identifier: MIT
/*
 * Where a worker finds work: its queues, the tasks pinned to it, what was injected, and the others' queues.
 */
#include <greenstk/base.h>

#include "debug/annotate.h"
#include "debug/probe.h"
#include "debug/trace.h"
#include "host/host.h"
#include "sched/worker.h"

/* Pinned tasks, oldest first, to the ready queue. */
static void take_pinned(struct gstk__worker *w)
{
	uint32_t i = atomic_exchange_explicit(&w->inbox, 0, memory_order_acquire), rev = 0, next;

	for (; i; i = next) {
		next = gstk__task(i)->next;
		gstk__task(i)->next = rev;
		rev = i;
	}
	for (i = rev; i; i = next) {
		next = gstk__task(i)->next;
		gstk__task(i)->next = w->pinned;
		/* keep order: append */
		if (!w->pinned) {
			w->pinned = i;
		} else {
			gstk__task(w->pinned_tail)->next = i;
		}
		w->pinned_tail = i;
		gstk__task(i)->next = 0;
	}
}

uint32_t gstk__next_pinned(struct gstk__worker *w)
{
	uint32_t i;

	if (atomic_load_explicit(&w->inbox, memory_order_relaxed))
		take_pinned(w);
	i = w->pinned;
	if (i)
		w->pinned = gstk__task(i)->next;
	return i;
}

void gstk__pinned_first(struct gstk__worker *w, uint32_t i)
{
	gstk__task(i)->next = w->pinned;
	if (!w->pinned)
		w->pinned_tail = i;
	w->pinned = i;
}

/*
 * Has this been so for a while? A thief leaves alone what its worker will run in a moment: the
 * next-to-run slot, and the only item of a queue.
 */
static bool watched(struct gstk__worker *w, struct gstk__worker *v, uint64_t what, uint64_t patience_ns)
{
	uint64_t now = gstk__now_ns();

	if (w->watch_what == what && w->watch_worker == v->index)
		return now - w->watch_since > patience_ns;
	w->watch_what = what;
	w->watch_worker = v->index;
	w->watch_since = now;
	return false;
}

static uint32_t steal_ready(struct gstk__worker *w, struct gstk__worker *v)
{
	int64_t len = gstk__deque_len(&v->ready);
	uint32_t item;

	if (len <= 0 || (len == 1 && !watched(w, v, (uint64_t)atomic_load(&v->ready.top), 20000)))
		return 0;
	item = gstk__deque_steal(&v->ready);
	/* A few more while we are here, so that thieves come less often. */
	for (int64_t more = item ? gstk__deque_len(&v->ready) / 2 : 0; more > 0 && more < 32; more--) {
		uint32_t other = gstk__deque_steal(&v->ready);

		if (!other)
			break;
		if (!gstk__deque_push(&w->ready, other))
			gstk__inject(other);
	}
	return item;
}

static uint32_t steal_next(struct gstk__worker *w, struct gstk__worker *v)
{
	uint32_t next = atomic_load_explicit(&v->next, memory_order_relaxed);
	uint64_t switches = __atomic_load_n(&v->park.n.switches, __ATOMIC_RELAXED);

	if (!next || !watched(w, v, switches << 32 | next, 50000) ||
	    !atomic_compare_exchange_strong_explicit(&v->next, &next, 0, memory_order_acq_rel,
						     memory_order_relaxed))
		return 0;
	return next;
}

static uint32_t steal_from(struct gstk__worker *w, struct gstk__worker *v)
{
	uint32_t item = steal_ready(w, v);

	if (!item)
		item = gstk__deque_steal(&v->fresh);
	if (!item)
		item = steal_next(w, v);
	if (item) {
		gstk__count(&w->park.n.steals);
		GSTK__PROBE3(steal, w->index, v->index, item);
		GSTK__TRACE(steal(w, v->index, item));
	}
	return item;
}

/* Everything but waiting: own queues, pinned and injected tasks, other workers. */
uint32_t gstk__find_work(struct gstk__worker *w)
{
	struct gstk__sched *s = &gstk__sched;
	uint32_t item = gstk__pick(w), start;

	if (item || (item = gstk__next_pinned(w)) || (item = gstk__uninject(w)))
		return item;
	if (s->alone)
		return 0;
	start = gstk__random(w) % s->nr;
	for (uint32_t i = 0; i < s->nr && !item; i++) {
		struct gstk__worker *v = s->worker[(start + i) % s->nr];

		if (v != w)
			item = steal_from(w, v);
	}
	return item;
}

/* Is there work that this worker could run? For the last look before sleeping. */
GSTK__RACY bool gstk__work_visible(struct gstk__worker *w)
{
	struct gstk__sched *s = &gstk__sched;

	if (atomic_load(&w->inbox) || w->pinned || atomic_load(&s->inject_nr) || atomic_load(&w->next))
		return true;
	for (uint32_t i = 0; i < s->nr; i++)
		if (gstk__deque_len(&s->worker[i]->ready) > 0 || gstk__deque_len(&s->worker[i]->fresh) > 0)
			return true;
	return false;
}
