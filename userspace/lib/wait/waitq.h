// SPDX-License-Identifier: MIT
/*
 * A queue of waiting tasks, linked by ->wnext/->wprev under the lock of what they wait for.
 *
 * - Empty is head == 0; tail means something only when there is a head.
 * - ->wprev is UNLINKED outside any queue; that of the head may be stale. So a pop does not touch
 *   the next waiter, whose cache line is cold.
 * - A waiter that was popped but whose wait was decided by somebody else (cancel, timeout) finds
 *   itself unlinked: it always takes the lock before it leaves such a wait, so whoever pops it may
 *   touch it until he unlocks.
 * - A waiter whose wait was won runs after the winner has unlocked and enqueues it. But when its
 *   stack had an owner at that time (GSTK__LEFT), or when it is a thread that is no worker, it may
 *   run, return and free the object while the winner still holds the lock. So in these cases the
 *   winner marks the waiter BUSY before, and clears the mark after he has unlocked; a waiter that is
 *   let in waits for that (gstk__wait_released()). Neither touches the object after that: either may
 *   free it.
 */
#ifndef GSTK__WAIT_WAITQ_H
#define GSTK__WAIT_WAITQ_H

#include <greenstk/sync.h>

#include "sched/sched.h"
#include "task/state.h"
#include "window/refuse.h"

#define GSTK__UNLINKED	UINT32_MAX
#define GSTK__BUSY	(UINT32_MAX - 1) /* in ->wnext */
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

void gstk__wait_busy(struct gstk_task *t);

static inline _Atomic uint32_t *gstk__waitq_lock(struct gstk__waitq *q)
{
	return (_Atomic uint32_t *)&q->lock;
}

static inline void gstk__waitq_push(struct gstk__waitq *q, struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	t->wnext = 0;
	t->wprev = 0;
	if (q->head) {
		t->wprev = q->tail;
		gstk__task(q->tail)->wnext = i;
	} else {
		q->head = i;
	}
	q->tail = i;
	q->nr++;
}

static inline void gstk__waitq_push_front(struct gstk__waitq *q, struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	t->wprev = 0;
	t->wnext = q->head;
	if (q->head)
		gstk__task(q->head)->wprev = i;
	else
		q->tail = i;
	q->head = i;
	q->nr++;
}

/* The oldest waiter, unlinked, or NULL. */
static inline struct gstk_task *gstk__waitq_pop(struct gstk__waitq *q)
{
	struct gstk_task *t;

	if (!q->head)
		return NULL;
	t = gstk__task(q->head);
	q->head = t->wnext;
	t->wprev = GSTK__UNLINKED;
	q->nr--;
	return t;
}

/* Of a waiter that gave up; nothing when it was popped meanwhile. */
static inline void gstk__waitq_unlink(struct gstk__waitq *q, struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	if (t->wprev == GSTK__UNLINKED)
		return;
	if (q->head == i) {
		q->head = t->wnext;
	} else {
		gstk__task(t->wprev)->wnext = t->wnext;
		if (t->wnext)
			gstk__task(t->wnext)->wprev = t->wprev;
		else
			q->tail = t->wprev;
	}
	t->wprev = GSTK__UNLINKED;
	q->nr--;
}

/* The winner may still be at the object. Pairs with gstk__wake_released(). Usually one load. */
static inline void gstk__wait_released(struct gstk_task *t)
{
	while (unlikely(__atomic_load_n(&t->wnext, __ATOMIC_ACQUIRE) == GSTK__BUSY))
		gstk__wait_busy(t);
}

static inline bool gstk__wait_is_released(struct gstk_task *t)
{
	return likely(__atomic_load_n(&t->wnext, __ATOMIC_ACQUIRE) != GSTK__BUSY);
}

/* The winner of a wait with GSTK__LEFT has unlocked. */
static inline void gstk__wake_released(struct gstk_task *t)
{
	/* Before the mark goes: then the thread may end and t be somebody else. */
	if (gstk__flags(t) & GSTK__T_FOREIGN)
		gstk__enqueue(t);
	__atomic_store_n(&t->wnext, 0, __ATOMIC_RELEASE);
}

