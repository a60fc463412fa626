/* SPDX-License-Identifier: MIT */
/* What a record of packed pages is made of. See cold.h; private to cold*.c. */
#ifndef GSTK__PARK_COLD_RECORD_H
#define GSTK__PARK_COLD_RECORD_H

#include <stdlib.h>
#include "park/cold.h"
#include "park/pack_scratch.h"
#include "park/place.h"

static inline uint32_t gstk__cold_nr_chunks(uint32_t nr_pages)
{
	return (nr_pages + GSTK__COLD_CHUNK - 1) / GSTK__COLD_CHUNK;
}

static inline bool gstk__cold_given(const struct gstk__cold *d, uint32_t c)
{
	return c >= GSTK__COLD_CHUNKS || d->given[c / 64] >> (c % 64) & 1;
}

static inline void gstk__cold_give(struct gstk__cold *d, uint32_t c)
{
	d->given[c / 64] |= 1ull << (c % 64);
}

/* Page j is neither in the window nor in the slot. */
static inline bool gstk__cold_surely(const struct gstk__cold *d, uint32_t j)
{
	return j < d->edge && !gstk__cold_given(d, j / GSTK__COLD_CHUNK);
}

/* Pages of chunk c. */
static inline uint32_t gstk__cold_pages(const struct gstk__cold *d, uint32_t c)
{
	uint32_t left = d->nr_pages - c * GSTK__COLD_CHUNK;

	return left < GSTK__COLD_CHUNK ? left : GSTK__COLD_CHUNK;
}

/* Where page j is among the bytes of its chunk: the highest one has the lowest address. */
static inline size_t gstk__cold_at(const struct gstk__cold *d, uint32_t j)
{
	uint32_t c = j / GSTK__COLD_CHUNK;

	return (size_t)(gstk__cold_pages(d, c) - 1 - j % GSTK__COLD_CHUNK) * 4096;
}

/* The bytes of chunk c; waits for nothing when it has a scratch. Corrupt: aborts. */
void gstk__cold_unpack(struct gstk__scratch *s, const struct gstk__cold *d, uint32_t window, uint32_t c, void *to);
/* The record and its chunks, without any count. */
void gstk__cold_destroy(struct gstk__park *p, uint32_t ref);

#endif
