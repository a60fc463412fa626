/* SPDX-License-Identifier: MIT */
/*
 * Pages of a deep stack, packed in chunks of four, each of which can be unpacked by itself. They are counted from
 * the window's end, so that a chunk stays the same one whatever comes and goes above it:
 *
 *	page	 n-1 ...  7 6 5 4 | 3 2 1 0	0: the last of the window
 *	chunk	 ...        1     |    0
 *
 * Who owns the stack makes and frees them; whoever they are published to (lazy.h, cold.h) only reads.
 */
#ifndef GSTK__PARK_CHUNKS_H
#define GSTK__PARK_CHUNKS_H

#include "park/pack_scratch.h"
#include "park/park.h"

#define GSTK__CHUNK	  4u /* pages */
#define GSTK__CHUNK_BYTES (GSTK__CHUNK * 4096u)

struct gstk__chunks {
	uint32_t nr_pages; /* when it was packed */
	uint32_t bytes;	   /* of arena that the chunks take */
	uint32_t packed[]; /* arena references */
};

static inline struct gstk__chunks *gstk__chunks(uint32_t ref)
{
	return gstk__arena_ptr(ref);
}

static inline uint32_t gstk__chunks_nr(uint32_t nr_pages)
{
	return (nr_pages + GSTK__CHUNK - 1) / GSTK__CHUNK;
}

/* Pages of chunk c, of so many in all. */
static inline uint32_t gstk__chunk_pages(uint32_t nr_pages, uint32_t c)
{
	uint32_t left = nr_pages - c * GSTK__CHUNK;

	return left < GSTK__CHUNK ? left : GSTK__CHUNK;
}

/* Where page j is among the bytes of its chunk: the highest one has the lowest address. */
static inline size_t gstk__chunk_at(uint32_t nr_pages, uint32_t j)
{
	return (size_t)(gstk__chunk_pages(nr_pages, j / GSTK__CHUNK) - 1 - j % GSTK__CHUNK) * 4096;
}

/* Where the pages to pack come from. */
struct gstk__chunks_from {
	/* All of chunk c is as it is in @old. */
	bool (*same)(const struct gstk__chunks_from *from, uint32_t c);
	/* The bytes of chunk c, whole pages. */
	void (*gather)(const struct gstk__chunks_from *from, uint32_t c, char *to);
	const struct gstk__chunks *old; /* NULL: the first time */
	uint32_t nr_pages;
	char *end;			/* of the window's pages */
};

/* Pack: 0 and a reference, which shares with @from->old what is the same. -ENOMEM; -ENOSPC: it does not pay. */
int gstk__chunks_make(struct gstk__park *p, const struct gstk__chunks_from *from, uint32_t *ref);
/* Free all that it does not share with @but (0: all); frees no byte of that. */
void gstk__chunks_free(struct gstk__park *p, uint32_t ref, uint32_t but);
/* The bytes of chunk c of a window that ends at @end; waits for nothing. ->one of the scratch is used. Corrupt:
 * aborts. */
void gstk__chunks_unpack(struct gstk__scratch *s, const struct gstk__chunks *d, const char *end, uint32_t c, void *to);

#endif
