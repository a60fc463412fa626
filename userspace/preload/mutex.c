// SPDX-License-Identifier: MIT
/*
 * pthread mutexes. libc knows threads as owners. For a plain mutex that does not matter. A recursive or error
 * checking one would take two tasks of one worker for the same owner: who of the tasks has it is written down
 * here, and libc's owner is set right before the unlock, should the task have changed threads meanwhile.
 */
#include "parking.h"

#include <stdlib.h>

#define BUCKETS 64u

struct held {
	struct held *next;
	pthread_mutex_t *m;
	gstk_task *task;
	uint32_t count;
};

static struct {
	uint32_t lock;
	struct held *first;
} __attribute__((aligned(64))) table[BUCKETS];

static uint32_t bucket_of(const pthread_mutex_t *m)
{
	return (uint32_t)(((uintptr_t)m >> 3) * 0x9e3779b97f4a7c15ull >> 58);
}

static void lock(uint32_t b)
{
	while (__atomic_exchange_n(&table[b].lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unlock(uint32_t b)
{
	__atomic_store_n(&table[b].lock, 0, __ATOMIC_RELEASE);
}

static struct held **find(uint32_t b, const pthread_mutex_t *m)
{
	struct held **h = &table[b].first;

	while (*h && (*h)->m != m)
		h = &(*h)->next;
	return h;
}

static int type_of(const pthread_mutex_t *m)
{
	return m->__data.__kind & 3;
}

static bool has_owner(const pthread_mutex_t *m)
{
	return type_of(m) == PTHREAD_MUTEX_RECURSIVE_NP || type_of(m) == PTHREAD_MUTEX_ERRORCHECK_NP;
}

static int try_owned(pthread_mutex_t *m)
{
	uint32_t b = bucket_of(m);
	struct held *h, *fresh;
	int r = EBUSY;

	lock(b);
	h = *find(b, m);
	if (h && h->task == gstk_self()) {
		r = type_of(m) == PTHREAD_MUTEX_RECURSIVE_NP ? 0 : EDEADLK;
		h->count += !r;
	}
	unlock(b);
	if (h)
		return r;
	fresh = malloc(sizeof(*fresh));
	if (!fresh)
		return ENOMEM;
	lock(b);
	r = *find(b, m) ? EBUSY : real(pthread_mutex_trylock)(m);
	if (!r || r == EOWNERDEAD) {
		*fresh = (struct held){ table[b].first, m, gstk_self(), 1 };
		table[b].first = fresh;
		fresh = NULL;
	}
	unlock(b);
	free(fresh);
	return r;
}

static int try_mutex(void *arg)
{
	return has_owner(arg) ? try_owned(arg) : real(pthread_mutex_trylock)(arg);
}

static int unlock_owned(pthread_mutex_t *m)
{
	uint32_t b = bucket_of(m);
	struct held **at, *h;

	lock(b);
	at = find(b, m);
	h = *at;
	if (!h || h->task != gstk_self()) {
		unlock(b);
		return EPERM;
	}
	if (--h->count) {
		unlock(b);
		return 0;
	}
	*at = h->next;
	if (m->__data.__owner && (uint32_t)m->__data.__owner != preload_tid())
		m->__data.__owner = (int)preload_tid();
	real(pthread_mutex_unlock)(m);
	unlock(b);
	free(h);
	return 0;
}

int preload_mutex_lock(pthread_mutex_t *m, uint64_t deadline_ns)
{
	return preload_park_until(m, try_mutex, m, deadline_ns, false);
}

int preload_mutex_unlock(pthread_mutex_t *m)
{
	int r = has_owner(m) ? unlock_owned(m) : real(pthread_mutex_unlock)(m);

	if (!r)
		preload_unpark(m, false);
	return r;
}

EXPORT int pthread_mutex_lock(pthread_mutex_t *m)
{
	return IS_GREEN() ? preload_mutex_lock(m, GSTK_NEVER) : real(pthread_mutex_lock)(m);
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t *m)
{
	int r = IS_GREEN() ? try_mutex(m) : real(pthread_mutex_trylock)(m);

	return r == EDEADLK ? EBUSY : r;
}

/* Who gets it at once may give any time. */
static int lock_abs(pthread_mutex_t *m, clockid_t clock, const struct timespec *abs)
{
	uint64_t deadline_ns;
	int r;

	if (!preload_deadline_abs(clock, abs, &deadline_ns))
		return preload_mutex_lock(m, deadline_ns);
	r = try_mutex(m);
	return r == EBUSY ? EINVAL : r;
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *abs)
{
	return IS_GREEN() ? lock_abs(m, clock, abs) : real(pthread_mutex_clocklock)(m, clock, abs);
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *abs)
{
	return IS_GREEN() ? lock_abs(m, CLOCK_REALTIME, abs) : real(pthread_mutex_timedlock)(m, abs);
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t *m)
{
	int r;

	if (IS_GREEN())
		return preload_mutex_unlock(m);
	r = real(pthread_mutex_unlock)(m);
	if (!r)
		preload_unpark(m, false);
	return r;
}
