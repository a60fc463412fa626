// SPDX-License-Identifier: MIT
/*
 * PACKED: images compressed in the arena. A packed image describes itself (its length is in it).
 */
#ifndef GSTK__PARK_TIER_PACK_H
#define GSTK__PARK_TIER_PACK_H

#include "park/arena.h"

/*
 * Pack the @bytes at @image, whose bytes belong at address @sp, into a new block. 0; -ENOSPC when
 * it does not pay (gain below 1/8); -ENOMEM. @packed, @packed_bytes: reference and size of the new
 * block (what gstk__arena_free() wants). The old block stays.
 */
int gstk__pack_image(struct gstk__arena_cache *arena, uint32_t image, uint32_t bytes, uintptr_t sp,
		     uint32_t *packed, uint32_t *packed_bytes);
/* Unpack to @dst, exactly @bytes; -EILSEQ when the block is corrupt. The block stays. */
int gstk__unpack_image(void *dst, uint32_t bytes, uint32_t packed, uintptr_t sp);
/* Size of the block, for gstk__arena_free(). */
uint32_t gstk__packed_bytes(uint32_t packed);

#endif
