// SPDX-License-Identifier: MIT
/*
 * Locks and friends. All are plain objects with static initialisers; they must not lie in a shared
 * window (a task's stack, unless it is GSTK_PRIVATE): -EINVAL. Waiting parks a task and blocks any
 * other thread.
 */
#ifndef GREENSTK_SYNC_H
#define GREENSTK_SYNC_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/** Opaque queue of waiters. */
struct gstk__waitq {
	uint32_t lock;
	uint32_t head, tail; /* task indices */
	uint32_t nr;
};
#define GSTK__WAITQ_INIT { 0, 0, 0, 0 }

typedef struct gstk_mutex {
	uint32_t word;
	uint32_t owner; /* task index, for misuse checks */
	struct gstk__waitq q;
} gstk_mutex;
#define GSTK_MUTEX_INIT { 0, 0, GSTK__WAITQ_INIT }

/**
 * Take @m; parks while another task or thread holds it. 0, -EDEADLK when the caller holds it,
 * -EINVAL inside a shared window, -ECANCELED, -ETIMEDOUT. Not fair among those who come at the same
 * time, but a waiter older than 1 ms gets it directly.
 */
GSTK_API int gstk_mutex_lock(gstk_mutex *m) GSTK_NONNULL(1);
GSTK_API int gstk_mutex_lock_until(gstk_mutex *m, uint64_t deadline_ns) GSTK_NONNULL(1);
GSTK_API int gstk_mutex_try_lock(gstk_mutex *m) GSTK_NONNULL(1); /**< -EBUSY */
GSTK_API int gstk_mutex_unlock(gstk_mutex *m) GSTK_NONNULL(1);   /**< -EPERM when not locked by the caller */
/**
 * Optional, instead of GSTK_MUTEX_INIT, and before its memory goes. Both are for GREENSTK_DEBUG=locks, which
 * takes mutexes of one call of init for alike. 0; init: -EINVAL inside a shared window or for NULL; destroy: -EBUSY
 * while it is held or waited for, NULL is fine.
 */
GSTK_API int gstk_mutex_init(gstk_mutex *m);
GSTK_API int gstk_mutex_destroy(gstk_mutex *m);
/** GREENSTK_DEBUG=locks reports when a lock with a rank is taken by who holds one of the same rank or a higher one. */
GSTK_API void gstk_mutex_rank(gstk_mutex *m, uint32_t rank);

typedef struct gstk_rwlock {
	struct gstk__waitq q; /* in order of arrival, readers and writers */
	uint32_t readers;
	uint32_t writer;
} gstk_rwlock;
#define GSTK_RWLOCK_INIT { GSTK__WAITQ_INIT, 0, 0 }

/**
 * Many readers or one writer, in order of arrival. try: -EBUSY instead of parking; unlock: -EPERM
 * when not locked that way. Else as for a mutex. A reader must not lock again while it holds @l.
 */
GSTK_API int gstk_rwlock_read_lock(gstk_rwlock *l) GSTK_NONNULL(1);
GSTK_API int gstk_rwlock_read_lock_until(gstk_rwlock *l, uint64_t deadline_ns) GSTK_NONNULL(1);
GSTK_API int gstk_rwlock_try_read_lock(gstk_rwlock *l) GSTK_NONNULL(1);
GSTK_API int gstk_rwlock_read_unlock(gstk_rwlock *l) GSTK_NONNULL(1);
GSTK_API int gstk_rwlock_write_lock(gstk_rwlock *l) GSTK_NONNULL(1);
GSTK_API int gstk_rwlock_write_lock_until(gstk_rwlock *l, uint64_t deadline_ns) GSTK_NONNULL(1);
GSTK_API int gstk_rwlock_try_write_lock(gstk_rwlock *l) GSTK_NONNULL(1);
GSTK_API int gstk_rwlock_write_unlock(gstk_rwlock *l) GSTK_NONNULL(1);
/** As those of a mutex. */
GSTK_API int gstk_rwlock_init(gstk_rwlock *l);
GSTK_API int gstk_rwlock_destroy(gstk_rwlock *l);
GSTK_API void gstk_rwlock_rank(gstk_rwlock *l, uint32_t rank);

