// SPDX-License-Identifier: MIT
/* Extensions: what only some tasks need (names, deadlines, cleanups). A pool like that of tasks. */
#include "task/task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "host/host.h"
#include "host/lock.h"

static struct {
	_Atomic uint32_t lock;
	uint32_t head, high;
	size_t max;
	struct gstk__ext *ext;
} pool;

int gstk__ext_pool_init(size_t max)
{
	pool.ext = gstk__mem_reserve((max + 1) * sizeof(struct gstk__ext), 4096);
	if (!pool.ext)
		return -ENOMEM;
	pool.max = max;
	pool.head = 0;
	pool.high = 1;
	return 0;
}

void gstk__ext_pool_fini(void)
{
	gstk__mem_release(pool.ext, (pool.max + 1) * sizeof(struct gstk__ext));
	pool.ext = NULL;
}

struct gstk__ext *gstk__ext_at(uint32_t index)
{
	return &pool.ext[index];
}

struct gstk__ext *gstk__ext_get(struct gstk_task *t)
{
	struct gstk__ext *x = gstk__ext(t);
	uint32_t peer, i;

	if (x)
		return x;
	gstk__lock(&pool.lock);
	i = pool.head;
	if (i)
		pool.head = pool.ext[i].next_free;
	else if (pool.high <= pool.max)
		i = pool.high++;
	gstk__unlock(&pool.lock);
	if (!i)
		return NULL;
	x = &pool.ext[i];
	memset(x, 0, sizeof(*x));
	x->deadline_ns = UINT64_MAX;
	/* A joiner may register meanwhile: move its registration along. */
	peer = atomic_load_explicit(&t->peer, memory_order_relaxed);
	do {
		atomic_store_explicit(&x->peer, peer, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&t->peer, &peer, GSTK__PEER_EXT | i,
							memory_order_acq_rel, memory_order_relaxed));
	return x;
}

void gstk__ext_free(struct gstk_task *t)
{
	uint32_t i = atomic_load_explicit(&t->peer, memory_order_relaxed) & GSTK__PEER_INDEX;

	gstk__lock(&pool.lock);
	pool.ext[i].next_free = pool.head;
	pool.head = i;
	gstk__unlock(&pool.lock);
	atomic_store_explicit(&t->peer, 0, memory_order_relaxed);
}

void gstk__allocs_add(struct gstk__ext *x, struct gstk__alloc *a)
{
	a->next = x->allocs;
	a->pprev = &x->allocs;
	if (a->next)
		a->next->pprev = &a->next;
	x->allocs = a;
}

void gstk__allocs_free(struct gstk__ext *x)
{
	while (x && x->allocs) {
		struct gstk__alloc *a = x->allocs;

		x->allocs = a->next;
		free(a);
	}
}
