// SPDX-License-Identifier: MIT
#include "wait/waitq.h"

#include <greenstk/base.h>

#include <sched.h>
#include "arch/far.h"
#include "host/host.h"
#include "sched/here.h"

#define FAR_NS 100000000u

/* The clock costs more than the rest of a wait, and a deadline is mostly far. Where it has passed although it was far a
 * moment ago, its timer is due at once. */
bool gstk__has_passed(uint64_t deadline_ns)
{
	uint64_t known = gstk__known_ns();

	return (!known || deadline_ns < known + FAR_NS) && deadline_ns <= gstk__now_ns();
}

/* A few instructions of another thread, unless that was preempted. */
void gstk__wait_busy(struct gstk_task *t)
{
	for (int i = 0; i < 50; i++) {
		if (__atomic_load_n(&t->wnext, __ATOMIC_ACQUIRE) != GSTK__BUSY)
			return;
		gstk__cpu_relax();
	}
	sched_yield();
}

__attribute__((noinline)) enum gstk__order gstk__wake_owned(struct gstk_task *t, enum gstk__code code)
{
	enum gstk__order order;

	__atomic_store_n(&t->wnext, GSTK__BUSY, __ATOMIC_RELAXED);
	order = gstk__state_wake(t, code, 0);
	if (order == GSTK__ENQUEUE && (gstk__flags(t) & GSTK__T_FOREIGN))
		return GSTK__LEFT; /* it does not wait for its futex when it looks at its word just now */
	if (order != GSTK__LEFT)
		__atomic_store_n(&t->wnext, 0, __ATOMIC_RELAXED);
	return order;
}

void gstk__wakes_flush_slow(const struct gstk__wakes *list)
{
	uint32_t next;

	for (uint32_t i = list->left; i; i = next) {
		next = gstk__task(i)->wprev; /* before: it may go on and wait elsewhere */
		gstk__wake_released(gstk__task(i));
	}
	if (!list->head)
		return;
	if (!gstk__task(list->head)->wnext) {
		gstk__enqueue(gstk__task(list->head));
		return;
	}
	gstk__wake_batch_begin();
	for (uint32_t i = list->head; i; i = next) {
		next = gstk__task(i)->wnext; /* before: as above */
		gstk__enqueue(gstk__task(i));
	}
	gstk__wake_batch_end();
}

static inline __attribute__((always_inline)) int waited(struct gstk__waitq *q, struct gstk_task *t, enum gstk__code code)
{
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
		return 0;
	}
	gstk__lock(gstk__waitq_lock(q));
	gstk__waitq_unlink(q, t);
	gstk__unlock(gstk__waitq_lock(q));
	return gstk__code_errno(code);
}

static __attribute__((noinline)) int wait_end_slow(struct gstk_task *t, enum gstk__code code, void *q, uint32_t n)
{
	return waited(q, t, code);
}

static int wait_end(struct gstk_task *t, enum gstk__code code, void *q, uint32_t n)
{
	return likely(code == GSTK__CODE_OK && gstk__wait_is_released(t)) ? 0 : wait_end_slow(t, code, q, n);
}

static __attribute__((noinline)) GSTK__FAR_RETURN int wait_until(struct gstk__waitq *q, struct gstk_task *t,
								 enum gstk__why why, uint64_t deadline_ns)
{
	if (unlikely(gstk__wait_expired(deadline_ns))) {
		gstk__unlock(gstk__waitq_lock(q));
		return -ETIMEDOUT;
	}
	if (gstk__no_wait_here())
		return gstk__wait_refused(gstk__waitq_lock(q));
	t->obj = q;
	gstk__waitq_push(q, t);
	return gstk__block_then(gstk__waitq_lock(q), why, deadline_ns, wait_end, q, 0);
}

GSTK__FAR_RETURN int gstk__waitq_wait(struct gstk__waitq *q, struct gstk_task *t, enum gstk__why why, uint64_t deadline_ns)
{
	if (unlikely(deadline_ns != GSTK_NEVER))
		return wait_until(q, t, why, deadline_ns);
	if (gstk__no_wait_here())
		return gstk__wait_refused(gstk__waitq_lock(q));
	t->obj = q;
	gstk__waitq_push(q, t);
	return gstk__block_then(gstk__waitq_lock(q), why, GSTK_NEVER, wait_end, q, 0);
}

int gstk__waitq_waited(struct gstk__waitq *q, struct gstk_task *t, enum gstk__code code)
{
	return waited(q, t, code);
}
