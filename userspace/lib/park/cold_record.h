/* SPDX-License-Identifier: MIT */
/* What a record of packed pages is made of. See cold.h; private to cold*.c. */
#ifndef GSTK__PARK_COLD_RECORD_H
#define GSTK__PARK_COLD_RECORD_H

#include "park/chunks.h"
#include "park/cold.h"
#include "park/place.h"

static inline struct gstk__chunks *gstk__cold_chunks(const struct gstk__cold *d)
{
	return gstk__chunks(d->chunks);
}

/* The pages that it has, packed or not any more. */
static inline uint32_t gstk__cold_nr(const struct gstk__cold *d)
{
	return gstk__cold_chunks(d)->nr_pages;
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
	return j < d->edge && !gstk__cold_given(d, j / GSTK__CHUNK);
}

/* The bytes of chunk c; waits for nothing when it has a scratch. Corrupt: aborts. */
static inline void gstk__cold_unpack(struct gstk__scratch *s, const struct gstk__cold *d, uint32_t window, uint32_t c,
				     void *to)
{
	gstk__chunks_unpack(s, gstk__cold_chunks(d), gstk__place_end(window), c, to);
}

/* The record and its chunks but those that it shares with @but (0: none), without any count. */
void gstk__cold_destroy(struct gstk__park *p, uint32_t ref, uint32_t but);

#endif
