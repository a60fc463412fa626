/* SPDX-License-Identifier: MIT */
/* Size classes of the arena and their slabs: the locked path. */
#ifndef GSTK__PARK_ARENA_SLAB_H
#define GSTK__PARK_ARENA_SLAB_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

#define GSTK__FINE_MAX		(256u << 10)	/* larger blocks are runs of granules */
#define GSTK__FINE_SHIFT	8
#define GSTK__FINE_STEPS	(1u << GSTK__FINE_SHIFT)	/* classes a doubling, above the cached ones */
#define GSTK__NR_CLASSES	(GSTK__ARENA_NR_CACHED + 5 * GSTK__FINE_STEPS)

/* Lock order: the arena's registry -> class -> heap. */
struct gstk__class {
	pthread_mutex_t lock;
	uint32_t partial;	/* first granule of a slab with a free block, or 0 */
	uint32_t tail;
	uint32_t nr_slabs;
	uint32_t nr_granules;
	uint64_t nr_live, nr_total;
} __attribute__((aligned(64)));

extern struct gstk__class gstk__classes[GSTK__NR_CLASSES];

/* bytes in 1 .. GSTK__FINE_MAX */
uint32_t gstk__class_of(uint32_t bytes);
uint32_t gstk__class_bytes(uint32_t cls);

/* Up to want blocks, lowest addresses first; returns how many there were. Blocks
 * beyond the first are taken only where no new slab is needed for them. */
uint32_t gstk__class_take(uint32_t cls, uint32_t *ref, uint32_t want);
/* Dies on a reference that is not out. */
void gstk__class_put(uint32_t cls, const uint32_t *ref, uint32_t nr);
/* Give back free pages inside partly used slabs; returns the bytes. */
size_t gstk__class_trim(uint32_t cls, size_t max_bytes);

_Noreturn void gstk__arena_die(const char *what, uint32_t ref, uint32_t bytes);

#endif
