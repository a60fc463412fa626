// SPDX-License-Identifier: MIT
/* Nodes for timed waits: they cannot lie on the waiting stack, which may leave its window. A page of them at a time,
 * for good, or one when there is no memory for that. */
#include "sched/timer_pool.h"

#include <stdlib.h>

#define CHUNK (4064 / sizeof(struct gstk__timer)) /* and what malloc() adds to it */

static struct {
	_Atomic uint32_t lock;
	struct gstk__timer *free;
} pool;

static struct gstk__timer *grow(void)
{
	struct gstk__timer *t = malloc(CHUNK * sizeof(*t));

	if (!t)
		return malloc(sizeof(*t));
	for (size_t i = 1; i + 1 < CHUNK; i++)
		t[i].next = &t[i + 1];
	gstk__lock(&pool.lock);
	t[CHUNK - 1].next = pool.free;
	pool.free = &t[1];
	gstk__unlock(&pool.lock);
	return t;
}

struct gstk__timer *gstk__timer_get(void)
{
	struct gstk__timer *t;

	gstk__lock(&pool.lock);
	t = pool.free;
	if (t)
		pool.free = t->next;
	gstk__unlock(&pool.lock);
	return t ? t : grow();
}

void gstk__timer_put(struct gstk__timer *t)
{
	gstk__lock(&pool.lock);
	t->next = pool.free;
	pool.free = t;
	gstk__unlock(&pool.lock);
}
