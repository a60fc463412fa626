// SPDX-License-Identifier: MIT
/*
 * The pool of tasks: a reserved array that grows by touching it, a global free list under a lock
 * and a free list for each worker, refilled and emptied many at a time.
 */
#include "task/task.h"

#include <errno.h>
#include "debug/mode.h"
#include "host/host.h"
#include "host/lock.h"
#include "task/state.h"

#define MOST   256u /* that a worker keeps, */
#define REFILL 64u  /* and gets at a time */
#define STALE  65536u /* with GREENSTK_DEBUG=handles: free ones that stay so, that who comes with their handles is told */

struct gstk_task *gstk__tasks;
size_t gstk__max_tasks;
_Atomic uint32_t gstk__tasks_high;

static struct {
	_Atomic uint32_t lock;
	uint32_t head;
	uint32_t tail, nr; /* with GREENSTK_DEBUG=handles only, which makes it a queue */
} pool;

static bool is_queue(void)
{
	return gstk__debugging & GSTK__DEBUG_HANDLES;
}

int gstk__task_pool_init(size_t max_tasks)
{
	gstk__tasks = gstk__mem_reserve((max_tasks + 1) * sizeof(struct gstk_task), 4096);
	if (!gstk__tasks)
		return -ENOMEM;
	gstk__max_tasks = max_tasks;
	atomic_store(&gstk__tasks_high, 1);
	pool.head = pool.tail = pool.nr = 0;
	return 0;
}

void gstk__task_pool_fini(void)
{
	gstk__mem_release(gstk__tasks, (gstk__max_tasks + 1) * sizeof(struct gstk_task));
	gstk__tasks = NULL;
}

void gstk__task_cache_init(struct gstk__task_cache *c, uint32_t workers)
{
	size_t most = gstk__max_tasks / (16 * workers);

	*c = (struct gstk__task_cache){ .most = is_queue() ? 0 : most < MOST ? (uint32_t)most : MOST };
}

static uint32_t refill(const struct gstk__task_cache *c)
{
	return !c ? 0 : c->most < REFILL ? c->most : REFILL;
}

struct gstk_task *gstk__task_alloc_slow(struct gstk__task_cache *c)
{
	struct gstk_task *t = NULL;

	gstk__lock(&pool.lock);
	if (pool.head && !(is_queue() && pool.nr <= STALE && gstk__tasks_high <= gstk__max_tasks)) {
		t = gstk__task(pool.head);
		pool.head = t->next;
		pool.nr -= is_queue();
		for (; pool.head && c && c->nr < refill(c); c->nr++) {
			uint32_t i = pool.head;

			pool.head = gstk__task(i)->next;
			gstk__task(i)->next = c->head;
			c->head = i;
		}
	} else {
		uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_relaxed);
		uint32_t nr = 1 + refill(c);

		if (high + nr > gstk__max_tasks + 1)
			nr = (uint32_t)(gstk__max_tasks + 1 - high);
		if (nr) {
			atomic_store_explicit(&gstk__tasks_high, high + nr, memory_order_release);
			t = gstk__task(high);
			for (uint32_t i = high + nr - 1; i > high; i--, c->nr++) {
				gstk__task(i)->next = c->head;
				c->head = i;
			}
		}
	}
	gstk__unlock(&pool.lock);
	return t;
}

static void put_last(struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	t->next = 0;
	if (pool.head)
		gstk__task(pool.tail)->next = i;
	else
		pool.head = i;
	pool.tail = i;
	pool.nr++;
}

void gstk__task_free_slow(struct gstk__task_cache *c, struct gstk_task *t)
{
	gstk__lock(&pool.lock);
	if (__builtin_expect(is_queue(), 0)) {
		put_last(t);
		gstk__unlock(&pool.lock);
		return;
	}
	t->next = pool.head;
	pool.head = gstk__task_index(t);
	for (uint32_t half = c ? c->nr / 2 : 0; half; half--, c->nr--) {
		struct gstk_task *o = gstk__task(c->head);

		c->head = o->next;
		o->next = pool.head;
		pool.head = gstk__task_index(o);
	}
	gstk__unlock(&pool.lock);
}