enum gstk__order gstk__wake_owned(struct gstk_task *t, enum gstk__code code);

/* Decide the wait of a task that was popped, with its lock held. ENQUEUE: gstk__enqueue() it after
 * unlocking. LEFT: call gstk__wake_released() after unlocking. */
static inline enum gstk__order gstk__wake_popped(struct gstk_task *t, enum gstk__code code)
{
	enum gstk__order order = GSTK__LEFT;

	if (likely(!(gstk__flags(t) & GSTK__T_FOREIGN)))
		order = gstk__state_wake_parked(t, code);
	return likely(order != GSTK__LEFT) ? order : gstk__wake_owned(t, code);
}

/* Tasks that were won under a lock, to be finished after it: chains through ->wnext (to enqueue) and
 * ->wprev (LEFT). */
struct gstk__wakes {
	uint32_t head, tail;
	uint32_t left;
};

/* Decide the wait of @t, which was popped, with @code. True when it was won. */
static inline bool gstk__wakes_add(struct gstk__wakes *list, struct gstk_task *t, enum gstk__code code)
{
	enum gstk__order order = gstk__wake_popped(t, code);
	uint32_t i = gstk__task_index(t);

	if (likely(order == GSTK__ENQUEUE)) {
		t->wnext = 0;
		if (list->head)
			gstk__task(list->tail)->wnext = i;
		else
			list->head = i;
		list->tail = i;
	} else if (order == GSTK__LEFT) {
		t->wprev = list->left;
		list->left = i;
	}
	return order != GSTK__LOST;
}

void gstk__wakes_flush_slow(const struct gstk__wakes *list);

/* Make them run. Hold no lock. */
static inline void gstk__wakes_flush(const struct gstk__wakes *list)
{
	if (list->head | list->left)
		gstk__wakes_flush_slow(list);
}

/* Wake the oldest waiter whose wait can be won; false when there is none. Lock held. */
static inline bool gstk__waitq_wake_one(struct gstk__waitq *q, struct gstk__wakes *list)
{
	struct gstk_task *t;

	while ((t = gstk__waitq_pop(q)))
		if (gstk__wakes_add(list, t, GSTK__CODE_OK))
			return true;
	return false;
}

static inline void gstk__waitq_wake_all(struct gstk__waitq *q, struct gstk__wakes *list)
{
	while (gstk__waitq_wake_one(q, list))
		;
}

/* What every call that may park asks first: the caller, or an error. @call: its name, for that. */
static inline int gstk__wait_begin(struct gstk_task **t, const char *call)
{
	*t = gstk__current();
	if (unlikely(!*t))
		return gstk__no_task(call);
	return unlikely(gstk__cancel_pending(*t)) ? -ECANCELED : 0;
}

/* The caller where it may just go on: a task on a worker, not cancelled. Else NULL: gstk__wait_begin() says more. */
static inline struct gstk_task *gstk__ready_task(void)
{
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t = likely(w) ? *(struct gstk_task **)w : NULL;

	return likely(t && !gstk__cancel_pending(t)) ? t : NULL;
}

/*
 * Lock held; links the caller at the end of @q and parks it. Returns with the lock released and the
 * caller unlinked: 0 when it was let in, -ECANCELED, -ETIMEDOUT. With @slow: a deadline that has
 * passed does not park at all.
 */
int gstk__waitq_wait(struct gstk__waitq *q, struct gstk_task *t, enum gstk__why why, uint64_t deadline_ns);
/* The second half of that, for a wait that ended with @code. */
int gstk__waitq_waited(struct gstk__waitq *q, struct gstk_task *t, enum gstk__code code);

/* True when there is no point in parking until @deadline_ns. */
bool gstk__has_passed(uint64_t deadline_ns);
static inline bool gstk__wait_expired(uint64_t deadline_ns)
{
	return unlikely(deadline_ns != GSTK_NEVER) && gstk__has_passed(deadline_ns);
}

#endif
