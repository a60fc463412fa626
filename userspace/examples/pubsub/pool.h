// SPDX-License-Identifier: MIT
/*
 * Equal-sized elements in chunks that never move, named by 32-bit indices: half the size of a
 * pointer and no allocator header, which counts when an idle connection is to cost little.
 * Memory is never given back, so an index of a freed element still points at an element.
 */
#ifndef PUBSUB_POOL_H
#define PUBSUB_POOL_H

#include <stddef.h>
#include <stdint.h>
#include "spin.h"

#define POOL_CHUNK	1024u
#define POOL_MAX_CHUNKS 16384u
#define POOL_NONE	UINT32_MAX

struct pool {
	uint32_t elem_size; /* a multiple of 8; cache lines are not split when it divides 64 */
	uint32_t link;	    /* offset of a uint32_t that a free element can lend */
	uint32_t keep;	    /* bytes at the beginning that are left alone when it is freed */
	spin lock;
	uint32_t free, nr_free;
	_Atomic uint32_t high; /* indices below it exist */
	void *_Atomic chunks[POOL_MAX_CHUNKS];
};
#define POOL_INIT(type, link_member) \
	{ .elem_size = sizeof(type), .link = offsetof(type, link_member), .free = POOL_NONE }

/** A zeroed element, its index in *index. NULL when memory is out. The link member is zero too. */
void *pool_get(struct pool *p, uint32_t *index);
void pool_put(struct pool *p, uint32_t index);
/** Bytes that the pool holds, and elements in use. */
size_t pool_bytes(struct pool *p);
size_t pool_used(struct pool *p);

static inline void *pool_at(struct pool *p, uint32_t index)
{
	char *chunk = atomic_load_explicit(&p->chunks[index / POOL_CHUNK], memory_order_acquire);

	return chunk + (size_t)(index % POOL_CHUNK) * p->elem_size;
}

#endif
