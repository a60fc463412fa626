// SPDX-License-Identifier: MIT
/*
 * GREENSTK_DEBUG=locks: who holds and who waits for which mutex and rwlock. Reported are
 *
 *	misuse		unlocked by who does not hold it, taken again by who does, destroyed in use, held at
 *			the end of a task
 *	order		locks that are taken in a circle, though by different tasks or at different times; ranks
 *			that do not rise (locks_order.c)
 *	deadlock	tasks that wait for each other, while others go on; joins count, too; with channels in
 *			it, it is a suspicion (locks_chan.c)
 *
 * wait/ calls these only when gstk__locks_watched, so that without it a lock costs one look at that. A
 * record is made after the lock was taken, and goes before it is let go of; so who is recorded as the
 * holder has it, and a circle of waits without deadlines that is found here is one.
 */
#ifndef GSTK__DEBUG_LOCKS_H
#define GSTK__DEBUG_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include "task/task.h"

enum gstk__lock_kind { GSTK__LOCK_MUTEX, GSTK__LOCK_READ, GSTK__LOCK_WRITE };

extern bool gstk__locks_watched; /* the mode is on */

/* @warn: go on after a report. 0, or -ENOMEM. */
int gstk__locks_init(size_t max_tasks, bool warn);
void gstk__locks_fini(void);

/* @site: where the application called, by return address. */
/* Is about to take it, and wait if it must. */
void gstk__locks_wanted(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, uint64_t deadline_ns, const void *site);
void gstk__locks_taken(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, const void *site);
/* Is about to let go of it, or thinks so. */
void gstk__locks_released(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, const void *site);
/* Is about to park for it; or for the end of task @u. Both end with waited(). */
void gstk__locks_waits(const void *lock, enum gstk__lock_kind kind, struct gstk_task *t, uint64_t deadline_ns);
void gstk__locks_joins(struct gstk_task *t, struct gstk_task *u, uint64_t deadline_ns);
void gstk__locks_waited(struct gstk_task *t);
/* Its task, or a thread's stand-in, has ended. */
void gstk__locks_ended(struct gstk_task *t);

/* Channels, whose ends are used by anybody: locks_chan.c. The first by who uses one, its lock held. */
enum gstk__chan_end { GSTK__CHAN_SENDS, GSTK__CHAN_RECEIVES };
void gstk__locks_chan_used(const void *chan, enum gstk__chan_end end);
void gstk__locks_chan_waits(const void *chan, struct gstk_task *t, uint64_t deadline_ns);
void gstk__locks_chan_gone(const void *chan);
/* Threads of the process that are ours for this: 0 or 1. */
unsigned int gstk__locks_threads(void);

/* The application's words on a lock. */
void gstk__locks_new(const void *lock, const void *site);
void gstk__locks_gone(const void *lock, bool busy, const void *site);
void gstk__locks_rank(const void *lock, uint32_t rank);

#endif
