// SPDX-License-Identifier: MIT
/* Locks and friends, for stackless tasks. */
#include "wait/await.h"
#include "wait/mutex.h"

#include <greenstk/base.h>

enum gstk_progress gstk_await_mutex(gstk_future *f, gstk_mutex *mutex, uint64_t deadline_ns)
{
	if (unlikely(gstk__await_refuse(f, mutex, "gstk_await_mutex: the mutex")))
		return gstk__await_over(f, -EINVAL);
	return gstk__await(f, GSTK__AWAIT_MUTEX, mutex, deadline_ns);
}

static int64_t mutex_begin(struct gstk_future *f)
{
	_Atomic uint32_t *lock;
	int r = gstk__mutex_begin(f->task->obj, f->task, f->deadline_ns, &lock);

	return gstk__await_park(f, lock, r);
}

static int64_t mutex_end(struct gstk_future *f, enum gstk__code code)
{
	_Atomic uint32_t *lock;
	int r = gstk__mutex_end(f->task->obj, f->task, code, f->deadline_ns, &lock);

	return gstk__await_park(f, lock, r);
}

const struct gstk__await gstk__await_mutex = { GSTK__WAIT_MUTEX, mutex_begin, mutex_end };

/* Lock held. As gstk__waitq_wait(), but for the park. */
static int64_t link_waiter(struct gstk_future *f, struct gstk__waitq *q)
{
	if (unlikely(gstk__wait_expired(f->deadline_ns))) {
		gstk__unlock(gstk__waitq_lock(q));
		return -ETIMEDOUT;
	}
	f->task->obj = q;
	gstk__waitq_push(q, f->task);
	f->lock = gstk__waitq_lock(q);
	return GSTK__AWAIT_PARK;
}

static int64_t waitq_end(struct gstk_future *f, enum gstk__code code)
{
	return gstk__waitq_waited(f->task->obj, f->task, code);
}

enum gstk_progress gstk_await_sem(gstk_future *f, gstk_sem *sem, uint64_t deadline_ns)
{
	if (unlikely(gstk__await_refuse(f, sem, "gstk_await_sem: the semaphore")))
		return gstk__await_over(f, -EINVAL);
	return gstk__await(f, GSTK__AWAIT_SEM, sem, deadline_ns);
}

static int64_t sem_begin(struct gstk_future *f)
{
	gstk_sem *s = f->task->obj;

	gstk__lock(gstk__waitq_lock(&s->q));
	if (!s->count)
		return link_waiter(f, &s->q);
	s->count--;
	gstk__unlock(gstk__waitq_lock(&s->q));
	return 0;
}

const struct gstk__await gstk__await_sem = { GSTK__WAIT_SEM, sem_begin, waitq_end };

enum gstk_progress gstk_await_waitgroup(gstk_future *f, gstk_waitgroup *group, uint64_t deadline_ns)
{
	if (unlikely(gstk__await_refuse(f, group, "gstk_await_waitgroup: the wait group")))
		return gstk__await_over(f, -EINVAL);
	return gstk__await(f, GSTK__AWAIT_WAITGROUP, group, deadline_ns);
}

static int64_t waitgroup_begin(struct gstk_future *f)
{
	gstk_waitgroup *g = f->task->obj;

	gstk__lock(gstk__waitq_lock(&g->q));
	if (g->count)
		return link_waiter(f, &g->q);
	gstk__unlock(gstk__waitq_lock(&g->q));
	return 0;
}

const struct gstk__await gstk__await_waitgroup = { GSTK__WAIT_WAITGROUP, waitgroup_begin, waitq_end };

/* The mutex is released under the condition's lock, as in cond.c. */
enum gstk_progress gstk_await_cond(gstk_future *f, gstk_cond *cond, gstk_mutex *mutex, uint64_t deadline_ns)
{
	if (unlikely(gstk__await_refuse(f, cond, "gstk_await_cond: the condition") ||
		     gstk__await_refuse(f, mutex, "gstk_await_cond: the mutex")))
		return gstk__await_over(f, -EINVAL);
	if (unlikely(!gstk__mutex_held(mutex, f->task)))
		return gstk__await_over(f, gstk__refuse_with(-EPERM, "gstk_await_cond: the caller does not hold the mutex at %p; "
							     "gstk_await_mutex() it first", (void *)mutex));
	f->s->arg = mutex;
	return gstk__await(f, GSTK__AWAIT_COND, cond, deadline_ns);
}

static int64_t cond_begin(struct gstk_future *f)
{
	gstk_cond *c = f->task->obj;
	int64_t r;

	gstk__lock(gstk__waitq_lock(&c->q));
	r = link_waiter(f, &c->q);
	if (likely(r == GSTK__AWAIT_PARK))
		gstk__mutex_release(f->s->arg, f->task);
	return r;
}

/* The mutex of a wait that is over, with the error ->len. */
static int64_t relocked(struct gstk_future *f, _Atomic uint32_t *lock, int r)
{
	if (r <= 0)
		return -(int64_t)f->s->len;
	gstk__await_through(f, GSTK__AWAIT_RELOCK);
	return gstk__await_park(f, lock, r);
}

/* Neither a cancel nor a deadline keeps it from the mutex. */
static int64_t cond_end(struct gstk_future *f, enum gstk__code code)
{
	_Atomic uint32_t *lock;
	int r;

	f->s->len = (uint32_t)-gstk__waitq_waited(f->task->obj, f->task, code);
	f->task->obj = f->s->arg;
	r = gstk__mutex_begin(f->s->arg, f->task, GSTK_NEVER, &lock);
	return relocked(f, lock, r);
}

const struct gstk__await gstk__await_cond = { GSTK__WAIT_COND, cond_begin, cond_end };

static int64_t relock_end(struct gstk_future *f, enum gstk__code code)
{
	_Atomic uint32_t *lock;
	int r = gstk__mutex_end(f->s->arg, f->task, code, GSTK_NEVER, &lock);

	return relocked(f, lock, r);
}

const struct gstk__await gstk__await_relock = { .why = GSTK__WAIT_MUTEX, .end = relock_end };
