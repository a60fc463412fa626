// SPDX-License-Identifier: MIT
/*
 * Condition. Lock order: the condition's lock, then the mutex's bucket. The mutex is released while
 * the caller is in the queue and the queue locked, so no signal falls between.
 */
#include <greenstk/base.h>

#include "arch/far.h"
#include "host/refuse.h"
#include "wait/mutex.h"

static int wait_end(struct gstk_task *t, enum gstk__code code, void *m, uint32_t n)
{
	gstk_cond *c = t->obj;

	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
	} else {
		gstk__lock(gstk__waitq_lock(&c->q));
		gstk__waitq_unlink(&c->q, t);
		gstk__unlock(gstk__waitq_lock(&c->q));
	}
	/* Neither a cancel nor a deadline keeps it from the mutex. */
	gstk__mutex_relock(m, t);
	return gstk__code_errno(code);
}

GSTK__FAR_RETURN int gstk_cond_wait_until(gstk_cond *c, gstk_mutex *m, uint64_t deadline_ns)
{
	_Atomic uint32_t *lock = gstk__waitq_lock(&c->q);
	struct gstk_task *t;
	int r = gstk__wait_begin(&t, "gstk_cond_wait");

	if (unlikely(r))
		return r;
	if (unlikely(!m))
		return gstk__refuse("gstk_cond_wait: the mutex is NULL; give the one that guards what is waited for, locked");
	if (unlikely(gstk__refuse_shared(c, "gstk_cond_wait: the condition")))
		return -EINVAL;
	if (unlikely(!gstk__mutex_held(m, t)))
		return gstk__refuse_with(-EPERM, "gstk_cond_wait: the caller does not hold the mutex at %p; lock it first", (void *)m);
	/* Where nobody may wait, the mutex could not be waited for either, and must not be given away. */
	r = gstk__may_wait();
	if (unlikely(r))
		return r;
	if (unlikely(gstk__wait_expired(deadline_ns)))
		return -ETIMEDOUT;
	gstk__lock(lock);
	t->obj = c;
	gstk__waitq_push(&c->q, t);
	gstk__mutex_release(m, t);
	return gstk__block_then(lock, GSTK__WAIT_COND, deadline_ns, wait_end, m, 0);
}

int gstk_cond_wait(gstk_cond *c, gstk_mutex *m)
{
	return gstk_cond_wait_until(c, m, GSTK_NEVER);
}

static int wake(gstk_cond *c, bool all)
{
	struct gstk__wakes list = { 0, 0, 0 };

	if (unlikely(gstk__refuse_shared(c, "gstk_cond_signal: the condition")))
		return -EINVAL;
	gstk__lock(gstk__waitq_lock(&c->q));
	if (all)
		gstk__waitq_wake_all(&c->q, &list);
	else
		gstk__waitq_wake_one(&c->q, &list);
	gstk__unlock(gstk__waitq_lock(&c->q));
	gstk__wakes_flush(&list);
	return 0;
}

int gstk_cond_signal(gstk_cond *c)
{
	return wake(c, false);
}

int gstk_cond_broadcast(gstk_cond *c)
{
	return wake(c, true);
}
