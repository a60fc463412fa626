/* SPDX-License-Identifier: MIT */
/*
 * The arena's page side: 64 KiB granules in 2 MiB chunks.
 *
 *     0         low_end                    high_start         nr_chunks
 *     | 4 KiB pages -> |   never touched       | <- huge pages |
 *
 * Chunks on small pages are taken from the bottom, chunks on huge pages from
 * the top, so that differing advice splits few mappings. A free granule may
 * still hold pages (dirty); trim gives those back.
 *
 * Lock: heap->lock, below every class lock. page_dirty of a granule belongs to
 * the owner of the granule, to the heap while the granule is free.
 */
#ifndef GSTK__PARK_ARENA_HEAP_H
#define GSTK__PARK_ARENA_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRANULE_SHIFT	16
#define GRANULE		(1u << GRANULE_SHIFT)
#define CHUNK_SHIFT	21
#define CHUNK		(1u << CHUNK_SHIFT)
#define CHUNK_GRANULES	(CHUNK / GRANULE)	/* 32: one mask word */
#define PAGE_SHIFT	12
#define PAGE		(1u << PAGE_SHIFT)
#define GRANULE_PAGES	(GRANULE / PAGE)	/* 16: one page_dirty word */

/* One per granule. The slab fields are those of the slab's first granule. */
struct gstk__granule {
	uint32_t next, prev;	/* class's list of slabs with a free block; 0 ends it */
	uint32_t nr_live;	/* blocks out, magazines included */
	uint32_t nr_total;
	uint16_t cls;
	uint16_t hint;		/* no free block in bitmap words below */
	uint16_t page_dirty;	/* pages touched and not given back */
	uint8_t head_off;	/* distance to the slab's first granule */
	uint8_t nr_granules;	/* of the slab; 0: no slab starts here */
	uint8_t flags;		/* GSTK__SLAB_* */
	uint8_t pad[7];
	uint64_t map;		/* slabs of large blocks: 64 bits of the slab's bitmap */
};
_Static_assert(sizeof(struct gstk__granule) == 40, "what heap_init() counts with");

#define GSTK__SLAB_LISTED	1	/* on its class's list */
#define GSTK__SLAB_FILLING	2	/* huge chunk that was never full yet */
#define GSTK__SLAB_FREED	4	/* a block came back since the last trim */
#define GSTK__SLAB_LARGE	8	/* its bitmap is in its granules */

struct gstk__heap {
	char *base;
	size_t bytes;			/* of the arena range */
	size_t mapped;			/* with the bookkeeping behind it */
	uint32_t nr_chunks, low_end, high_start;
	struct gstk__granule *granule;	/* [nr_chunks * 32] */
	uint32_t *free_mask;		/* [nr_chunks] granules free in chunks in use */
	uint8_t *huge;			/* [nr_chunks] GSTK__HUGE_*, under the lock */
	uint64_t *bitmap;		/* one bit per unit of the arena: small block in use */
	uint32_t low_hint;		/* no free granule in low chunks below */
	int nr_odd;			/* chunks flagged GSTK__HUGE_ODD */
	uint64_t committed;		/* bytes, atomic */
	uint64_t huge_bytes;		/* atomic */
	uint64_t trimmed, collapsed;	/* atomic */
	uint32_t nr_filling;		/* atomic */
	uint64_t limit;			/* bytes, 0: none */
};

/* Chunk is on a huge page (advised before first touch, or collapsed). */
#define GSTK__HUGE_NOW		1
/* Its advice is not that of its region, so it may split a mapping. */
#define GSTK__HUGE_ODD		2

extern struct gstk__heap gstk__heap;

int gstk__heap_init(size_t max_bytes, size_t min_bytes);
void gstk__heap_fini(void);

/* nr contiguous granules (inside one chunk, or whole chunks when nr >= 32);
 * huge asks for huge pages (nr == 32 only) and tells whether they were granted.
 * Returns the first granule's number, 0 when there is none. */
uint32_t gstk__heap_take(uint32_t nr, bool *huge);
void gstk__heap_put(uint32_t granule, uint32_t nr);

/* Mark the pages of [off, off + bytes) of the run that starts at granule g as
 * touched; false, and nothing done, when that would pass the limit. */
bool gstk__heap_touch(uint32_t g, uint32_t off, size_t bytes);
/* Give back those pages of granule g that are in mask (16 bits) and dirty. */
size_t gstk__heap_punch(uint32_t g, uint16_t mask);
/* Give back the pages of free granules; at least max_bytes if there is as much. */
size_t gstk__heap_trim(size_t max_bytes);
/* Turn a full chunk on small pages into one huge page; 0 or -errno. */
int gstk__heap_collapse(uint32_t chunk);

/* Would committing `more` bytes pass the limit? */
bool gstk__heap_over_limit(size_t more);

static inline char *gstk__granule_ptr(uint32_t g)
{
	return gstk__heap.base + ((size_t)g << GRANULE_SHIFT);
}

#endif
