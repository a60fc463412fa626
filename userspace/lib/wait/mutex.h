// SPDX-License-Identifier: MIT
#ifndef GSTK__WAIT_MUTEX_H
#define GSTK__WAIT_MUTEX_H

#include "wait/waitq.h"

/* For cond.c: take @m whatever happens to the task meanwhile. */
void gstk__mutex_relock(gstk_mutex *m, struct gstk_task *t);
/* Release it without a check. */
void gstk__mutex_release(gstk_mutex *m, struct gstk_task *t);
/* Does @t hold it? */
bool gstk__mutex_held(const gstk_mutex *m, const struct gstk_task *t);

#endif
