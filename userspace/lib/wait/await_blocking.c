// SPDX-License-Identifier: MIT
/* Calls on a thread of the pool, for stackless tasks: blocking.c, cut where it parks. ->arg is where the result goes. */
#include "wait/await.h"
#include "wait/blocking.h"

enum gstk_progress gstk_await_blocking(gstk_future *f, void *(*fn)(void *), void *arg, void **result, uint64_t deadline_ns)
{
	if (unlikely(!fn))
		return gstk__await_over(f, gstk__refuse("gstk_await_blocking: the function is NULL; give what is to run on a thread"));
	if (unlikely(gstk__await_refuse(f, arg, "gstk_await_blocking: the argument") ||
		     gstk__await_refuse(f, result, "gstk_await_blocking: the result")))
		return gstk__await_over(f, -EINVAL);
	f->s->arg = result;
	f->task->msg[0] = (uintptr_t)fn;
	f->task->msg[1] = (uintptr_t)arg;
	return gstk__await(f, GSTK__AWAIT_BLOCKING, NULL, deadline_ns);
}

static int64_t blocking_begin(struct gstk_future *f)
{
	int err = gstk__wait_expired(f->deadline_ns) ? -ETIMEDOUT : gstk__blocking_announce(f->task);

	if (err)
		return err;
	f->commit = gstk__blocking_commit;
	return GSTK__AWAIT_PARK;
}

static int64_t done(struct gstk_future *f)
{
	if (f->s->arg)
		*(void **)f->s->arg = (void *)(uintptr_t)f->task->msg[0];
	return 0;
}

static int64_t blocking_end(struct gstk_future *f, enum gstk__code code)
{
	int r = code == GSTK__CODE_OK ? 0 : gstk__blocking_give_up(f->task, code, &f->lock);

	if (r > 0) {
		gstk__await_through(f, GSTK__AWAIT_BLOCKING_END);
		return GSTK__AWAIT_PARK;
	}
	return r ? r : done(f);
}

const struct gstk__await gstk__await_blocking = { GSTK__WAIT_BLOCKING, blocking_begin, blocking_end };

static int64_t blocking_end_end(struct gstk_future *f, enum gstk__code code)
{
	return done(f);
}

const struct gstk__await gstk__await_blocking_end = { .why = GSTK__WAIT_BLOCKING, .end = blocking_end_end };