typedef struct gstk_cond {
	struct gstk__waitq q;
} gstk_cond;
#define GSTK_COND_INIT { GSTK__WAITQ_INIT }

/**
 * Release @m, wait, take @m again (always, also when the wait ends with an error). 0, -EPERM when the caller does not hold
 * @m, -EINVAL inside a shared window or without @m, -ECANCELED, -ETIMEDOUT. Where nobody may wait, in a signal handler or
 * outside the tasks of an embedded runtime, -ECANCELED or -EDEADLK, and @m was not released.
 */
GSTK_API int gstk_cond_wait(gstk_cond *c, gstk_mutex *m) GSTK_NONNULL(1);
GSTK_API int gstk_cond_wait_until(gstk_cond *c, gstk_mutex *m, uint64_t deadline_ns) GSTK_NONNULL(1);
/** Wake one waiter, or all of them. Holding the mutex is not required. Never parks. */
GSTK_API int gstk_cond_signal(gstk_cond *c) GSTK_NONNULL(1);
GSTK_API int gstk_cond_broadcast(gstk_cond *c) GSTK_NONNULL(1);

typedef struct gstk_sem {
	struct gstk__waitq q;
	uint64_t count;
} gstk_sem;
#define GSTK_SEM_INIT(n) { GSTK__WAITQ_INIT, (n) }

/** Take one from the count; parks while it is zero. 0, -EINVAL inside a shared window, -ECANCELED, -ETIMEDOUT. */
GSTK_API int gstk_sem_wait(gstk_sem *s) GSTK_NONNULL(1);
GSTK_API int gstk_sem_wait_until(gstk_sem *s, uint64_t deadline_ns) GSTK_NONNULL(1);
GSTK_API int gstk_sem_try_wait(gstk_sem *s) GSTK_NONNULL(1);	/**< -EAGAIN */
/** Add @n and wake up to @n waiters, in order of arrival. Any thread; never parks. */
GSTK_API int gstk_sem_post(gstk_sem *s, uint32_t n) GSTK_NONNULL(1);	/**< -EINVAL past 2^64 - 1: nothing was added */

typedef struct gstk_waitgroup {
	struct gstk__waitq q;
	int64_t count;
} gstk_waitgroup;
#define GSTK_WAITGROUP_INIT { GSTK__WAITQ_INIT, 0 }

/** Change the count by @n (done: by -1); at zero all waiters are woken. Any thread; never parks. */
GSTK_API int gstk_waitgroup_add(gstk_waitgroup *g, int64_t n) GSTK_NONNULL(1);	/**< -EINVAL below zero */
GSTK_API int gstk_waitgroup_done(gstk_waitgroup *g) GSTK_NONNULL(1);
/** Park until the count is zero. 0, -EINVAL inside a shared window, -ECANCELED, -ETIMEDOUT. */
GSTK_API int gstk_waitgroup_wait(gstk_waitgroup *g) GSTK_NONNULL(1);
GSTK_API int gstk_waitgroup_wait_until(gstk_waitgroup *g, uint64_t deadline_ns) GSTK_NONNULL(1);

typedef struct gstk_once {
	uint32_t state;
	struct gstk__waitq q;
} gstk_once;
#define GSTK_ONCE_INIT { 0, GSTK__WAITQ_INIT }

/**
 * Run @fn(@arg) if nobody did; others wait until it has returned. When it is left otherwise, by gstk_exit() or an exception,
 * it did not run, and one of those who wait or come runs it. 0, -EDEADLK from inside @fn, -EINVAL inside a shared window or
 * without @fn, -ECANCELED, -ENOMEM.
 */
GSTK_API int gstk_once_run(gstk_once *o, void (*fn)(void *), void *arg) GSTK_NONNULL(1);

GSTK_END_DECLS
#endif
