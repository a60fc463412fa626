// SPDX-License-Identifier: MIT
/* Nodes for timed waits: they cannot lie on the waiting stack, which may leave its window. */
#include "sched/timer_pool.h"

#include <sched.h>
#include <stdlib.h>

static struct {
	_Atomic uint32_t lock;
	struct gstk__timer *free;
} pool;

struct gstk__timer *gstk__timer_get(void)
{
	struct gstk__timer *t;

	for (;;) {
		gstk__lock(&pool.lock);
		t = pool.free;
		if (t)
			pool.free = t->next;
		gstk__unlock(&pool.lock);
		if (t || (t = malloc(sizeof(*t))))
			return t;
		sched_yield(); /* 48 bytes: either memory comes back or nothing here can go on */
	}
}

void gstk__timer_put(struct gstk__timer *t)
{
	gstk__lock(&pool.lock);
	t->next = pool.free;
	pool.free = t;
	gstk__unlock(&pool.lock);
}
