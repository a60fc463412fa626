/* SPDX-License-Identifier: MIT */
/*
 * Tier PACKED: compressed images of stacks that have been idle for long.
 *
 * A packed image is one arena block that describes itself, so a task pays for it
 * what it pays for a copied one: a 32-bit reference. Images of tasks with the
 * same call chain are coded against one of them, kept as a reference (pack_refs.h).
 *
 * Who owns the stack (the task's word) calls; threads may pack and unpack different
 * images at once.
 */
#ifndef GSTK__PARK_TIER_PACK_H
#define GSTK__PARK_TIER_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "park/arena.h"

/*
 * Pack @bytes (a multiple of 8) at @src, which belong at address @sp, into a new block.
 * @src may be the stack itself. 0; -ENOSPC when less than 1/8 would be gained; -ENOMEM.
 */
int gstk__pack_bytes(struct gstk__arena_cache *arena, const void *src, uint32_t bytes, uintptr_t sp,
		     uint32_t *packed);

/* The same for at most GSTK__CODEC_MAX bytes, but what gains nothing is kept as it is. 0 or -ENOMEM. */
int gstk__pack_or_keep(struct gstk__arena_cache *arena, const void *src, uint32_t bytes, uintptr_t sp,
		       uint32_t *packed);

/* The same from the COPIED image @image, which stays; @packed_bytes: what the new block takes. */
int gstk__pack_image(struct gstk__arena_cache *arena, uint32_t image, uint32_t bytes, uintptr_t sp,
		     uint32_t *packed, uint32_t *packed_bytes);

/* Unpack to @dst, exactly @bytes; needs no memory. -EILSEQ when the block is corrupt.
 * The block stays. @sp as given to pack; @dst may be elsewhere (to look at the stack). */
int gstk__unpack_image(void *dst, uint32_t bytes, uint32_t packed, uintptr_t sp);

/* The same for who has a scratch (park/pack_scratch.h), of which ->one is used: waits for nothing. */
struct gstk__scratch;
int gstk__unpack_with(struct gstk__scratch *s, void *dst, uint32_t bytes, uint32_t packed, uintptr_t sp);

/* Free the block. @bytes: of the stack, as given to pack. @arena may be NULL. */
void gstk__packed_free(struct gstk__arena_cache *arena, uint32_t packed, uint32_t bytes);

/* Bytes of arena that the block takes. */
uint32_t gstk__packed_bytes(uint32_t packed);

struct gstk__pack_stats {
	uint64_t nr_live, source_bytes;		/* packed images, and what they were */
	uint64_t packed_bytes;			/* what they take */
	uint64_t nr_refs, ref_bytes, ref_uses;	/* reference images, packed images that use one */
	uint64_t nr_ref_hits, nr_second_stage, nr_no_gain;	/* since start */
};
void gstk__pack_stats(struct gstk__pack_stats *st);

/* Free the reference images and scratch memory; no packed image may exist any more.
 * Before gstk__arena_fini(). */
void gstk__pack_fini(void);

#endif
