// SPDX-License-Identifier: MIT
/*
 * Block: a 32-bit head, then the stream.
 *
 *	 31 30   29 .. 18    17 .. 0
 *	| kind | reference | bytes    |	OWN	own codec
 *	| kind | reference | bytes    |	TWO	own codec, then zstd; a word with the
 *						size in between comes first
 *	| kind |  bytes (30 bits)     |	LARGE	zstd, images beyond the codec's limit
 *	| kind | 0         | bytes    |	RAW	as it is
 *
 * The second stage is for what stack buffers hold (text): only tried where the first
 * leaves much, kept where it saves 1/8 more.
 */
#include "park/tier_pack.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "park/codec.h"
#include "park/pack_refs.h"
#include "park/pack_scratch.h"

enum kind { OWN, TWO, LARGE, RAW };

#define OWN_MAX		0x3ffffu
#define LARGE_MAX	0x3fffffffu
#define HEAD(kind, id, bytes)	((uint32_t)(kind) << 30 | (uint32_t)(id) << 18 | (uint32_t)(bytes))
#define HEAD_KIND(h)	((enum kind)((h) >> 30))
#define HEAD_ID(h)	(HEAD_KIND(h) == LARGE ? 0 : (h) >> 18 & 0xfff)
#define HEAD_BYTES(h)	((h) & (HEAD_KIND(h) == LARGE ? LARGE_MAX : OWN_MAX))
#define HEAD_SIZE	4u

#define SECOND_MIN	1024u	/* bytes left by the first stage */

static struct {
	uint64_t nr_live, source_bytes, packed_bytes;
	uint64_t nr_ref_hits, nr_second_stage, nr_no_gain;
} stat;

#define COUNT(field, n) __atomic_fetch_add(&stat.field, (uint64_t)(n), __ATOMIC_RELAXED)

static size_t rounded(size_t bytes)
{
	return (bytes + GSTK__ARENA_UNIT - 1) & ~(size_t)(GSTK__ARENA_UNIT - 1);
}

static uint32_t head_of(uint32_t packed)
{
	uint32_t head;

	memcpy(&head, gstk__arena_ptr(packed), HEAD_SIZE);
	return head;
}

static bool pays(size_t block, uint32_t source)
{
	return rounded(block) <= rounded(source) - source / 8;
}

/* Head, and for TWO the size in between, then the stream, in a block of their size. */
static int finish(struct gstk__arena_cache *arena, uint32_t head, uint32_t middle,
		  const void *stream, uint32_t source, uint32_t *packed)
{
	uint32_t bytes = HEAD_BYTES(head), extra = HEAD_KIND(head) == TWO ? 4 : 0;
	uint8_t *p;

	*packed = gstk__arena_alloc(arena, HEAD_SIZE + bytes);
	if (!*packed)
		return -ENOMEM;
	p = gstk__arena_ptr(*packed);
	memcpy(p, &head, HEAD_SIZE);
	memcpy(p + HEAD_SIZE, &middle, extra);
	memcpy(p + HEAD_SIZE + extra, stream, bytes - extra);
	COUNT(nr_live, 1);
	COUNT(source_bytes, source);
	COUNT(packed_bytes, rounded(HEAD_SIZE + bytes));
	return 0;
}

static int pack_large(struct gstk__scratch *s, struct gstk__arena_cache *arena, const void *src,
		      uint32_t bytes, uint32_t *packed)
{
	uint32_t cap = bytes - bytes / 8, tmp = gstk__arena_alloc(arena, cap);
	size_t got;
	int err = -ENOSPC;

	if (!tmp)
		return -ENOMEM;
	got = gstk__scratch_zstd_pack(s, gstk__arena_ptr(tmp), cap, src, bytes);
	if (got && got <= LARGE_MAX && pays(HEAD_SIZE + got, bytes))
		err = finish(arena, HEAD(LARGE, 0, got), 0, gstk__arena_ptr(tmp), bytes, packed);
	gstk__arena_free(arena, tmp, cap);
	return err;
}

static int pack_small(struct gstk__scratch *s, struct gstk__arena_cache *arena, const void *src,
		      uint32_t bytes, uintptr_t base, uint32_t *packed)
{
	struct gstk__codec_ref r;
	uint32_t id = gstk__pack_ref_find(src, bytes, base, &r);
	size_t got, z = 0;
	int err = -ENOSPC;

	got = id ? gstk__codec_pack_ref(s->one, GSTK__SCRATCH_BYTES, src, bytes, base, &r)
		 : gstk__codec_pack(s->one, GSTK__SCRATCH_BYTES, src, bytes, base);
	if (got >= SECOND_MIN)
		z = gstk__scratch_zstd_pack(s, s->two, got - got / 8, s->one, got);
	if (z && pays(HEAD_SIZE + 4 + z, bytes)) {
		err = finish(arena, HEAD(TWO, id, 4 + z), (uint32_t)got, s->two, bytes, packed);
		COUNT(nr_second_stage, !err);
	} else if (got && got <= OWN_MAX && pays(HEAD_SIZE + got, bytes)) {
		err = finish(arena, HEAD(OWN, id, got), 0, s->one, bytes, packed);
	}
	/* The block holds the count on its reference from here. */
	COUNT(nr_ref_hits, id && !err);
	if (id && err)
		gstk__pack_ref_put(id);
	if (!id && !err)
		gstk__pack_ref_offer(src, bytes, base, COUNT(source_bytes, 0));
	return err;
}

