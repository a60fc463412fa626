// SPDX-License-Identifier: MIT
/*
 * Read-write lock, in order of arrival: a reader that comes while anybody waits, waits too; so
 * neither side starves. Whoever makes the lock free lets in the oldest writer, or all readers up
 * to the next writer; they own it when they wake. ->msg[0] of a waiter says what it wants.
 */
#include "arch/far.h"
#include "debug/locks.h"
#include "host/refuse.h"
#include "sched/here.h"
#include "wait/waitq.h"

#include <greenstk/base.h>

enum { READ = 0, WRITE = 1 };

static inline const char *name_of(int want)
{
	return want == WRITE ? "gstk_rwlock_write_lock" : "gstk_rwlock_read_lock";
}

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

static int wait_end(struct gstk_task *t, enum gstk__code code, void *lock, uint32_t n)
{
	gstk_rwlock *l = lock;

	if (unlikely(gstk__locks_watched))
		gstk__locks_waited(t);
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
		return 0;
	}
	/* Those behind a writer that gave up may go now. */
	gstk__lock(gstk__waitq_lock(&l->q));
	gstk__waitq_unlink(&l->q, t);
	unlock_admit(l);
	return gstk__code_errno(code);
}

/* Held by others; q is locked. */
static __attribute__((noinline)) GSTK__FAR_RETURN int lock_wait(gstk_rwlock *l, struct gstk_task *t, int want,
								uint64_t deadline_ns)
{
	_Atomic uint32_t *q = gstk__waitq_lock(&l->q);

	if (unlikely(l->writer == gstk__task_index(t) || gstk__wait_expired(deadline_ns))) {
		bool mine = l->writer == gstk__task_index(t);

		gstk__unlock(q);
		return mine ? gstk__refuse_with(-EDEADLK, "%s: the caller has locked the lock at %p for writing, and would wait "
						"for itself; unlock it first", name_of(want), (void *)l) : -ETIMEDOUT;
	}
	if (gstk__no_wait_here())
		return gstk__wait_refused(q);
	t->obj = l;
	t->msg[0] = (uint64_t)want;
	gstk__waitq_push(&l->q, t);
	if (unlikely(gstk__locks_watched))
		gstk__locks_waits(l, kind_of(want), t, deadline_ns);
	return gstk__block_then(q, want == WRITE ? GSTK__WAIT_RWLOCK_WRITE : GSTK__WAIT_RWLOCK_READ, deadline_ns, wait_end, l, 0);
}

/* With GREENSTK_DEBUG=locks. */
static __attribute__((cold, noinline)) int lock_watched(gstk_rwlock *l, struct gstk_task *t, int want,
							uint64_t deadline_ns, const void *site)
{
	_Atomic uint32_t *q = gstk__waitq_lock(&l->q);
	int r = 0;

	gstk__locks_wanted(l, kind_of(want), t, deadline_ns, site);
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
	int r = gstk__wait_begin(&t, name_of(want));

	if (unlikely(r))
		return r;
	if (unlikely(gstk__refuse_shared(l, want == WRITE ? "gstk_rwlock_write_lock: the lock" : "gstk_rwlock_read_lock: the lock")))
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
		return gstk__no_task(name_of(want));
	if (unlikely(gstk__refuse_shared(l, want == WRITE ? "gstk_rwlock_write_lock: the lock" : "gstk_rwlock_read_lock: the lock")))
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

static __attribute__((cold, noinline)) int not_locked(gstk_rwlock *l, const char *how)
{
	return gstk__refuse_with(-EPERM, "gstk_rwlock_%s_unlock: the lock at %p is not locked that way%s", how, (void *)l,
				 *how == 'w' ? " by the caller" : "");
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
		return not_locked(l, "read");
	}
	l->readers--;
	unlock_admit(l);
	return 0;
}

int gstk_rwlock_write_unlock(gstk_rwlock *l)
{
	struct gstk_task *t = gstk__current();

	if (unlikely(!t))
		return gstk__no_task("gstk_rwlock_write_unlock");
	if (unlikely(gstk__refuse_shared(l, "gstk_rwlock_write_unlock: the lock")))
		return -EINVAL;
	if (unlikely(gstk__locks_watched))
		gstk__locks_released(l, GSTK__LOCK_WRITE, t, __builtin_return_address(0));
	gstk__lock(gstk__waitq_lock(&l->q));
	if (unlikely(l->writer != gstk__task_index(t))) {
		gstk__unlock(gstk__waitq_lock(&l->q));
		return not_locked(l, "write");
	}
	l->writer = 0;
	unlock_admit(l);
	return 0;
}

int gstk_rwlock_init(gstk_rwlock *l)
{
	if (unlikely(!l))
		return gstk__refuse("gstk_rwlock_init: the lock is NULL; give the address of a gstk_rwlock");
	if (unlikely(gstk__refuse_shared(l, "gstk_rwlock_init: the lock")))
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
