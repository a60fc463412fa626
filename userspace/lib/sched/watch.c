// SPDX-License-Identifier: MIT
/*
 * A pinned task can run on its worker only. When it parks and the worker has nothing else to do, the
 * worker spins on the task itself: on ->next, which nobody else needs meanwhile, in the cache line
 * that the waker writes anyhow. A waker that finds WATCHED there makes it GIVEN, and is done: no
 * inbox, no second line, no system call. Model: selftests/model/watch.pml. See bench
 * chan.pinned.2workers.
 */
#include "sched/worker.h"

#include "host/host.h"

#define WATCHED	     (UINT32_MAX - 1)
#define GIVEN	     (UINT32_MAX - 2)
#define WATCH_MAX_NS 10000u /* then the search goes on in the other queues */

bool gstk__may_spin(void)
{
	struct gstk__sched *s = &gstk__sched;

	/* More workers awake than CPUs: we would keep the one we wait for from running. */
	return s->nr - atomic_load_explicit(&s->sleeping, memory_order_relaxed) <= s->cpus && s->cpus > 1;
}

void gstk__watch_begin(struct gstk__worker *w, struct gstk_task *t)
{
	if (!gstk__may_spin())
		return;
	__atomic_store_n(&t->next, WATCHED, __ATOMIC_RELAXED); /* out with the release of its park */
	w->watched = gstk__task_index(t);
}

bool gstk__watch_give(struct gstk_task *t)
{
	uint32_t old = WATCHED;

	return __atomic_load_n(&t->next, __ATOMIC_RELAXED) == WATCHED &&
	       __atomic_compare_exchange_n(&t->next, &old, GIVEN, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE);
}

static inline bool given(struct gstk_task *t)
{
	return __atomic_load_n(&t->next, __ATOMIC_ACQUIRE) == GIVEN;
}

/* Anything else to do than to watch? Lines that are ours or hardly ever written. */
static bool distracted(struct gstk__worker *w)
{
	struct gstk__sched *s = &gstk__sched;

	return atomic_load_explicit(&w->inbox, memory_order_relaxed) || w->pinned ||
	       atomic_load_explicit(&s->inject_nr, memory_order_relaxed) ||
	       atomic_load_explicit(&s->stop, memory_order_relaxed) || gstk__deque_len(&w->ready) > 0 ||
	       gstk__deque_len(&w->fresh) > 0 || atomic_load_explicit(&w->next, memory_order_relaxed);
}

/* Stop watching, after a while when there is no other @item to run. The task when it was given. */
uint32_t gstk__watch(struct gstk__worker *w, bool patient)
{
	struct gstk_task *t = gstk__task(w->watched);
	uint32_t old = WATCHED;

	w->watched = 0;
	if (patient && !given(t) && !distracted(w)) {
		uint64_t limit = w->spin_ns < WATCH_MAX_NS ? w->spin_ns : WATCH_MAX_NS;
		uint64_t start = gstk__now_ns();

		for (uint32_t i = 1; !given(t); i++) {
			if (i % 4 == 0)
				gstk__cpu_relax();
			if (i % 64 == 0 && (distracted(w) || gstk__now_ns() - start > limit))
				break;
		}
	}
	if (given(t))
		return gstk__task_index(t);
	if (__atomic_compare_exchange_n(&t->next, &old, 0, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
		return 0;
	return old == GIVEN ? gstk__task_index(t) : 0; /* else it is in our inbox */
}
