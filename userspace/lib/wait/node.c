// SPDX-License-Identifier: MIT
#include "wait/node.h"

#include <stdlib.h>

struct gstk__node *gstk__node_chunks[GSTK__NODE_CHUNKS];

/* Free runs by size, linked by ->next of their first node; and what is left of the last chunk. */
static struct {
	_Atomic uint32_t lock;
	uint32_t free[GSTK__NODE_CHUNK_SHIFT + 1];
	uint32_t fresh, fresh_end;
	uint32_t chunks;
} pool;

static unsigned int order_of(unsigned int nr)
{
	return nr <= 1 ? 0 : 32 - (unsigned int)__builtin_clz(nr - 1);
}

static void put_locked(uint32_t first, unsigned int order)
{
	gstk__node(first)->next = pool.free[order];
	pool.free[order] = first;
}

/* A new chunk; what is left of the old one goes to the free lists. */
static bool grow(void)
{
	struct gstk__node *chunk;

	if (pool.chunks == GSTK__NODE_CHUNKS - 1)
		return false;
	chunk = aligned_alloc(64, sizeof(*chunk) << GSTK__NODE_CHUNK_SHIFT);
	if (!chunk)
		return false;
	while (pool.fresh < pool.fresh_end) {
		unsigned int order = (unsigned int)__builtin_ctz(pool.fresh);

		while (pool.fresh + (1u << order) > pool.fresh_end)
			order--;
		put_locked(GSTK__NODE | pool.fresh, order);
		pool.fresh += 1u << order;
	}
	pool.fresh = pool.chunks << GSTK__NODE_CHUNK_SHIFT;
	pool.fresh_end = pool.fresh + (1u << GSTK__NODE_CHUNK_SHIFT);
	/* Readers got their items under a lock that was released after this store. */
	gstk__node_chunks[pool.chunks++] = chunk;
	return true;
}

uint32_t gstk__nodes_get(unsigned int nr)
{
	unsigned int order = order_of(nr);
	uint32_t first = 0;

	gstk__lock(&pool.lock);
	if (pool.free[order]) {
		first = pool.free[order];
		pool.free[order] = gstk__node(first)->next;
	} else {
		uint32_t at = (pool.fresh + (1u << order) - 1) & ~((1u << order) - 1);

		if (at + (1u << order) <= pool.fresh_end || grow()) {
			/* Aligned to its size; the gap before it is kept. */
			at = (pool.fresh + (1u << order) - 1) & ~((1u << order) - 1);
			while (pool.fresh < at) {
				unsigned int o = (unsigned int)__builtin_ctz(pool.fresh);

				put_locked(GSTK__NODE | pool.fresh, o);
				pool.fresh += 1u << o;
			}
			pool.fresh = at + (1u << order);
			first = GSTK__NODE | at;
		}
	}
	gstk__unlock(&pool.lock);
	return first;
}

void gstk__nodes_put(uint32_t first, unsigned int nr)
{
	gstk__lock(&pool.lock);
	put_locked(first, order_of(nr));
	gstk__unlock(&pool.lock);
}
