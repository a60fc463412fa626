// SPDX-License-Identifier: MIT
/* pthread read-write locks. */
#include "parking.h"

static int try_read(void *arg)
{
	return real(pthread_rwlock_tryrdlock)(arg);
}

static int try_write(void *arg)
{
	return real(pthread_rwlock_trywrlock)(arg);
}

static int lock_abs(pthread_rwlock_t *l, int (*try)(void *), clockid_t clock, const struct timespec *abs)
{
	uint64_t deadline_ns;
	int r;

	if (!preload_deadline_abs(clock, abs, &deadline_ns))
		return preload_park_until(l, try, l, deadline_ns, false);
	r = try(l); /* who gets it at once may give any time */
	return r == EBUSY ? EINVAL : r;
}

EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
	return IS_GREEN() ? preload_park_until(l, try_read, l, GSTK_NEVER, false) : real(pthread_rwlock_rdlock)(l);
}

EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
	return IS_GREEN() ? preload_park_until(l, try_write, l, GSTK_NEVER, false) : real(pthread_rwlock_wrlock)(l);
}

EXPORT int pthread_rwlock_timedrdlock(pthread_rwlock_t *l, const struct timespec *abs)
{
	return IS_GREEN() ? lock_abs(l, try_read, CLOCK_REALTIME, abs) : real(pthread_rwlock_timedrdlock)(l, abs);
}

EXPORT int pthread_rwlock_timedwrlock(pthread_rwlock_t *l, const struct timespec *abs)
{
	return IS_GREEN() ? lock_abs(l, try_write, CLOCK_REALTIME, abs) : real(pthread_rwlock_timedwrlock)(l, abs);
}

EXPORT int pthread_rwlock_clockrdlock(pthread_rwlock_t *l, clockid_t clock, const struct timespec *abs)
{
	return IS_GREEN() ? lock_abs(l, try_read, clock, abs) : real(pthread_rwlock_clockrdlock)(l, clock, abs);
}

EXPORT int pthread_rwlock_clockwrlock(pthread_rwlock_t *l, clockid_t clock, const struct timespec *abs)
{
	return IS_GREEN() ? lock_abs(l, try_write, clock, abs) : real(pthread_rwlock_clockwrlock)(l, clock, abs);
}

/*
 * libc tells a writer's unlock from a reader's by the thread. While there is a writer nobody else holds the
 * lock, so a task that unlocks it is that writer, wherever it was when it locked.
 */
EXPORT int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	int r;

	if (l->__data.__cur_writer && IS_GREEN() && (uint32_t)l->__data.__cur_writer != preload_tid())
		l->__data.__cur_writer = (int)preload_tid();
	r = real(pthread_rwlock_unlock)(l);
	if (!r)
		preload_unpark(l, true);
	return r;
}
