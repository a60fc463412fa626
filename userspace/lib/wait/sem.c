// SPDX-License-Identifier: MIT
/* Semaphore. A post with waiters gives its units to the oldest of them, so count is 0 while any wait. */
#include <greenstk/base.h>

#include "arch/far.h"
#include "host/refuse.h"
#include "wait/waitq.h"

static __attribute__((noinline)) GSTK__FAR_RETURN int wait_slow(gstk_sem *s, uint64_t deadline_ns)
{
	struct gstk_task *t;
	int r = gstk__wait_begin(&t, "gstk_sem_wait");

	if (unlikely(r))
		return r;
	if (unlikely(gstk__refuse_shared(s, "gstk_sem_wait: the semaphore")))
		return -EINVAL;
	gstk__lock(gstk__waitq_lock(&s->q));
	if (likely(s->count)) {
		s->count--;
		gstk__unlock(gstk__waitq_lock(&s->q));
		return 0;
	}
	return gstk__waitq_wait(&s->q, t, GSTK__WAIT_SEM, deadline_ns);
}

/* All ways out are jumps, as in chan.c. */
__attribute__((noinline)) int gstk_sem_wait_until(gstk_sem *s, uint64_t deadline_ns)
{
	struct gstk_task *t = gstk__ready_task();

	if (unlikely(!t || gstk__in_shared_window(s) || !gstk__trylock(gstk__waitq_lock(&s->q))))
		return wait_slow(s, deadline_ns);
	if (likely(s->count)) {
		s->count--;
		gstk__unlock(gstk__waitq_lock(&s->q));
		return 0;
	}
	return gstk__waitq_wait(&s->q, t, GSTK__WAIT_SEM, deadline_ns);
}

int gstk_sem_wait(gstk_sem *s)
{
	return gstk_sem_wait_until(s, GSTK_NEVER);
}

int gstk_sem_try_wait(gstk_sem *s)
{
	bool got;

	if (unlikely(gstk__refuse_shared(s, "gstk_sem_try_wait: the semaphore")))
		return -EINVAL;
	gstk__lock(gstk__waitq_lock(&s->q));
	got = s->count;
	s->count -= got;
	gstk__unlock(gstk__waitq_lock(&s->q));
	return got ? 0 : -EAGAIN;
}

int gstk_sem_post(gstk_sem *s, uint32_t n)
{
	struct gstk__wakes list = { 0, 0, 0 };
	uint64_t count;

	if (unlikely(gstk__refuse_shared(s, "gstk_sem_post: the semaphore")))
		return -EINVAL;
	gstk__lock(gstk__waitq_lock(&s->q));
	while (n && gstk__waitq_wake_one(&s->q, &list))
		n--;
	if (unlikely(__builtin_add_overflow(s->count, n, &count))) { /* so nobody waited */
		count = s->count;
		gstk__unlock(gstk__waitq_lock(&s->q));
		return gstk__refuse("gstk_sem_post: %u to a count of %llu is more than 2^64 - 1; is it posted without a wait?", n,
				    (unsigned long long)count);
	}
	s->count = count;
	gstk__unlock(gstk__waitq_lock(&s->q));
	gstk__wakes_flush(&list);
	return 0;
}
