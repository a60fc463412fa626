// SPDX-License-Identifier: MIT
/* What is left of pthreads: the end of a thread, and barriers. */
#include "block.h"
#include "parking.h"

struct joining {
	pthread_t thread;
	void **result;
};

static int try_join(void *arg)
{
	struct joining *j = arg;

	return pthread_tryjoin_np(j->thread, j->result);
}

/* Nothing tells when a thread ends: look every few milliseconds. */
static int join_until(pthread_t thread, void **result, uint64_t deadline_ns)
{
	struct joining j = { thread, result };

	if (pthread_equal(thread, pthread_self()))
		return EDEADLK;
	return preload_park_until((void *)&try_join, try_join, &j, deadline_ns, false);
}

EXPORT int pthread_join(pthread_t thread, void **result)
{
	return IS_GREEN() ? join_until(thread, result, GSTK_NEVER) : real(pthread_join)(thread, result);
}

EXPORT int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock, const struct timespec *abs)
{
	uint64_t deadline_ns = GSTK_NEVER;

	if (!IS_GREEN())
		return real(pthread_clockjoin_np)(thread, result, clock, abs);
	return abs && preload_deadline_abs(clock, abs, &deadline_ns) ? EINVAL : join_until(thread, result, deadline_ns);
}

EXPORT int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *abs)
{
	uint64_t deadline_ns = GSTK_NEVER;

	if (!IS_GREEN())
		return real(pthread_timedjoin_np)(thread, result, abs);
	return abs && preload_deadline_abs(CLOCK_REALTIME, abs, &deadline_ns) ? EINVAL
									      : join_until(thread, result, deadline_ns);
}

static void wait_at_barrier(struct preload_call *c)
{
	c->ret = real(pthread_barrier_wait)((pthread_barrier_t *)c->a[0].p);
}

/*
 * A barrier counts arrivals inside libc, so each task needs a thread of the pool to arrive on. It cannot fail:
 * a cancel waits, and when there is no thread the worker goes itself.
 */
EXPORT int pthread_barrier_wait(pthread_barrier_t *b)
{
	struct preload_call c = { .fn = wait_at_barrier };
	struct preload_shield s;
	int r;

	if (!IS_GREEN())
		return real(pthread_barrier_wait)(b);
	c.a[0].p = b;
	preload_shield_begin(&s);
	do {
		r = preload_block(&c);
		preload_shield_again(&s);
	} while (r && preload_errno() == ECANCELED);
	preload_shield_end(&s);
	return r ? real(pthread_barrier_wait)(b) : (int)c.ret;
}
