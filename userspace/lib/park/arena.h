/* SPDX-License-Identifier: MIT */
/*
 * The arena: exact-size blocks for saved stacks.
 *
 * A block is named by a 32-bit reference, counted in 16-byte units from the
 * start of one reserved address range, so a task structure pays four bytes for
 * it and the size is kept by the task, not by the block: no header, no padding.
 *
 *     bytes           class                        comes from
 *     1 .. 8 KiB      every 16 bytes               magazine of the worker, then slab
 *     .. 256 KiB      256 steps per doubling       slab, under the class's own lock
 *     above           whole pages (waste <= 1/64)  a run of 64 KiB granules
 *
 * Who may do what: a cache belongs to one thread at a time; blocks may be freed
 * by any thread through any cache, or through none (NULL: the locked path).
 */
#ifndef GSTK__PARK_ARENA_H
#define GSTK__PARK_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define GSTK__ARENA_UNIT	16u
#define GSTK__ARENA_MAX_BYTES	(64ull << 30)	/* 2^32 units */
#define GSTK__ARENA_MAX_CACHED	8192u		/* larger blocks bypass the caches */
#define GSTK__ARENA_NR_CACHED	(GSTK__ARENA_MAX_CACHED / GSTK__ARENA_UNIT)
#define GSTK__ARENA_MAG		62		/* 4 + 62 * 4 bytes: four cache lines */

/* Free blocks of one class in one worker; the last vacated is taken first,
 * because its bytes are still in this core's cache. */
struct gstk__arena_mag {
	uint16_t nr;
	uint16_t cap;		/* 0: not used yet, the slow path sets it */
	uint32_t ref[GSTK__ARENA_MAG];
	uint32_t pad;
};

/* One per worker, zeroed before use, 128 KiB of which only the pages of classes
 * in use are touched. Flush it before its memory goes away. */
struct gstk__arena_cache {
	struct gstk__arena_mag mag[GSTK__ARENA_NR_CACHED];
	struct gstk__arena_cache *next;	/* registry, for the statistics */
	int registered;
};

struct gstk__arena_stats {
	uint64_t reserved;	/* bytes of address range */
	uint64_t live;		/* bytes in blocks handed out, rounded to their class */
	uint64_t nr_live;	/* blocks handed out */
	uint64_t cached;	/* bytes free in the workers' magazines */
	uint64_t committed;	/* bytes of pages touched and not given back (estimate) */
	uint64_t huge;		/* of these, bytes on chunks advised MADV_HUGEPAGE */
	uint64_t meta;		/* bytes of bookkeeping touched (estimate) */
	uint64_t trimmed;	/* bytes given back since init */
	uint64_t collapsed;	/* chunks turned into one huge page after they filled */
	uint64_t failed;	/* allocations that returned 0 */
};

/* One row of the per-class statistics. */
struct gstk__arena_class_stats {
	uint32_t bytes;		/* block size of the class */
	uint32_t nr_slabs;
	uint64_t nr_live;	/* blocks out of the slabs, magazines included */
	uint64_t nr_total;	/* blocks that those slabs can hold */
};

extern char *gstk__arena_base;
/* Injection: if set, asked before each allocation; nonzero makes it fail. */
extern int (*gstk__arena_fail)(uint32_t bytes);

/* Reserve the range: at most max_bytes (0: 64 GiB), less with a message on
 * stderr under RLIMIT_AS or strict overcommit. 0, -ENOMEM, -EBUSY (twice). */
int gstk__arena_init(size_t max_bytes);
/* Give everything back. No block and no cache may be in use. */
void gstk__arena_fini(void);
/* Refuse to commit more than this many bytes (0: no limit). Any thread. */
void gstk__arena_set_limit(uint64_t bytes);
size_t gstk__arena_bytes(void); /* reserved */

uint32_t gstk__arena_alloc_slow(struct gstk__arena_cache *c, uint32_t bytes);
void gstk__arena_free_slow(struct gstk__arena_cache *c, uint32_t ref, uint32_t bytes);

/* Hand every cached block of c back to the slabs and forget c. */
void gstk__arena_cache_flush(struct gstk__arena_cache *c);

/*
 * Give free memory back to the system, at least max_bytes if there is as much:
 * free granules and runs first, then free pages inside partly used slabs.
 * Returns the bytes given back. Any thread; takes class locks one at a time.
 */
size_t gstk__arena_trim(size_t max_bytes);

/*
 * OPTIONAL: collapse up to nr full 4 KiB-paged chunks into huge pages, for the
 * sweep's idle time. Returns the number collapsed.
 */
int gstk__arena_collapse(int nr);

void gstk__arena_stats(struct gstk__arena_stats *st);
/* Fills up to nr rows of classes that own slabs; returns the number of rows. */
int gstk__arena_class_stats(struct gstk__arena_class_stats *row, int nr);

/* The block's address; valid in all threads until it is freed. */
static inline void *gstk__arena_ptr(uint32_t ref)
{
	return gstk__arena_base + (uint64_t)ref * GSTK__ARENA_UNIT;
}

/* A block of at least `bytes` (> 0), 16-byte aligned, contents undefined; 0 when
 * out of memory. Hot path: no lock, no system call, one cache line. */
static inline uint32_t gstk__arena_alloc(struct gstk__arena_cache *c, uint32_t bytes)
{
	uint32_t cls = (bytes - 1) / GSTK__ARENA_UNIT;

	if (__builtin_expect(c && cls < GSTK__ARENA_NR_CACHED && !gstk__arena_fail, 1)) {
		struct gstk__arena_mag *m = &c->mag[cls];
		uint16_t nr = m->nr;

		if (__builtin_expect(nr, 1)) {
			__atomic_store_n(&m->nr, (uint16_t)(nr - 1), __ATOMIC_RELAXED);
			return m->ref[nr - 1];
		}
	}
	return gstk__arena_alloc_slow(c, bytes);
}

/* Free a block; `bytes` as it was asked for. Same budget as the allocation. */
static inline void gstk__arena_free(struct gstk__arena_cache *c, uint32_t ref, uint32_t bytes)
{
	uint32_t cls = (bytes - 1) / GSTK__ARENA_UNIT;

	if (__builtin_expect(c && cls < GSTK__ARENA_NR_CACHED, 1)) {
		struct gstk__arena_mag *m = &c->mag[cls];
		uint16_t nr = m->nr;

		if (__builtin_expect(nr < m->cap, 1)) {
			m->ref[nr] = ref;
			__atomic_store_n(&m->nr, (uint16_t)(nr + 1), __ATOMIC_RELAXED);
			return;
		}
	}
	gstk__arena_free_slow(c, ref, bytes);
}

#endif
