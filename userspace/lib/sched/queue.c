// SPDX-License-Identifier: MIT
/* Putting items into a worker's queues, and enqueueing what was won. */
#include "sched/worker.h"

#include "debug/annotate.h"
#include "debug/inject.h"
#include "debug/probe.h"
#include "debug/trace.h"
#include "host/host.h"
#include "sched/foreign.h"

struct gstk__sched gstk__sched;
/* used: gstk__self() reads it in asm only, so with LTO its writes would look useless. */
__thread struct gstk__worker *gstk__tls_worker __attribute__((tls_model("initial-exec"), used));

#ifndef __x86_64__
struct gstk__worker *gstk__self_slow(void);
__attribute__((noinline)) struct gstk__worker *gstk__self_slow(void)
{
	struct gstk__worker *w = gstk__tls_worker;

	__asm__ volatile("" : "+r"(w));
	return w;
}
#endif

/* Of a batch; the other two only take the short way. */
static inline bool batching(const struct gstk__worker *w)
{
	return w->batch & ~(GSTK__BATCH_TRACED | GSTK__BATCH_OUTSIDE);
}

/* Its own thread brings work from outside its tasks, and then waits for the descriptor. */
static inline void tell_outside(struct gstk__worker *w)
{
	if (__builtin_expect(w->batch & GSTK__BATCH_OUTSIDE, 0))
		gstk__wake_worker(w->index);
}

/*
 * New work became visible: does an idle worker have to look? For the only item in a queue rarely:
 * its own worker comes to it soon, and to wake another CPU costs 66 us. How rarely depends on how
 * often such wakes were in vain; a sleeper looks by itself after a millisecond (idle.c).
 */
