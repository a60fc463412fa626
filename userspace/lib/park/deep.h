/* SPDX-License-Identifier: MIT */
/*
 * The record of a deep stack that is away, or came back in part: its image, in a block of whole pages that ends
 * where the window's pages end, and which of them are in the window. lazy.h draws it and says who may look.
 *
 * What was long idle is packed (chunks.h) and then cold: not in the block, which goes when all is cold. What is
 * touched comes from its chunk and is in the block again when the stack leaves; the rest stays cold.
 */
#ifndef GSTK__PARK_DEEP_H
#define GSTK__PARK_DEEP_H

#include "park/chunks.h"

#define GSTK__DEEP_PAGE 4096u

struct gstk__deep {
	uint32_t block, nr_pages; /* arena reference, 0: all is cold; of the block */
	uint32_t first;		  /* page from which on the window is registered */
	uint32_t stays;		  /* how often it came back so */
	uint32_t foreseen;	  /* some of what is here was not asked for (deep.c) */
	uint16_t next, above;	  /* the pager's: the page above what it brought last, and how much that was */
	uint32_t chunks;	  /* what is packed, or was; 0: nothing */
	uint32_t lazy_bytes;	  /* while it is here in part: as it is counted */
	_Atomic uint64_t here[];  /* bits of pages that came since; under the window's lock, or CLOSED. While it is
				   * away: of the last stay. Then as many again, of the last one that was learnt from,
				   * and of what is cold: these change only while the stack is away, or CLOSED */
};

static inline uint32_t gstk__deep_words(uint32_t nr_pages)
{
	return (nr_pages + 63) / 64;
}

static inline bool gstk__deep_here(const struct gstk__deep *d, uint32_t k)
{
	return atomic_load_explicit(&d->here[k / 64], memory_order_relaxed) >> (k % 64) & 1;
}

static inline void gstk__deep_set_in(_Atomic uint64_t *bits, uint32_t k, bool is)
{
	uint64_t bit = 1ull << (k % 64), w = atomic_load_explicit(&bits[k / 64], memory_order_relaxed);

	atomic_store_explicit(&bits[k / 64], is ? w | bit : w & ~bit, memory_order_relaxed);
}

static inline void gstk__deep_set(struct gstk__deep *d, uint32_t k, bool is)
{
	gstk__deep_set_in(d->here, k, is);
}

static inline bool gstk__deep_cold(const struct gstk__deep *d, uint32_t k)
{
	const _Atomic uint64_t *bits = d->here + 2 * gstk__deep_words(d->nr_pages);

	return d->chunks && atomic_load_explicit(&bits[k / 64], memory_order_relaxed) >> (k % 64) & 1;
}

static inline void gstk__deep_set_cold(struct gstk__deep *d, uint32_t k, bool is)
{
	gstk__deep_set_in(d->here + 2 * gstk__deep_words(d->nr_pages), k, is);
}

/* Page k is in this chunk, if it is cold, and the page after that. */
static inline uint32_t gstk__deep_chunk(const struct gstk__deep *d, uint32_t k)
{
	return (d->nr_pages - 1 - k) / GSTK__CHUNK;
}

static inline uint32_t gstk__deep_chunk_end(const struct gstk__deep *d, uint32_t k)
{
	return d->nr_pages - gstk__deep_chunk(d, k) * GSTK__CHUNK;
}

/* The page after those that are, as page k is, here or not. */
static inline uint32_t gstk__deep_run(const struct gstk__deep *d, uint32_t k)
{
	uint32_t to = k + 1;

	while (to < d->nr_pages && gstk__deep_here(d, to) == gstk__deep_here(d, k))
		to++;
	return to;
}

/* One past the last page of a shared window. */
static inline char *gstk__deep_end(uint32_t window)
{
	return (char *)(((uintptr_t)gstk__win_base(window) + 4095) & ~(uintptr_t)4095);
}

/* Page k in its window. */
static inline char *gstk__deep_page(const struct gstk__deep *d, uint32_t window, uint32_t k)
{
	return gstk__deep_end(window) - (size_t)(d->nr_pages - k) * GSTK__DEEP_PAGE;
}

/* The page of the block that has @at; the first one when @at is below it. */
static inline uint32_t gstk__deep_page_of(const struct gstk__deep *d, uint32_t window, const char *at)
{
	size_t pages = (size_t)(gstk__deep_end(window) - at + GSTK__DEEP_PAGE - 1) / GSTK__DEEP_PAGE;

	return pages < d->nr_pages ? d->nr_pages - (uint32_t)pages : 0;
}

/* Where the block, if there is one, has the byte that belongs at @at. */
static inline char *gstk__deep_bytes(const struct gstk__deep *d, uint32_t window, const char *at)
{
	return (char *)gstk__arena_ptr(d->block) + (size_t)d->nr_pages * GSTK__DEEP_PAGE -
	       (size_t)(gstk__deep_end(window) - at);
}

static inline struct gstk__deep *gstk__deep(uint32_t ref)
{
	return gstk__arena_ptr(ref);
}

/* A record and its block: for @bytes at the end of a window, and to grow by an eighth. 0: no memory. */
uint32_t gstk__deep_new(struct gstk__park *p, uint32_t bytes);
/* It has a block, or has one now. */
bool gstk__deep_room(struct gstk__park *p, struct gstk__deep *d);
void gstk__deep_free_block(struct gstk__park *p, struct gstk__deep *d);
void gstk__deep_free(struct gstk__park *p, uint32_t ref);
/* Reading pages, wherever they are: @scratch may be NULL, then one is had when it is needed. */
struct gstk__deep_reader {
	const struct gstk__deep *d;
	const char *end; /* of the window's pages */
	struct gstk__scratch *scratch;
	uint32_t chunk; /* unpacked there; UINT32_MAX: none */
	bool own;
};

static inline struct gstk__deep_reader gstk__deep_reader(const struct gstk__deep *d, uint32_t window,
							 struct gstk__scratch *scratch)
{
	return (struct gstk__deep_reader){ d, gstk__deep_end(window), scratch, UINT32_MAX, false };
}

void gstk__deep_reader_end(struct gstk__deep_reader *r);
/* Pages [@k, the result), at most up to @to, are beside one another where gstk__deep_at(@k) is. */
uint32_t gstk__deep_beside(const struct gstk__deep *d, uint32_t k, uint32_t to);
/* The bytes of page k; until the next call. */
const char *gstk__deep_at(struct gstk__deep_reader *r, uint32_t k);
/* Copy what belongs at [@at, @at + bytes); as gstk__copy(). */
void gstk__deep_read(struct gstk__deep_reader *r, void *to, const char *at, size_t bytes);

/* When it comes, ->first is set: leaves the bits of those pages that shall come with the top, at most so many. */
void gstk__deep_foresee(struct gstk__deep *d, uint32_t most);

#endif
