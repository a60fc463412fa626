// SPDX-License-Identifier: MIT
/* Where tasks were spawned: kept only for the modes that tell it. */
#ifndef GSTK__DEBUG_SPAWNED_H
#define GSTK__DEBUG_SPAWNED_H

#include <stddef.h>
#include "task/task.h"

struct gstk__spawned {
	const void *fn;	  /* what it runs */
	const void *site; /* return address of the call that spawned it; NULL: unknown */
};
extern struct gstk__spawned *gstk__spawned; /* by task index; NULL: nobody wants to know */

/* 0, or -ENOMEM. */
int gstk__spawned_init(size_t max_tasks);
void gstk__spawned_fini(void);

static inline void gstk__spawned_note(const struct gstk_task *t, const void *fn, const void *site)
{
	if (__builtin_expect(gstk__spawned != NULL, 0))
		gstk__spawned[gstk__task_index(t)] = (struct gstk__spawned){ fn, site };
}

#endif
