// SPDX-License-Identifier: MIT
/* Birth and end of tasks, for api/. */
#ifndef GSTK__SCHED_START_H
#define GSTK__SCHED_START_H

#include "sched/sched.h"

/* A task with default fields, not yet queued; NULL: no memory or max_tasks reached. */
struct gstk_task *gstk__task_new(void);
/* Make a new task run; its word must be RUNNABLE (gstk__state_spawn). */
void gstk__spawn_queue(struct gstk_task *t);
/* End the calling task. Does not return; not declared so, in order to be jumped to. */
void gstk__task_exit(void *result);
/* End a stackless task, whose poll function has just returned to this worker's loop. */
void gstk__stackless_exit(struct gstk__worker *w, struct gstk_task *t, void *result);
/* Free a task that has ended, or that was never queued. */
void gstk__task_reap(struct gstk_task *t);
/* What @call is told of a @t that is no place of a task, or not any more. */
int gstk__no_handle(const struct gstk_task *t, const char *call) __attribute__((cold, noinline));
int gstk__task_join(struct gstk_task *t, void **result, uint64_t deadline_ns);
/* The parts of that before and after a park. begin: 1 when @me is registered and is to park for JOIN now; 0, -errno
 * when it is over. end: 0, or what @code says: then t is still joinable. */
int gstk__join_begin(struct gstk_task *me, struct gstk_task *t, void **result, uint64_t deadline_ns);
int gstk__join_end(struct gstk_task *me, struct gstk_task *t, void **result, enum gstk__code code);
int gstk__task_detach(struct gstk_task *t);
/* Of a task that has ended: its result, and it is freed. By a thread that has no place among the tasks, nor needs one. */
void gstk__task_take(struct gstk_task *t, void **result);
/* Ask a task to stop. Does not order the caller's store against the task's park: see cancel.c. */
void gstk__cancel_mark(struct gstk_task *t);
void gstk__cancel_wake(struct gstk_task *t);

#endif
