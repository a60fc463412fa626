// SPDX-License-Identifier: MIT
/*
 * Condition. Lock order: the condition's lock, then the mutex's bucket. The mutex is released while
 * the caller is in the queue and the queue locked, so no signal falls between.
 */
#include <greenstk/base.h>

#include "arch/far.h"
#include "wait/mutex.h"

GSTK__FAR_RETURN int gstk_cond_wait_until(gstk_cond *c, gstk_mutex *m, uint64_t deadline_ns)
{
	_Atomic uint32_t *lock = gstk__waitq_lock(&c->q);
	struct gstk_task *t;
	enum gstk__code code;
	int r = gstk__wait_begin(&t);

	if (unlikely(r))
		return r;
	if (unlikely(gstk__refuse_shared(c, "gstk_cond_wait: the condition")))
		return -EINVAL;
	if (unlikely(!gstk__mutex_held(m, t)))
		return -EPERM;
	if (unlikely(gstk__wait_expired(deadline_ns)))
		return -ETIMEDOUT;
	gstk__lock(lock);
	t->obj = c;
	gstk__waitq_push(&c->q, t);
	gstk__mutex_release(m, t);
	code = gstk__block_unlock(lock, GSTK__WAIT_COND, deadline_ns);
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
	} else {
		gstk__lock(lock);
		gstk__waitq_unlink(&c->q, t);
		gstk__unlock(lock);
	}
	/* Neither a cancel nor a deadline keeps it from the mutex. */
	gstk__mutex_relock(m, t);
	return gstk__code_errno(code);
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
