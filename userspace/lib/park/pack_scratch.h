/* SPDX-License-Identifier: MIT */
/*
 * Scratch memory and zstd contexts for packing, handed out to one thread at a time.
 *
 * Unpacking must not fail for want of memory, or a task could not wake: a packed
 * image that needs scratch is only made by a holder of scratch, and the pool never
 * shrinks before the end, so there is at least one to wait for.
 */
#ifndef GSTK__PARK_PACK_SCRATCH_H
#define GSTK__PARK_PACK_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#include "codec.h"

#define GSTK__SCRATCH_BYTES	(GSTK__CODEC_MAX + 4096u)

struct gstk__scratch {
	struct gstk__scratch *next;
	uint8_t *one, *two;	/* GSTK__SCRATCH_BYTES each, untouched until used */
	void *cctx, *dctx;
};

/* NULL when there is no memory and none was ever made; otherwise may wait. */
struct gstk__scratch *gstk__scratch_get(void);
void gstk__scratch_put(struct gstk__scratch *s);
void gstk__scratch_fini(void);
/* One that is in no pool, for a thread that may not wait. NULL: no memory. */
struct gstk__scratch *gstk__scratch_new(void);
void gstk__scratch_free(struct gstk__scratch *s);

/* Packed bytes, 0 when they do not fit cap. */
size_t gstk__scratch_zstd_pack(struct gstk__scratch *s, void *dst, size_t cap, const void *src,
			       size_t n);
/* 0, or -EILSEQ unless exactly n bytes come out. */
int gstk__scratch_zstd_unpack(struct gstk__scratch *s, void *dst, size_t n, const void *src,
			      size_t packed);

#endif
