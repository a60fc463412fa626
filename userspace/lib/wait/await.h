// SPDX-License-Identifier: MIT
/* The waits of stackless tasks: each is the two halves of a blocking call, and lies beside it. */
#ifndef GSTK__WAIT_AWAIT_H
#define GSTK__WAIT_AWAIT_H

#include "host/refuse.h"
#include "sched/stackless.h"
#include "wait/waitq.h"

void gstk__awaits_register(void);

extern const struct gstk__await gstk__await_recv, gstk__await_send;
extern const struct gstk__await gstk__await_select;
extern const struct gstk__await gstk__await_ready, gstk__await_read, gstk__await_write, gstk__await_accept;
extern const struct gstk__await gstk__await_connect;
extern const struct gstk__await gstk__await_cond, gstk__await_relock;
extern const struct gstk__await gstk__await_blocking, gstk__await_blocking_end;
extern const struct gstk__await gstk__await_mutex, gstk__await_sem, gstk__await_waitgroup;

/*
 * 0, or -EINVAL with a message when @p will not be there when the wait is over: in a shared window, or in a frame
 * of the poll function, that is, below what it was called with. @what: "gstk_await_recv: the element".
 */
static inline int gstk__await_refuse(const struct gstk_future *f, const void *p, const char *what)
{
	uintptr_t at = (uintptr_t)p;

	if (unlikely(at < (uintptr_t)f && at >= (uintptr_t)__builtin_frame_address(0)))
		return gstk__refuse("%s on the stack of the poll function, which is gone when that returns; put it "
				    "into the state", what);
	return gstk__refuse_shared(p, what);
}

/* The wait is over before it begins. */
static inline enum gstk_progress gstk__await_over(struct gstk_future *f, int64_t result)
{
	f->result = result;
	f->s->op = GSTK__AWAIT_RESULT;
	return GSTK_PENDING;
}

/* What every gstk_await_...() ends with. */
static inline enum gstk_progress gstk__await(struct gstk_future *f, enum gstk__await_op op, void *obj,
					     uint64_t deadline_ns)
{
	if (unlikely(gstk__cancel_pending(f->task)))
		return gstk__await_over(f, -ECANCELED);
	f->s->op = (uint8_t)op;
	f->task->obj = obj;
	f->deadline_ns = deadline_ns;
	return GSTK_PENDING;
}

/* The wait that goes on in @op can only be waited for. */
static inline void gstk__await_through(struct gstk_future *f, enum gstk__await_op op)
{
	f->s->op = (uint8_t)op;
	f->deadline_ns = UINT64_MAX;
	f->through = true;
}

/* begin() and end() of what says 1 when it is to park, with @lock held. */
static inline int64_t gstk__await_park(struct gstk_future *f, _Atomic uint32_t *lock, int r)
{
	if (r <= 0)
		return r;
	f->lock = lock;
	return GSTK__AWAIT_PARK;
}

#endif
