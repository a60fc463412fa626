// SPDX-License-Identifier: MIT
/* Until the codec is joined nothing pays: stacks stay COPIED. */
#include "park/tier_pack.h"

#include <errno.h>

int gstk__pack_image(struct gstk__arena_cache *arena, uint32_t image, uint32_t bytes, uintptr_t sp,
		     uint32_t *packed, uint32_t *packed_bytes)
{
	return -ENOSPC;
}

int gstk__unpack_image(void *dst, uint32_t bytes, uint32_t packed, uintptr_t sp)
{
	return -EILSEQ;
}

uint32_t gstk__packed_bytes(uint32_t packed)
{
	return 0;
}
