// SPDX-License-Identifier: MIT
/*
 * Mutex.
 *
 *	word = index of the owner << 1 | WAITERS;	0: free
 *
 * - Lock and unlock of a mutex nobody waits for are one compare-and-swap each, and unlock's proves
 *   that the caller owns it.
 * - An unlock with waiters frees the word and wakes the oldest, which has to compete with whoever
 *   comes (no convoy); one that has waited for longer than 1 ms gets the ownership at once.
 * - The queue's lock is not in the mutex: after an unlock frees the word somebody else may lock,
 *   unlock and free the object. It is a bucket found by the mutex's address. The queue's fields are
 *   touched only under the bucket's lock, by a waiter or by the owner before he frees the word.
 */
#include "wait/mutex.h"

#include <greenstk/base.h>

#include "arch/far.h"
#include "debug/locks.h"
#include "host/host.h"
#include "host/refuse.h"
#include "sched/stackless.h"
#include "sched/here.h"

#define WAITERS	   1u
#define FAIR_NS	   1000000u
#define GRANTED	   GSTK__CODE_FIRST /* the word is ours already */
#define NR_BUCKETS 256u

static struct {
	_Atomic uint32_t lock __attribute__((aligned(64)));
} buckets[NR_BUCKETS];

static inline _Atomic uint32_t *bucket_of(const gstk_mutex *m)
{
	return &buckets[(uint32_t)((uintptr_t)m >> 4) * 0x9e3779b1u >> 24].lock;
}

static inline _Atomic uint32_t *word_of(const gstk_mutex *m)
{
	return (_Atomic uint32_t *)&m->word;
}

static inline uint32_t mine(const struct gstk_task *t)
{
	return gstk__task_index(t) << 1;
}

static inline bool take_free(_Atomic uint32_t *word, uint32_t me)
{
	uint32_t old = 0;

	/* Acquire: partner is the release of whoever freed the word. */
	return atomic_compare_exchange_strong_explicit(word, &old, me, memory_order_acquire, memory_order_relaxed);
}

