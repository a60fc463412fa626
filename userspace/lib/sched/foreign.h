// SPDX-License-Identifier: MIT
/* Threads that are no workers: a stand-in task waits in queues for them, and they sleep on its word. */
#ifndef GSTK__SCHED_FOREIGN_H
#define GSTK__SCHED_FOREIGN_H

#include "sched/sched.h"

struct gstk_task *gstk__foreign_self(void);
/* No task is left that could end their waits: they get -ECANCELED. Until foreign_waits is zero. */
void gstk__foreign_cancel(void);
/* The runtime ends, after its workers and before its tasks' memory: stand-ins are no more. */
void gstk__foreign_life_ends(void);
/* The same in a child of fork(). */
void gstk__foreign_forked(void);
/* Its wait was won, and its word says so: wake the thread when it sleeps. */
void gstk__foreign_wake(struct gstk_task *t);
enum gstk__code gstk__block_foreign(gstk__commit_fn commit, void *arg, enum gstk__why why, uint64_t deadline_ns,
				    bool cancelable);

#endif
