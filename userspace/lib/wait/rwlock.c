// SPDX-License-Identifier: MIT
/*
 * Read-write lock, in order of arrival: a reader that comes while anybody waits, waits too; so
 * neither side starves. Whoever makes the lock free lets in the oldest writer, or all readers up
 * to the next writer; they own it when they wake. ->msg[0] of a waiter says what it wants.
 */
#include "arch/far.h"
#include "debug/locks.h"
#include "wait/waitq.h"

#include <greenstk/base.h>

enum { READ = 0, WRITE = 1 };

static inline enum gstk__lock_kind kind_of(int want)
{
	return want == WRITE ? GSTK__LOCK_WRITE : GSTK__LOCK_READ;
}

/* Let in who may go. Lock held. */
static void admit(gstk_rwlock *l, struct gstk__wakes *list)
{
	while (l->q.head && !l->writer) {
		struct gstk_task *n = gstk__task(l->q.head);

		if (n->msg[0] == WRITE) {
			if (l->readers)
				return;
			gstk__waitq_pop(&l->q);
			l->writer = gstk__task_index(n);
			if (!gstk__wakes_add(list, n, GSTK__CODE_OK))
				l->writer = 0;
		} else {
			gstk__waitq_pop(&l->q);
			l->readers++;
			if (!gstk__wakes_add(list, n, GSTK__CODE_OK))
				l->readers--;
		}
	}
}

static void unlock_admit(gstk_rwlock *l)
{
	struct gstk__wakes list = { 0, 0, 0 };

	if (unlikely(l->q.head))
		admit(l, &list);
	gstk__unlock(gstk__waitq_lock(&l->q));
	gstk__wakes_flush(&list);
}

/* Lock held: may a newcomer go in? */
static inline bool try_enter(gstk_rwlock *l, int want, uint32_t me)
{
	if (l->writer || l->q.head || (want == WRITE && l->readers))
		return false;
	if (want == WRITE)
		l->writer = me;
	else
		l->readers++;
	return true;
}

/* Held by others; q is locked. */
static __attribute__((noinline)) GSTK__FAR_RETURN int lock_wait(gstk_rwlock *l, struct gstk_task *t, int want,
								uint64_t deadline_ns)
{
	_Atomic uint32_t *q = gstk__waitq_lock(&l->q);
	enum gstk__code code;

	if (unlikely(l->writer == gstk__task_index(t) || gstk__wait_expired(deadline_ns))) {
		int r = l->writer == gstk__task_index(t) ? -EDEADLK : -ETIMEDOUT;

		gstk__unlock(q);
		return r;
	}
	t->obj = l;
	t->msg[0] = (uint64_t)want;
	gstk__waitq_push(&l->q, t);
	if (unlikely(gstk__locks_watched))
		gstk__locks_waits(l, kind_of(want), t, deadline_ns);
	code = gstk__block_unlock(q, want == WRITE ? GSTK__WAIT_RWLOCK_WRITE : GSTK__WAIT_RWLOCK_READ, deadline_ns);
	if (unlikely(gstk__locks_watched))
		gstk__locks_waited(t);
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
		return 0;
	}
	/* Those behind a writer that gave up may go now. */
	gstk__lock(q);
	gstk__waitq_unlink(&l->q, t);
	unlock_admit(l);
	return gstk__code_errno(code);
}

/* With GREENSTK_DEBUG=locks. */
static __attribute__((cold, noinline)) int lock_watched(gstk_rwlock *l, struct gstk_task *t, int want,
							uint64_t deadline_ns, const void *site)
{
	_Atomic uint32_t *q = gstk__waitq_lock(&l->q);
	int r = 0;

	gstk__locks_wanted(l, kind_of(want), t, site);
	gstk__lock(q);
	if (try_enter(l, want, gstk__task_index(t)))
		gstk__unlock(q);
	else
		r = lock_wait(l, t, want, deadline_ns);
	if (!r)
		gstk__locks_taken(l, kind_of(want), t, site);
	return r;
}

static inline __attribute__((always_inline)) int lock(gstk_rwlock *l, int want, uint64_t deadline_ns)
{
	_Atomic uint32_t *q = gstk__waitq_lock(&l->q);
	struct gstk_task *t;
	int r = gstk__wait_begin(&t);

	if (unlikely(r))
		return r;
	if (unlikely(gstk__refuse_shared(l, "gstk_rwlock: the lock")))
		return -EINVAL;
	if (unlikely(gstk__locks_watched))
		return lock_watched(l, t, want, deadline_ns, __builtin_return_address(0));
	gstk__lock(q);
	if (unlikely(!try_enter(l, want, gstk__task_index(t))))
		return lock_wait(l, t, want, deadline_ns); /* jumped to: see arch/far.h */
	gstk__unlock(q);
	return 0;
}

