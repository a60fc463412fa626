// SPDX-License-Identifier: MIT
/* POSIX semaphores. */
#include "parking.h"

static int try_sem(void *arg)
{
	if (!real(sem_trywait)(arg))
		return 0;
	return preload_errno() == EAGAIN ? EBUSY : preload_errno();
}

static int wait_until(sem_t *s, uint64_t deadline_ns)
{
	uint64_t own = gstk_deadline_get();
	int err = preload_park_until(s, try_sem, s, own < deadline_ns ? own : deadline_ns, true);

	return err ? preload_fail(err) : 0;
}

EXPORT int sem_wait(sem_t *s)
{
	return IS_GREEN() ? wait_until(s, GSTK_NEVER) : real(sem_wait)(s);
}

static int wait_abs(sem_t *s, clockid_t clock, const struct timespec *abs)
{
	uint64_t deadline_ns;

	if (!try_sem(s))
		return 0;
	if (preload_deadline_abs(clock, abs, &deadline_ns))
		return preload_fail(EINVAL);
	return wait_until(s, deadline_ns);
}

EXPORT int sem_timedwait(sem_t *s, const struct timespec *abs)
{
	return IS_GREEN() ? wait_abs(s, CLOCK_REALTIME, abs) : real(sem_timedwait)(s, abs);
}

EXPORT int sem_clockwait(sem_t *s, clockid_t clock, const struct timespec *abs)
{
	return IS_GREEN() ? wait_abs(s, clock, abs) : real(sem_clockwait)(s, clock, abs);
}

/*
 * Also from a signal handler, which must not wake a task: who waits sees the count within some milliseconds. On a worker
 * that is one on the signal stack, whatever it has interrupted.
 */
EXPORT int sem_post(sem_t *s)
{
	bool handler = gstk_worker() >= 0 && !preload_is_green(__builtin_return_address(0));
	int r = real(sem_post)(s);

	if (!r && !handler)
		preload_unpark(s, false);
	return r;
}
