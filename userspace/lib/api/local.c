// SPDX-License-Identifier: MIT
/* Storage of the caller, task or thread, by key. */
#include <greenstk/local.h>

#include <errno.h>
#include "sched/worker.h"
#include "task/local.h"

/* A function of its own: the extension of a task stays where it is, but nothing of a thread may be kept. */
void *gstk_local_get(gstk_local key)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk__ext *x = t ? gstk__ext(t) : NULL;

	return t && !x ? NULL : gstk__local_of(x, key);
}

int gstk_local_set(gstk_local key, void *value)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk__ext *x = t ? gstk__ext_get(t) : NULL;

	return t && !x ? -ENOMEM : gstk__local_set_of(x, key, value);
}
