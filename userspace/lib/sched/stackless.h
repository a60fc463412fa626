// SPDX-License-Identifier: MIT
/*
 * Tasks without a stack: greenstk/future.h. One is an item of the run queues like any task. What takes it off a
 * queue to switch to it sees that its tier is not RESIDENT, and leaves it to the worker's loop, as it does with
 * all that needs more than a switch; so the way from stack to stack knows nothing of it. The loop calls its poll
 * function, on the thread's own stack:
 *
 *	take it -> end() the wait -> poll() -> begin() the wait that it asked for -> park it
 *	                  ^                          |
 *	                  '----- over already -------'
 *
 * The words, queues, codes and message slots of a wait are those of every task (sched.h), so neither side of a
 * wait looks at what the other one is. Since it never stands on a stack of its own it can be parked as soon as
 * poll() has returned.
 */
#ifndef GSTK__SCHED_STACKLESS_H
#define GSTK__SCHED_STACKLESS_H

#include <greenstk/future.h>
#include "sched/sched.h"

/* What it has instead, on the heap: 32 bytes, then its state. The fields of the present wait are its
 * operation's. */
struct gstk__stackless {
	const struct gstk_future_type *type;
	struct gstk__timer *timer; /* of the present wait, which has a deadline */
	void *arg;
	uint32_t len;
	uint8_t op;		   /* enum gstk__await_op */
	_Alignas(16) char state[];
};
_Static_assert(sizeof(struct gstk__stackless) == 32, "see bench memory.stackless");

/* Indices of gstk__awaits. */
enum gstk__await_op {
	GSTK__AWAIT_NONE, /* it has not begun */
	GSTK__AWAIT_RESULT, /* none: the result is known already */
	GSTK__AWAIT_YIELD,
	GSTK__AWAIT_TIME,
	GSTK__AWAIT_RECV,
	GSTK__AWAIT_SEND,
	GSTK__AWAIT_JOIN,
	GSTK__AWAIT_MUTEX,
	GSTK__AWAIT_SEM,
	GSTK__AWAIT_WAITGROUP,
	GSTK__AWAIT_SELECT,
	GSTK__AWAIT_READY,
	GSTK__AWAIT_READ,
	GSTK__AWAIT_WRITE,
	GSTK__AWAIT_ACCEPT,
	GSTK__AWAIT_CONNECT,
	GSTK__AWAIT_COND,
	GSTK__AWAIT_RELOCK, /* the mutex of a condition, when that wait is over */
	GSTK__AWAIT_BLOCKING,
	GSTK__AWAIT_BLOCKING_END, /* of a call that has begun, so that it can only be waited for */
	GSTK__NR_AWAITS,
};

/* One run of a stackless task, on the stack of the loop. */
struct gstk_future {
	struct gstk_task *task;
	struct gstk__stackless *s;
	uint64_t deadline_ns;  /* of the wait */
	int64_t result;	       /* of the last wait */
	void *value;	       /* gstk_future_done() */
	_Atomic uint32_t *lock;/* held by begin() or end(), to be let go of when the task is parked; or NULL */
	gstk__commit_fn commit;/* instead, when that needs an owner: gets the struct gstk_future */
	enum gstk__why why;    /* NONE: what the table says */
	bool through;	       /* neither a cancel nor a deadline ends this wait */
};

#define GSTK__AWAIT_PARK INT64_MIN

/* A kind of wait: what a blocking call does before it parks, and after. Each returns the result, or PARK: the
 * task is linked to what it waits for, whose lock is held. */
struct gstk__await {
	enum gstk__why why;
	int64_t (*begin)(struct gstk_future *f);
	int64_t (*end)(struct gstk_future *f, enum gstk__code code);
};
extern const struct gstk__await *const *gstk__awaits; /* NR_AWAITS; of wait/, which registers them */

/* By the consumer of its queue, in the loop. */
struct gstk__worker;
void gstk__stackless_run(struct gstk__worker *w, struct gstk_task *t);
/* For reports: as the address behind a call in its poll function, whose frame is gone. */
static inline const void *gstk__stackless_site(const struct gstk_task *t)
{
	return (const char *)t->stackless->type->poll + 1;
}
/* For reports: the name of its type, while nobody frees it. */
const char *gstk__stackless_name(const struct gstk_task *t);

#endif
