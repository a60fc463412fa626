/* SPDX-License-Identifier: MIT */
/*
 * Packing the bytes of a stack. Pure: no memory but the caller's, no system header.
 *
 * What stacks are made of: zero, small numbers, pointers into the same stack,
 * pointers into a few regions (code, heap), and words that were there before.
 * Stack pointers are coded as distances from `base`, the end of the window, so
 * that tasks with equal call chains have equal images wherever they run.
 *
 * A reference is the image of another task, normally with the same call chain:
 * what is equal at the same place costs next to nothing then.
 */
#ifndef GSTK__PARK_CODEC_H
#define GSTK__PARK_CODEC_H

#include <stddef.h>
#include <stdint.h>

#define GSTK__CODEC_MAX		(256u << 10)	/* bytes of an image, at most */

/*
 * Pack n bytes (a multiple of 8, at most GSTK__CODEC_MAX) of a stack whose window
 * ends at base. Returns the packed size, 0 if that would be more than cap bytes.
 */
size_t gstk__codec_pack(void *dst, size_t cap, const void *src, size_t n, uintptr_t base);

/*
 * The inverse; n and base as they were given to pack. 0, or -EINVAL (-22) when src
 * is not what pack made: never reads outside [src, src + packed), never writes
 * outside [dst, dst + n). dst holds garbage then.
 */
int gstk__codec_unpack(void *dst, size_t n, const void *src, size_t packed, uintptr_t base);

/* A reference image: bytes, and where its own window ended. */
struct gstk__codec_ref {
	const uint64_t *word;	/* n / 8 words, 8-byte aligned */
	const uint8_t *moves;	/* n / 8 bits: this word is a pointer into its stack */
	uintptr_t base;
	size_t n;
};

/* Fill moves[(n / 8 + 7) / 8] for a reference of n bytes. */
void gstk__codec_ref_moves(uint8_t *moves, const void *word, size_t n, uintptr_t base);

/* Of the r->n / 8 words at src: how many are not zero, and how many of those the
 * reference predicts. */
size_t gstk__codec_ref_hits(const struct gstk__codec_ref *r, const void *src, uintptr_t base,
			    size_t *nonzero);

/* As above, against a reference with r->n == n; unpacking wants the same one. */
size_t gstk__codec_pack_ref(void *dst, size_t cap, const void *src, size_t n, uintptr_t base,
			    const struct gstk__codec_ref *r);
int gstk__codec_unpack_ref(void *dst, size_t n, const void *src, size_t packed, uintptr_t base,
			   const struct gstk__codec_ref *r);

#endif
