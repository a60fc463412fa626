/* SPDX-License-Identifier: MIT */
/* What the ways to wait have in common: block.c, whose callers go on behind it, and then.c, whose callers have nothing left. */
#ifndef GSTK__SCHED_BLOCK_H
#define GSTK__SCHED_BLOCK_H

#include "arch/arch.h"
#include "sched/timer.h"
#include "sched/worker.h"

/* The task's own deadline counts in waits that a cancel reaches. */
static inline uint64_t gstk__nearer(struct gstk_task *t, uint64_t deadline_ns)
{
	struct gstk__ext *x = t->flags & GSTK__T_DEADLINE ? gstk__ext(t) : NULL;

	return x && x->deadline_ns < deadline_ns ? x->deadline_ns : deadline_ns;
}

void gstk__then_init(void);

/* Whose time is over is woken. */
void gstk__timed_out(struct gstk__timer *timer);
static inline void gstk__set_timer(struct gstk__timer *timer, struct gstk_task *t, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
	timer->fn = gstk__timed_out;
	timer->task = gstk__task_index(t);
}

static inline void gstk__after_commit(struct gstk__worker *w, gstk__commit_fn commit, void *arg, struct gstk__timer *timer,
				uint32_t flags)
{
	w->after = GSTK__AFTER_COMMIT;
	w->after_commit = commit;
	w->after_arg = arg;
	w->after_timer = timer;
	w->after_flags = flags;
}

#endif