/* As take_free(), also when others wait. */
static bool take_any(_Atomic uint32_t *word, uint32_t me)
{
	uint32_t old = atomic_load_explicit(word, memory_order_relaxed);

	while (!(old >> 1))
		if (atomic_compare_exchange_weak_explicit(word, &old, me | old, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

/* Bucket locked, mutex owned by somebody: say that there are waiters. False: it is free now. */
static bool announce(_Atomic uint32_t *word)
{
	uint32_t old = atomic_load_explicit(word, memory_order_relaxed);

	do {
		if (!(old >> 1))
			return false;
		if (old & WAITERS)
			return true;
	} while (!atomic_compare_exchange_weak_explicit(word, &old, old | WAITERS, memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

static __attribute__((cold, noinline)) int held_already(const gstk_mutex *m)
{
	return gstk__refuse_with(-EDEADLK, "gstk_mutex_lock: the caller holds the mutex at %p already, and would wait for itself; "
				 "unlock it first", (const void *)m);
}

static __attribute__((cold, noinline)) int not_held(const gstk_mutex *m, uint32_t word)
{
	return gstk__refuse_with(-EPERM, "gstk_mutex_unlock: the mutex at %p is %s; who locked it unlocks it", (const void *)m,
				 word >> 1 ? "held by another task" : "not locked");
}

/* Take it, or join the queue: then 1, with the bucket locked. @since: when t came, 0 at first. */
static inline int take_or_link(gstk_mutex *m, struct gstk_task *t, uint64_t deadline_ns, uint64_t since)
{
	_Atomic uint32_t *word = word_of(m), *bucket = bucket_of(m);
	uint32_t me = mine(t);

	for (;;) {
		if (take_any(word, me))
			return 0;
		if ((atomic_load_explicit(word, memory_order_relaxed) ^ me) <= WAITERS)
			return held_already(m);
		if (gstk__wait_expired(deadline_ns))
			return -ETIMEDOUT;
		gstk__lock(bucket);
		if (announce(word))
			break;
		gstk__unlock(bucket);
	}
	t->obj = m;
	if (!since) {
		since = gstk__now_ns();
		gstk__waitq_push(&m->q, t);
	} else { /* woken, but somebody was faster */
		gstk__waitq_push_front(&m->q, t);
	}
	t->msg[0] = since;
	return 1;
}

/* A wait that ended with @code: 0, -errno, or 1: woken, to try again. */
static inline int waited(gstk_mutex *m, struct gstk_task *t, enum gstk__code code)
{
	_Atomic uint32_t *bucket = bucket_of(m);

	if (code == GRANTED || code == GSTK__CODE_OK) {
		gstk__wait_released(t);
		return code == GSTK__CODE_OK;
	}
	gstk__lock(bucket);
	gstk__waitq_unlink(&m->q, t);
	gstk__unlock(bucket);
	/* WAITERS may stay without a waiter: the next unlock finds out. */
	return gstk__code_errno(code);
}

/* With frames: with a deadline, not to be cancelled, or once more. @since: as in take_or_link(). */
static __attribute__((noinline)) GSTK__FAR_RETURN int lock_framed(gstk_mutex *m, struct gstk_task *t, uint64_t deadline_ns,
						 bool cancelable, uint64_t since)
{
	_Atomic uint32_t *bucket = bucket_of(m);

	for (;;) {
		enum gstk__code code;
		int r = take_or_link(m, t, deadline_ns, since);

		if (r <= 0)
			return r;
		since = t->msg[0];
		if (unlikely(gstk__locks_watched))
			gstk__locks_waits(m, GSTK__LOCK_MUTEX, t, deadline_ns);
		if (likely(cancelable))
			code = gstk__block_unlock(bucket, GSTK__WAIT_MUTEX, deadline_ns);
		else
			code = gstk__block(gstk__commit_unlock, bucket, GSTK__WAIT_MUTEX, GSTK_NEVER, false);
		if (unlikely(gstk__locks_watched))
			gstk__locks_waited(t);
		r = waited(m, t, code);
		if (!r || (r < 0 && cancelable))
			return r;
	}
}

/* Others may be faster any number of times, and each wait from in here would stand on the one before. */
static int wait_end(struct gstk_task *t, enum gstk__code code, void *m, uint32_t n)
{
	int r;

	if (unlikely(gstk__locks_watched))
		gstk__locks_waited(t);
	r = waited(m, t, code);
	return likely(r <= 0) ? r : lock_framed(m, t, GSTK_NEVER, true, t->msg[0]);
}

/* For ever, or until a cancel. */
static __attribute__((noinline)) GSTK__FAR_RETURN int lock_slow(gstk_mutex *m, struct gstk_task *t)
{
	int r;

	if (gstk__no_wait_here())
		return gstk__wait_refused(NULL);
	r = take_or_link(m, t, GSTK_NEVER, 0);
	if (r <= 0)
		return r;
	if (unlikely(gstk__locks_watched))
		gstk__locks_waits(m, GSTK__LOCK_MUTEX, t, GSTK_NEVER);
	return gstk__block_then(bucket_of(m), GSTK__WAIT_MUTEX, GSTK_NEVER, wait_end, m, 0);
}

static inline __attribute__((always_inline)) int lock_until(gstk_mutex *m, struct gstk_task *t, uint64_t deadline_ns)
{
	if (likely(deadline_ns == GSTK_NEVER))
		return lock_slow(m, t);
	return gstk__no_wait_here() ? gstk__wait_refused(NULL) : lock_framed(m, t, deadline_ns, true, 0);
}

/* With GREENSTK_DEBUG=locks. */
static __attribute__((cold, noinline)) int lock_watched(gstk_mutex *m, struct gstk_task *t, uint64_t deadline_ns,
							const void *site)
{
	int r = 0;

	gstk__locks_wanted(m, GSTK__LOCK_MUTEX, t, deadline_ns, site);
	if (!take_free(word_of(m), mine(t)))
		r = lock_until(m, t, deadline_ns);
	if (!r)
		gstk__locks_taken(m, GSTK__LOCK_MUTEX, t, site);
	return r;
}

/* The same for who waits without a stack: @r is what came of an attempt. */
static inline int attempted(gstk_mutex *m, struct gstk_task *t, uint64_t deadline_ns, const void *site, int r)
{
	if (unlikely(gstk__locks_watched) && r > 0)
		gstk__locks_waits(m, GSTK__LOCK_MUTEX, t, deadline_ns);
	else if (unlikely(gstk__locks_watched) && !r)
		gstk__locks_taken(m, GSTK__LOCK_MUTEX, t, site);
	return r;
}

int gstk__mutex_begin(gstk_mutex *m, struct gstk_task *t, uint64_t deadline_ns, _Atomic uint32_t **lock)
{
	*lock = bucket_of(m);
	if (unlikely(gstk__locks_watched))
		gstk__locks_wanted(m, GSTK__LOCK_MUTEX, t, deadline_ns, gstk__stackless_site(t));
	return attempted(m, t, deadline_ns, gstk__stackless_site(t), take_or_link(m, t, deadline_ns, 0));
}

int gstk__mutex_end(gstk_mutex *m, struct gstk_task *t, enum gstk__code code, uint64_t deadline_ns,
		    _Atomic uint32_t **lock)
{
	int r;

	if (unlikely(gstk__locks_watched))
		gstk__locks_waited(t);
	r = waited(m, t, code);
	*lock = bucket_of(m);
	if (r > 0)
		r = take_or_link(m, t, deadline_ns, t->msg[0]);
	return attempted(m, t, deadline_ns, gstk__stackless_site(t), r);
}

/* Inlined: the return address is the caller's in both. */
static inline __attribute__((always_inline)) int lock(gstk_mutex *m, uint64_t deadline_ns)
{
	struct gstk_task *t;
	int r = gstk__wait_begin(&t, "gstk_mutex_lock");

	if (unlikely(r))
		return r;
	if (unlikely(gstk__refuse_shared(m, "gstk_mutex_lock: the mutex")))
		return -EINVAL;
	if (unlikely(gstk__locks_watched))
		return lock_watched(m, t, deadline_ns, __builtin_return_address(0));
	if (likely(take_free(word_of(m), mine(t))))
		return 0;
	return lock_until(m, t, deadline_ns);
}

int gstk_mutex_lock_until(gstk_mutex *m, uint64_t deadline_ns)
{
	return lock(m, deadline_ns);
}

int gstk_mutex_lock(gstk_mutex *m)
{
	return lock(m, GSTK_NEVER);
}

int gstk_mutex_try_lock(gstk_mutex *m)
{
	struct gstk_task *t = gstk__current();

	if (unlikely(!t))
		return gstk__no_task("gstk_mutex_try_lock");
	if (unlikely(gstk__refuse_shared(m, "gstk_mutex_try_lock: the mutex")))
		return -EINVAL;
	if (unlikely(!take_any(word_of(m), mine(t))))
		return -EBUSY;
	if (unlikely(gstk__locks_watched))
		gstk__locks_taken(m, GSTK__LOCK_MUTEX, t, __builtin_return_address(0));
	return 0;
}

/* There are waiters. The store to the word is the last access to the mutex. */
static __attribute__((noinline)) void unlock_slow(gstk_mutex *m)
{
	_Atomic uint32_t *word = word_of(m), *bucket = bucket_of(m);
	enum gstk__order order = GSTK__LOST;
	struct gstk_task *n;
	uint64_t now = gstk__now_ns();

	gstk__lock(bucket);
	while ((n = gstk__waitq_pop(&m->q))) {
		uint32_t rest = m->q.head ? WAITERS : 0;

		if (now > n->msg[0] && now - n->msg[0] > FAIR_NS) { /* it may have come since */
			/* Before the wait is decided: then n may run, unlock and free the mutex. */
			atomic_store_explicit(word, mine(n) | rest, memory_order_relaxed);
			order = gstk__wake_popped(n, GRANTED);
			if (order != GSTK__LOST)
				break;
		} else {
			/* n cannot get in before the store; it comes back to this bucket if it runs already. */
			order = gstk__wake_popped(n, GSTK__CODE_OK);
			if (order == GSTK__LOST)
				continue;
			atomic_store_explicit(word, rest, memory_order_release);
			break;
		}
	}
	if (!n)
		atomic_store_explicit(word, 0, memory_order_release);
	gstk__unlock(bucket);
	if (order == GSTK__ENQUEUE)
		gstk__enqueue(n);
	else if (order == GSTK__LEFT)
		gstk__wake_released(n);
}

int gstk_mutex_unlock(gstk_mutex *m)
{
	struct gstk_task *t = gstk__current();
	uint32_t me, old;

	if (unlikely(!t))
		return gstk__no_task("gstk_mutex_unlock");
	if (unlikely(gstk__locks_watched))
		gstk__locks_released(m, GSTK__LOCK_MUTEX, t, __builtin_return_address(0));
	me = old = mine(t);
	if (likely(atomic_compare_exchange_strong_explicit(word_of(m), &old, 0, memory_order_release,
							   memory_order_relaxed)))
		return 0;
	if (unlikely(old != (me | WAITERS)))
		return not_held(m, old);
	unlock_slow(m);
	return 0;
}

void gstk__mutex_relock(gstk_mutex *m, struct gstk_task *t)
{
	if (unlikely(gstk__locks_watched))
		gstk__locks_wanted(m, GSTK__LOCK_MUTEX, t, GSTK_NEVER, __builtin_return_address(0));
	if (!take_free(word_of(m), mine(t)))
		lock_framed(m, t, GSTK_NEVER, false, 0);
	if (unlikely(gstk__locks_watched))
		gstk__locks_taken(m, GSTK__LOCK_MUTEX, t, __builtin_return_address(0));
}

void gstk__mutex_release(gstk_mutex *m, struct gstk_task *t)
{
	uint32_t old = mine(t);

	if (unlikely(gstk__locks_watched))
		gstk__locks_released(m, GSTK__LOCK_MUTEX, t, t->tier == GSTK__TIER_STACKLESS ? gstk__stackless_site(t)
											     : __builtin_return_address(0));
	if (!atomic_compare_exchange_strong_explicit(word_of(m), &old, 0, memory_order_release, memory_order_relaxed))
		unlock_slow(m);
}

bool gstk__mutex_held(const gstk_mutex *m, const struct gstk_task *t)
{
	return (atomic_load_explicit(word_of(m), memory_order_relaxed) ^ mine(t)) <= WAITERS;
}

int gstk_mutex_init(gstk_mutex *m)
{
	if (unlikely(!m))
		return gstk__refuse("gstk_mutex_init: the mutex is NULL; give the address of a gstk_mutex");
	if (unlikely(gstk__refuse_shared(m, "gstk_mutex_init: the mutex")))
		return -EINVAL;
	*m = (gstk_mutex)GSTK_MUTEX_INIT;
	if (unlikely(gstk__locks_watched))
		gstk__locks_new(m, __builtin_return_address(0));
	return 0;
}

int gstk_mutex_destroy(gstk_mutex *m)
{
	bool busy;

	if (!m)
		return 0;
	gstk__lock(bucket_of(m));
	busy = atomic_load_explicit(word_of(m), memory_order_acquire) >> 1 || m->q.head;
	gstk__unlock(bucket_of(m));
	if (unlikely(gstk__locks_watched))
		gstk__locks_gone(m, busy, __builtin_return_address(0));
	return busy ? -EBUSY : 0;
}

void gstk_mutex_rank(gstk_mutex *m, uint32_t rank)
{
	if (unlikely(gstk__locks_watched))
		gstk__locks_rank(m, rank);
}