static inline void pushed(struct gstk__worker *w, int64_t len)
{
	if (gstk__sched.alone) {
		tell_outside(w);
		return;
	}
	if (batching(w)) {
		w->batch_wakes += 2;
		return;
	}
	if (len <= 1 && (++w->lone_pushes & atomic_load_explicit(&gstk__sched.lone_mask, memory_order_relaxed)))
		return;
	/* Partner: gstk__idle(), which announces itself and then looks at all queues again. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&gstk__sched.sleeping, memory_order_relaxed) &&
	    !atomic_load_explicit(&gstk__sched.searching, memory_order_relaxed))
		gstk__wake_idle(w);
}

void gstk__push_ready(struct gstk__worker *w, uint32_t item)
{
	if (__builtin_expect(!gstk__deque_push(&w->ready, item), 0))
		gstk__inject(item);
	pushed(w, gstk__sched.alone ? 0 : gstk__deque_len(&w->ready));
}

void gstk__push_fresh(struct gstk__worker *w, uint32_t item)
{
	if (__builtin_expect(!gstk__deque_push(&w->fresh, item), 0))
		gstk__inject(item);
	pushed(w, gstk__sched.alone ? 0 : gstk__deque_len(&w->fresh));
}

void gstk__push_next(struct gstk__worker *w, uint32_t item)
{
	uint32_t old;

	if (gstk__sched.alone) {
		old = atomic_load_explicit(&w->next, memory_order_relaxed);
		atomic_store_explicit(&w->next, item, memory_order_relaxed);
		tell_outside(w);
	} else {
		old = atomic_exchange_explicit(&w->next, item, memory_order_acq_rel);
	}
	if (old)
		gstk__push_ready(w, old);
}

static void enqueue_pinned(struct gstk_task *t)
{
	struct gstk__worker *w;
	uint32_t head;

	if (gstk__watch_give(t))
		return;
	w = gstk__sched.worker[gstk__ext(t)->worker];
	head = atomic_load_explicit(&w->inbox, memory_order_relaxed);
	do {
		__atomic_store_n(&t->next, head, __ATOMIC_RELAXED);
	} while (!atomic_compare_exchange_weak_explicit(&w->inbox, &head, gstk__task_index(t),
							memory_order_seq_cst, memory_order_relaxed));
	if (w != gstk__self())
		gstk__wake_worker(w->index);
	else
		tell_outside(w);
}

/* True: it runs next. */
static __attribute__((noinline)) bool enqueue_slow(struct gstk_task *t)
{
	struct gstk__worker *w = gstk__self();

	GSTK__TRACE(wake(t));
	if (w)
		gstk__count(&w->park.n.wakes);
	if (__builtin_expect(gstk__flags(t) & (GSTK__T_FOREIGN | GSTK__T_PINNED), 0)) {
		if (gstk__flags(t) & GSTK__T_FOREIGN)
			gstk__foreign_wake(t);
		else
			enqueue_pinned(t);
	} else if (!w) {
		gstk__inject(gstk__task_index(t));
		gstk__injected();
	} else if (batching(w) || atomic_load_explicit(&w->next, memory_order_relaxed)) {
		gstk__push_ready(w, gstk__task_index(t));
	} else {
		gstk__push_next(w, gstk__task_index(t));
		return true;
	}
	return false;
}

/* The short way: into the empty next-to-run slot of this worker. */
static inline __attribute__((always_inline)) bool enqueue_next(struct gstk__worker *w, struct gstk_task *t)
{
	uint32_t old;

	if (__builtin_expect(!w || (gstk__flags(t) & (GSTK__T_FOREIGN | GSTK__T_PINNED)) || w->batch ||
			     atomic_load_explicit(&w->next, memory_order_relaxed), 0))
		return false;
	gstk__count(&w->park.n.wakes);
	if (__builtin_expect(gstk__peek_byte(&t->tier) != GSTK__TIER_RESIDENT, 0))
		gstk__look_ahead_next(w, t);
	if (gstk__sched.alone) {
		atomic_store_explicit(&w->next, gstk__task_index(t), memory_order_relaxed);
		return true;
	}
	old = atomic_exchange_explicit(&w->next, gstk__task_index(t), memory_order_acq_rel);
	if (__builtin_expect(old != 0, 0))
		gstk__push_ready(w, old);
	return true;
}

void gstk__enqueue(struct gstk_task *t)
{
	GSTK__INJECT(won);
	GSTK__PROBE1(wake, t);
	if (!enqueue_next(gstk__self(), t))
		enqueue_slow(t);
}

/*
 * The receiver runs as soon as the caller parks or yields: one switch, past the queue. Not at once: a
 * sender mostly goes on to wait itself, and to leave it before that costs it a second trip for every
 * message (ring.503: 95 ns a hop instead of 42).
 */
void gstk__handoff(struct gstk_task *t)
{
	struct gstk__worker *w = gstk__self();

	GSTK__PROBE1(wake, t);
	if (enqueue_next(w, t) || enqueue_slow(t))
		gstk__count(&w->park.n.handoffs);
}

void gstk__wake_batch_begin(void)
{
	struct gstk__worker *w = gstk__self();

	if (w)
		w->batch++;
}

void gstk__wake_batch_end(void)
{
	struct gstk__worker *w = gstk__self();

	if (!w)
		return;
	w->batch--;
	if (!batching(w) && w->batch_wakes) {
		w->batch_wakes = 0;
		pushed(w, 2);
	}
}

bool gstk__wake(struct gstk_task *t, enum gstk__code code)
{
	/* Before it is won: a thread may see that at once and end, and t be another task by then. */
	bool foreign = gstk__flags(t) & GSTK__T_FOREIGN;
	enum gstk__order order = gstk__state_wake(t, code, 0);

	if (order == GSTK__ENQUEUE && foreign)
		gstk__foreign_wake(t);
	else if (order == GSTK__ENQUEUE)
		gstk__enqueue(t);
	return order != GSTK__LOST;
}

void gstk__let_go(struct gstk_task *t)
{
	bool foreign = gstk__flags(t) & GSTK__T_FOREIGN;

	if (gstk__state_disown(t) != GSTK__ENQUEUE)
		return;
	GSTK__INJECT(let_go);
	if (foreign)
		gstk__foreign_wake(t);
	else
		gstk__enqueue(t);
}

bool gstk__wake_claim(struct gstk_task *t, enum gstk__code code, bool *won)
{
	enum gstk__order order = gstk__state_wake(t, code, 0);

	*won = order != GSTK__LOST;
	return order == GSTK__ENQUEUE;
}