static inline __attribute__((always_inline)) int try_lock(gstk_rwlock *l, int want)
{
	struct gstk_task *t = gstk__current();
	bool in;

	if (unlikely(!t))
		return -ESRCH;
	if (unlikely(gstk__refuse_shared(l, "gstk_rwlock: the lock")))
		return -EINVAL;
	gstk__lock(gstk__waitq_lock(&l->q));
	in = try_enter(l, want, gstk__task_index(t));
	gstk__unlock(gstk__waitq_lock(&l->q));
	if (unlikely(gstk__locks_watched) && in)
		gstk__locks_taken(l, kind_of(want), t, __builtin_return_address(0));
	return in ? 0 : -EBUSY;
}

int gstk_rwlock_read_lock_until(gstk_rwlock *l, uint64_t deadline_ns)
{
	return lock(l, READ, deadline_ns);
}

int gstk_rwlock_read_lock(gstk_rwlock *l)
{
	return lock(l, READ, GSTK_NEVER);
}

int gstk_rwlock_try_read_lock(gstk_rwlock *l)
{
	return try_lock(l, READ);
}

int gstk_rwlock_write_lock_until(gstk_rwlock *l, uint64_t deadline_ns)
{
	return lock(l, WRITE, deadline_ns);
}

int gstk_rwlock_write_lock(gstk_rwlock *l)
{
	return lock(l, WRITE, GSTK_NEVER);
}

int gstk_rwlock_try_write_lock(gstk_rwlock *l)
{
	return try_lock(l, WRITE);
}

int gstk_rwlock_read_unlock(gstk_rwlock *l)
{
	if (unlikely(gstk__refuse_shared(l, "gstk_rwlock_read_unlock: the lock")))
		return -EINVAL;
	if (unlikely(gstk__locks_watched && gstk__current()))
		gstk__locks_released(l, GSTK__LOCK_READ, gstk__current(), __builtin_return_address(0));
	gstk__lock(gstk__waitq_lock(&l->q));
	if (unlikely(!l->readers)) {
		gstk__unlock(gstk__waitq_lock(&l->q));
		return -EPERM;
	}
	l->readers--;
	unlock_admit(l);
	return 0;
}

int gstk_rwlock_write_unlock(gstk_rwlock *l)
{
	struct gstk_task *t = gstk__current();

	if (unlikely(!t))
		return -ESRCH;
	if (unlikely(gstk__refuse_shared(l, "gstk_rwlock_write_unlock: the lock")))
		return -EINVAL;
	if (unlikely(gstk__locks_watched))
		gstk__locks_released(l, GSTK__LOCK_WRITE, t, __builtin_return_address(0));
	gstk__lock(gstk__waitq_lock(&l->q));
	if (unlikely(l->writer != gstk__task_index(t))) {
		gstk__unlock(gstk__waitq_lock(&l->q));
		return -EPERM;
	}
	l->writer = 0;
	unlock_admit(l);
	return 0;
}

int gstk_rwlock_init(gstk_rwlock *l)
{
	if (unlikely(!l || gstk__refuse_shared(l, "gstk_rwlock_init: the lock")))
		return -EINVAL;
	*l = (gstk_rwlock)GSTK_RWLOCK_INIT;
	if (unlikely(gstk__locks_watched))
		gstk__locks_new(l, __builtin_return_address(0));
	return 0;
}

int gstk_rwlock_destroy(gstk_rwlock *l)
{
	bool busy;

	if (!l)
		return 0;
	gstk__lock(gstk__waitq_lock(&l->q));
	busy = l->readers || l->writer || l->q.head;
	gstk__unlock(gstk__waitq_lock(&l->q));
	if (unlikely(gstk__locks_watched))
		gstk__locks_gone(l, busy, __builtin_return_address(0));
	return busy ? -EBUSY : 0;
}

void gstk_rwlock_rank(gstk_rwlock *l, uint32_t rank)
{
	if (unlikely(gstk__locks_watched))
		gstk__locks_rank(l, rank);
}
