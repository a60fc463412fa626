// SPDX-License-Identifier: MIT
/* Nodes for timed waits: they cannot lie on the waiting stack, which may leave its window. A page of them at a time,
 * for good, or one when there is no memory for that. */
#include "sched/timer_pool.h"

#include <stdlib.h>

#define CHUNK 4064 /* and what malloc() adds to it */

struct pool {
	_Atomic uint32_t lock;
	uint32_t size;
	struct gstk__timer *free;
};

static struct pool timers = { .size = sizeof(struct gstk__timer) }, timeds = { .size = sizeof(struct gstk__timed) };

static __attribute__((cold, noinline)) void *grow(struct pool *p)
{
	uint32_t nr = CHUNK / p->size;
	char *t = malloc(nr * p->size);

	if (!t)
		return malloc(p->size);
	gstk__lock(&p->lock);
	for (uint32_t i = 1; i < nr; i++) {
		struct gstk__timer *more = (struct gstk__timer *)(t + i * p->size);

		more->next = p->free;
		p->free = more;
	}
	gstk__unlock(&p->lock);
	return t;
}

static inline void *get(struct pool *p)
{
	struct gstk__timer *t;

	gstk__lock(&p->lock);
	t = p->free;
	if (t)
		p->free = t->next;
	gstk__unlock(&p->lock);
	return t ? t : grow(p);
}

static inline void put(struct pool *p, struct gstk__timer *t)
{
	gstk__lock(&p->lock);
	t->next = p->free;
	p->free = t;
	gstk__unlock(&p->lock);
}

struct gstk__timer *gstk__timer_get(void)
{
	return get(&timers);
}

void gstk__timer_put(struct gstk__timer *timer)
{
	put(&timers, timer);
}

struct gstk__timed *gstk__timed_get(void)
{
	return get(&timeds);
}

void gstk__timed_put(struct gstk__timed *timed)
{
	put(&timeds, &timed->timer);
}
