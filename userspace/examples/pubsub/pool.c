// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "pool.h"

static uint32_t *link_of(struct pool *p, uint32_t index)
{
	return (uint32_t *)((char *)pool_at(p, index) + p->link);
}

void *pool_get(struct pool *p, uint32_t *index)
{
	uint32_t high;
	void *chunk;

	spin_lock(&p->lock);
	if (p->free != POOL_NONE) {
		*index = p->free;
		p->free = *link_of(p, *index);
		p->nr_free--;
		*link_of(p, *index) = 0;
		spin_unlock(&p->lock);
		return pool_at(p, *index);
	}
	high = atomic_load_explicit(&p->high, memory_order_relaxed);
	if (high % POOL_CHUNK == 0) {
		size_t bytes = (size_t)POOL_CHUNK * p->elem_size;

		chunk = high / POOL_CHUNK < POOL_MAX_CHUNKS ? aligned_alloc(64, bytes) : NULL;
		if (!chunk) {
			spin_unlock(&p->lock);
			return NULL;
		}
		memset(chunk, 0, bytes);
		atomic_store_explicit(&p->chunks[high / POOL_CHUNK], chunk, memory_order_release);
	}
	atomic_store_explicit(&p->high, high + 1, memory_order_release);
	spin_unlock(&p->lock);
	*index = high;
	return pool_at(p, high);
}

void pool_put(struct pool *p, uint32_t index)
{
	memset((char *)pool_at(p, index) + p->keep, 0, p->elem_size - p->keep);
	spin_lock(&p->lock);
	*link_of(p, index) = p->free;
	p->free = index;
	p->nr_free++;
	spin_unlock(&p->lock);
}

size_t pool_bytes(struct pool *p)
{
	uint32_t high = atomic_load_explicit(&p->high, memory_order_relaxed);

	return (size_t)((high + POOL_CHUNK - 1) / POOL_CHUNK) * POOL_CHUNK * p->elem_size;
}

size_t pool_used(struct pool *p)
{
	size_t used;

	spin_lock(&p->lock);
	used = atomic_load_explicit(&p->high, memory_order_relaxed) - p->nr_free;
	spin_unlock(&p->lock);
	return used;
}
