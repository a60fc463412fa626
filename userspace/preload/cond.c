// SPDX-License-Identifier: MIT
/*
 * pthread conditions. Tasks that wait stand in the table of parking.c before they give up the mutex; a signal
 * goes to the first of them, and only when there is none to libc, whose waiters are threads.
 */
#include "parking.h"

/* What pthread_condattr_t said, as libc keeps it. */
static bool is_shared(const pthread_cond_t *c)
{
	return c->__data.__wrefs & 1;
}

static clockid_t clock_of(const pthread_cond_t *c)
{
	return c->__data.__wrefs & 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

/* A signal of another process does not come by here: wake now and then, for nothing, as a condition may. */
static uint64_t soon(uint64_t deadline_ns)
{
	uint64_t at = gstk_now() + 5 * NS_PER_MS;

	return at < deadline_ns ? at : deadline_ns;
}

static int wait_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t deadline_ns)
{
	struct preload_waiter *w = is_shared(c) ? NULL : preload_park_begin(c);
	bool signaled = false, in_vain = !w;
	struct preload_shield s;
	int err = preload_mutex_unlock(m);

	if (err) {
		if (w && preload_park_end(w))
			preload_unpark(c, false);
		return err;
	}
	preload_shield_begin(&s);
	do {
		err = w ? preload_park_wait(w, deadline_ns) : gstk_sleep_until(soon(deadline_ns));
		preload_shield_again(&s);
	} while (err == -ECANCELED);
	if (w)
		signaled = preload_park_end(w);
	preload_shield_end(&s);
	err = preload_mutex_lock(m, GSTK_NEVER);
	if (err)
		return err;
	return signaled || (in_vain && gstk_now() < deadline_ns) ? 0 : ETIMEDOUT;
}

EXPORT int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	return IS_GREEN() ? wait_until(c, m, GSTK_NEVER) : real(pthread_cond_wait)(c, m);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock, const struct timespec *abs)
{
	uint64_t deadline_ns;

	if (!IS_GREEN())
		return real(pthread_cond_clockwait)(c, m, clock, abs);
	if (preload_deadline_abs(clock, abs, &deadline_ns))
		return EINVAL;
	return wait_until(c, m, deadline_ns);
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *abs)
{
	uint64_t deadline_ns;

	if (!IS_GREEN())
		return real(pthread_cond_timedwait)(c, m, abs);
	if (preload_deadline_abs(clock_of(c), abs, &deadline_ns))
		return EINVAL;
	return wait_until(c, m, deadline_ns);
}

EXPORT int pthread_cond_signal(pthread_cond_t *c)
{
	return preload_unpark(c, false) ? 0 : real(pthread_cond_signal)(c);
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *c)
{
	preload_unpark(c, true);
	return real(pthread_cond_broadcast)(c);
}