int gstk__pack_bytes(struct gstk__arena_cache *arena, const void *src, uint32_t bytes, uintptr_t sp,
		     uint32_t *packed)
{
	struct gstk__scratch *s;
	int err;

	/* Below two units nothing can be gained. */
	if (bytes <= 2 * GSTK__ARENA_UNIT || bytes % 8)
		return -ENOSPC;
	s = gstk__scratch_get();
	if (!s)
		return -ENOMEM;
	if (bytes > GSTK__CODEC_MAX)
		err = pack_large(s, arena, src, bytes, packed);
	else
		err = pack_small(s, arena, src, bytes, sp + bytes, packed);
	gstk__scratch_put(s);
	COUNT(nr_no_gain, err == -ENOSPC);
	return err;
}

int gstk__pack_or_keep(struct gstk__arena_cache *arena, const void *src, uint32_t bytes, uintptr_t sp,
		       uint32_t *packed)
{
	int err = gstk__pack_bytes(arena, src, bytes, sp, packed);

	return err == -ENOSPC ? finish(arena, HEAD(RAW, 0, bytes), 0, src, bytes, packed) : err;
}

int gstk__pack_image(struct gstk__arena_cache *arena, uint32_t image, uint32_t bytes, uintptr_t sp,
		     uint32_t *packed, uint32_t *packed_bytes)
{
	int err = gstk__pack_bytes(arena, gstk__arena_ptr(image), bytes, sp, packed);

	if (!err)
		*packed_bytes = gstk__packed_bytes(*packed);
	return err;
}

static int unpack_own(void *dst, uint32_t bytes, uintptr_t base, const void *stream, size_t len,
		      uint32_t id)
{
	struct gstk__codec_ref r;

	if (!id)
		return gstk__codec_unpack(dst, bytes, stream, len, base);
	if (!gstk__pack_ref_at(id, &r))
		return -EILSEQ;
	return gstk__codec_unpack_ref(dst, bytes, stream, len, base, &r);
}

static int unpack_staged(struct gstk__scratch *s, void *dst, uint32_t bytes, uintptr_t base, const uint8_t *stream,
			 size_t len, uint32_t head)
{
	uint32_t middle;
	int err = -EILSEQ;

	if (HEAD_KIND(head) == LARGE) {
		err = gstk__scratch_zstd_unpack(s, dst, bytes, stream, len);
	} else if (len >= 4) {
		memcpy(&middle, stream, 4);
		if (middle <= GSTK__SCRATCH_BYTES)
			err = gstk__scratch_zstd_unpack(s, s->one, middle, stream + 4, len - 4);
		if (!err)
			err = unpack_own(dst, bytes, base, s->one, middle, HEAD_ID(head));
	}
	return err;
}

int gstk__unpack_with(struct gstk__scratch *s, void *dst, uint32_t bytes, uint32_t packed, uintptr_t sp)
{
	uint32_t head = head_of(packed);
	const uint8_t *stream = (uint8_t *)gstk__arena_ptr(packed) + HEAD_SIZE;
	size_t len = HEAD_BYTES(head);
	int err = 0;

	if (HEAD_KIND(head) == OWN)
		err = unpack_own(dst, bytes, sp + bytes, stream, len, HEAD_ID(head));
	else if (HEAD_KIND(head) != RAW)
		err = unpack_staged(s, dst, bytes, sp + bytes, stream, len, head);
	else if (len == bytes)
		memcpy(dst, stream, len);
	else
		err = -EILSEQ;
	return err ? -EILSEQ : 0;
}

int gstk__unpack_image(void *dst, uint32_t bytes, uint32_t packed, uintptr_t sp)
{
	struct gstk__scratch *s;
	int err;

	if (HEAD_KIND(head_of(packed)) == OWN)
		return gstk__unpack_with(NULL, dst, bytes, packed, sp);
	s = gstk__scratch_get();
	if (!s)		/* none was ever made: this block is not ours */
		return -EILSEQ;
	err = gstk__unpack_with(s, dst, bytes, packed, sp);
	gstk__scratch_put(s);
	return err;
}

uint32_t gstk__packed_bytes(uint32_t packed)
{
	return (uint32_t)rounded(HEAD_SIZE + HEAD_BYTES(head_of(packed)));
}

void gstk__packed_free(struct gstk__arena_cache *arena, uint32_t packed, uint32_t bytes)
{
	uint32_t head = head_of(packed), block = HEAD_SIZE + HEAD_BYTES(head);

	if (HEAD_ID(head))
		gstk__pack_ref_put(HEAD_ID(head));
	COUNT(nr_live, -1);
	COUNT(source_bytes, -(uint64_t)bytes);
	COUNT(packed_bytes, -(uint64_t)rounded(block));
	gstk__arena_free(arena, packed, block);
}

void gstk__pack_stats(struct gstk__pack_stats *st)
{
	st->nr_live = COUNT(nr_live, 0);
	st->source_bytes = COUNT(source_bytes, 0);
	st->packed_bytes = COUNT(packed_bytes, 0);
	st->nr_ref_hits = COUNT(nr_ref_hits, 0);
	st->nr_second_stage = COUNT(nr_second_stage, 0);
	st->nr_no_gain = COUNT(nr_no_gain, 0);
	gstk__pack_refs_stats(&st->nr_refs, &st->ref_bytes, &st->ref_uses);
}

void gstk__pack_fini(void)
{
	gstk__pack_refs_fini();
	gstk__scratch_fini();
	memset(&stat, 0, sizeof(stat));
}
