// SPDX-License-Identifier: MIT
/* Once. state: 0 new, DONE, or the index of the task that runs the function << 1. */
#include <greenstk/base.h>

#include "wait/waitq.h"

#define DONE 1u

int gstk_once_run(gstk_once *o, void (*fn)(void *), void *arg)
{
	_Atomic uint32_t *state = (_Atomic uint32_t *)&o->state, *lock = gstk__waitq_lock(&o->q);
	struct gstk__wakes list = { 0, 0, 0 };
	struct gstk_task *t;
	uint32_t s;
	int r;

	/* Acquire: partner is the release store of DONE below. */
	if (likely(atomic_load_explicit(state, memory_order_acquire) == DONE))
		return 0;
	r = gstk__wait_begin(&t);
	if (unlikely(r))
		return r;
	if (unlikely(gstk__refuse_shared(o, "gstk_once_run: the once")))
		return -EINVAL;
	gstk__lock(lock);
	s = atomic_load_explicit(state, memory_order_relaxed);
	if (s == DONE) {
		gstk__unlock(lock);
		return 0;
	}
	if (s) {
		if (s >> 1 != gstk__task_index(t))
			return gstk__waitq_wait(&o->q, t, GSTK__WAIT_ONCE, GSTK_NEVER);
		gstk__unlock(lock);
		return -EDEADLK;
	}
	atomic_store_explicit(state, gstk__task_index(t) << 1, memory_order_relaxed);
	gstk__unlock(lock);
	fn(arg);
	gstk__lock(lock);
	atomic_store_explicit(state, DONE, memory_order_release);
	gstk__waitq_wake_all(&o->q, &list);
	gstk__unlock(lock);
	gstk__wakes_flush(&list);
	return 0;
}
