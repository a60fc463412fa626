// SPDX-License-Identifier: MIT
/* What a stackless task waits for: the table, and what is no object. */
#include "wait/await.h"

#include "sched/start.h"

int64_t gstk_await_result(const gstk_future *f)
{
	return f->result;
}

enum gstk_progress gstk_await_yield(gstk_future *f)
{
	f->s->op = GSTK__AWAIT_YIELD;
	return GSTK_PENDING;
}

/* It was queued again: with the result of a wait that was over at once. */
static int64_t yield_end(struct gstk_future *f, enum gstk__code code)
{
	return (int64_t)f->task->msg[0];
}

static const struct gstk__await await_yield = { .why = GSTK__WAIT_NONE, .end = yield_end };

enum gstk_progress gstk_await_time(gstk_future *f, uint64_t until_ns)
{
	f->s->arg = (void *)(uintptr_t)until_ns;
	return gstk__await(f, GSTK__AWAIT_TIME, NULL, until_ns);
}

static int64_t time_begin(struct gstk_future *f)
{
	return GSTK__AWAIT_PARK;
}

static int64_t time_end(struct gstk_future *f, enum gstk__code code)
{
	struct gstk_task *t = f->task;

	if (code != GSTK__CODE_TIMEDOUT)
		return gstk__code_errno(code);
	/* By which came first, not by the clock: as in sleep.c. */
	return t->flags & GSTK__T_DEADLINE && gstk__ext(t)->deadline_ns < (uintptr_t)f->s->arg ? -ETIMEDOUT : 0;
}

static const struct gstk__await await_time = { GSTK__WAIT_SLEEP, time_begin, time_end };

enum gstk_progress gstk_await_join(gstk_future *f, gstk_task *task, void **result, uint64_t deadline_ns)
{
	if (!gstk__is_place(task))
		return gstk__await_over(f, gstk__no_handle(task, "gstk_await_join"));
	if (gstk__await_refuse(f, result, "gstk_await_join: the result"))
		return gstk__await_over(f, -EINVAL);
	f->s->arg = result;
	return gstk__await(f, GSTK__AWAIT_JOIN, task, deadline_ns);
}

static int64_t join_begin(struct gstk_future *f)
{
	return gstk__await_park(f, NULL, gstk__join_begin(f->task, f->task->obj, f->s->arg, f->deadline_ns));
}

static int64_t join_end(struct gstk_future *f, enum gstk__code code)
{
	return gstk__join_end(f->task, f->task->obj, f->s->arg, code);
}

static const struct gstk__await await_join = { GSTK__WAIT_JOIN, join_begin, join_end };

void gstk__awaits_register(void)
{
	static const struct gstk__await *const table[GSTK__NR_AWAITS] = {
		[GSTK__AWAIT_YIELD] = &await_yield,
		[GSTK__AWAIT_TIME] = &await_time,
		[GSTK__AWAIT_RECV] = &gstk__await_recv,
		[GSTK__AWAIT_SEND] = &gstk__await_send,
		[GSTK__AWAIT_JOIN] = &await_join,
		[GSTK__AWAIT_MUTEX] = &gstk__await_mutex,
		[GSTK__AWAIT_SEM] = &gstk__await_sem,
		[GSTK__AWAIT_WAITGROUP] = &gstk__await_waitgroup,
		[GSTK__AWAIT_SELECT] = &gstk__await_select,
		[GSTK__AWAIT_READY] = &gstk__await_ready,
		[GSTK__AWAIT_READ] = &gstk__await_read,
		[GSTK__AWAIT_WRITE] = &gstk__await_write,
		[GSTK__AWAIT_ACCEPT] = &gstk__await_accept,
		[GSTK__AWAIT_CONNECT] = &gstk__await_connect,
		[GSTK__AWAIT_COND] = &gstk__await_cond,
		[GSTK__AWAIT_RELOCK] = &gstk__await_relock,
		[GSTK__AWAIT_BLOCKING] = &gstk__await_blocking,
		[GSTK__AWAIT_BLOCKING_END] = &gstk__await_blocking_end,
	};

	gstk__awaits = table;
}
