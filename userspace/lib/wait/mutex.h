// SPDX-License-Identifier: MIT
#ifndef GSTK__WAIT_MUTEX_H
#define GSTK__WAIT_MUTEX_H

#include "wait/waitq.h"

/*
 * The parts of a lock before and after a park, for await_sync.c. 0, -errno, or 1: t is to park for MUTEX, with
 * *lock held. end() is for how that went, and may say 1 again.
 */
int gstk__mutex_begin(gstk_mutex *m, struct gstk_task *t, uint64_t deadline_ns, _Atomic uint32_t **lock);
int gstk__mutex_end(gstk_mutex *m, struct gstk_task *t, enum gstk__code code, uint64_t deadline_ns,
		    _Atomic uint32_t **lock);
/* For cond.c: take @m whatever happens to the task meanwhile. */
void gstk__mutex_relock(gstk_mutex *m, struct gstk_task *t);
/* Release it without a check. */
void gstk__mutex_release(gstk_mutex *m, struct gstk_task *t);
/* Does @t hold it? */
bool gstk__mutex_held(const gstk_mutex *m, const struct gstk_task *t);

#endif
