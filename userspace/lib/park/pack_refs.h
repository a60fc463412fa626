/* SPDX-License-Identifier: MIT */
/*
 * Reference images for packing: one stack of each common call chain, against which
 * the stacks of other tasks in the same chain are coded.
 *
 * An identifier is 1 .. 4095. A packed image holds one count on its reference; an
 * entry without counts may be replaced. What references take is bounded by
 * GSTK__REFS_FREE + 1/64 of what the packed images were.
 */
#ifndef GSTK__PARK_PACK_REFS_H
#define GSTK__PARK_PACK_REFS_H

#include <stdint.h>

#include "codec.h"

#define GSTK__REFS_FREE		(64u << 10)	/* bytes allowed before any share is due */

/* A fitting reference for this image, counted, or 0. */
uint32_t gstk__pack_ref_find(const void *src, uint32_t bytes, uintptr_t base,
			     struct gstk__codec_ref *r);
/* This image found none: it becomes one if its size keeps coming and there is
 * room; source_bytes is what all packed images were. */
void gstk__pack_ref_offer(const void *src, uint32_t bytes, uintptr_t base, uint64_t source_bytes);
/* Of an entry on which a count is held; 0 when there is no such entry. */
int gstk__pack_ref_at(uint32_t id, struct gstk__codec_ref *r);
void gstk__pack_ref_put(uint32_t id);
/* How many there are, what they take, and the counts held on them. */
void gstk__pack_refs_stats(uint64_t *nr, uint64_t *bytes, uint64_t *uses);
void gstk__pack_refs_fini(void);

#endif
