// SPDX-License-Identifier: MIT
/* Wait group: whoever brings the count to zero lets all waiters in. */
#include <greenstk/base.h>

#include "host/refuse.h"
#include "wait/waitq.h"

int gstk_waitgroup_add(gstk_waitgroup *g, int64_t n)
{
	struct gstk__wakes list = { 0, 0, 0 };
	int64_t count;

	if (unlikely(gstk__refuse_shared(g, "gstk_waitgroup_add: the wait group")))
		return -EINVAL;
	gstk__lock(gstk__waitq_lock(&g->q));
	if (unlikely(__builtin_add_overflow(g->count, n, &count) || count < 0)) {
		count = g->count;
		gstk__unlock(gstk__waitq_lock(&g->q));
		return gstk__refuse("gstk_waitgroup_add: %lld to a count of %lld leaves the range from 0 to 2^63 - 1; is one done twice, "
				    "or done before it was added?", (long long)n, (long long)count);
	}
	g->count = count;
	if (!count)
		gstk__waitq_wake_all(&g->q, &list);
	gstk__unlock(gstk__waitq_lock(&g->q));
	gstk__wakes_flush(&list);
	return 0;
}

int gstk_waitgroup_done(gstk_waitgroup *g)
{
	return gstk_waitgroup_add(g, -1);
}

int gstk_waitgroup_wait_until(gstk_waitgroup *g, uint64_t deadline_ns)
{
	struct gstk_task *t;
	int r = gstk__wait_begin(&t, "gstk_waitgroup_wait");

	if (unlikely(r))
		return r;
	if (unlikely(gstk__refuse_shared(g, "gstk_waitgroup_wait: the wait group")))
		return -EINVAL;
	gstk__lock(gstk__waitq_lock(&g->q));
	if (!g->count) {
		gstk__unlock(gstk__waitq_lock(&g->q));
		return 0;
	}
	return gstk__waitq_wait(&g->q, t, GSTK__WAIT_WAITGROUP, deadline_ns);
}

int gstk_waitgroup_wait(gstk_waitgroup *g)
{
	return gstk_waitgroup_wait_until(g, GSTK_NEVER);
}
