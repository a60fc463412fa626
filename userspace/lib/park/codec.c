// SPDX-License-Identifier: MIT
/* Packs; and what a reference would predict. The stream: codec_ops.h. */
#include "codec_ops.h"

void gstk__codec_ref_moves(uint8_t *moves, const void *word, size_t n, uintptr_t base)
{
	const uint8_t *s = word;

	memset(moves, 0, (n / 8 + 7) / 8);
	for (size_t i = 0; i < n / 8; i++)
		if (base - load(s + i * 8) <= n)
			moves[i / 8] |= 1u << i % 8;
}

size_t gstk__codec_ref_hits(const struct gstk__codec_ref *r, const void *src, uintptr_t base,
			    size_t *nonzero)
{
	const uint8_t *s = src;
	uint64_t delta = base - r->base;
	size_t hits = 0, nz = 0;

	for (size_t i = 0; i < r->n / 8; i++) {
		uint64_t w = load(s + i * 8);

		nz += !!w;
		hits += w && w == predict(r, i, delta);
	}
	*nonzero = nz;
	return hits;
}

struct out {
	uint8_t *p, *end;
};

static inline void put_op(struct out *o, enum op op, uint32_t p)
{
	*o->p++ = (uint8_t)(op << 4 | p);
}

/* The bytes below `bytes` of w; the stream has room for eight. */
static inline void put_bytes(struct out *o, uint64_t w, uint32_t bytes)
{
	store(o->p, w);
	o->p += bytes;
}

static inline void put_run(struct out *o, enum op op, size_t run)
{
	if (run < 16) {
		put_op(o, op, (uint32_t)run - 1);
	} else {
		put_op(o, op, 15);
		*o->p++ = (uint8_t)(run - 16);
	}
}

#define RUN_MAX		(16 + 255)

/* A word that is neither zero, predicted, nor seen before: the shortest form.
 * Returns 0, and leaves the word to the caller, when that is a literal. */
static inline __attribute__((always_inline))
int put_word(struct out *o, uint64_t w, uint64_t sp, uint64_t *region_table, uint64_t near)
{
	uint32_t k, best = 9, bits = 0, g;
	enum op op = OP_LIT;
	uint8_t *mask;

	if (sp < 8 * 4096 && !(sp & 7)) {
		put_op(o, OP_SP, (uint32_t)(sp >> 11));
		*o->p++ = (uint8_t)(sp >> 3);
		return 1;
	}
	if (w < 4096) {
		put_op(o, OP_SMALL, (uint32_t)w >> 8);
		*o->p++ = (uint8_t)w;
		return 1;
	}
	if ((w >> 32) < 16 && (uint32_t)w < 256) {
		put_op(o, OP_HALVES, (uint32_t)(w >> 32));
		*o->p++ = (uint8_t)w;
		return 1;
	}
	k = nr_bytes(near);
	if (k < 8) {
		best = k;
		op = OP_NEAR;
	}
	if (sp < SP_SPAN && best > 2) {
		put_op(o, OP_SPB, (uint32_t)(sp >> 16));
		put_bytes(o, sp, 2);
		return 1;
	}
	g = region_of(w);
	k = nr_bytes(region_table[g] ^ w);
	region_table[g] = w;
	if (k <= 4 && k < best) {
		best = k < 2 ? 2 : k;
		op = OP_REG2 + (best - 2);
	}
	k = nr_bytes(w);
	if (k < 8 && k < best) {
		put_op(o, OP_INT, k);
		put_bytes(o, w, k);
		return 1;
	}
	k = nr_bytes(~w);
	if (k < 8 && k < best) {
		put_op(o, OP_INT, 8 + k);
		put_bytes(o, w, k);
		return 1;
	}
	if (op != OP_LIT) {
		put_op(o, op, op == OP_NEAR ? best : g);
		put_bytes(o, w, best);
		return 1;
	}
	mask = o->p + 1;
	*mask = 0;
	for (k = 0; k < 8; k++) {
		uint8_t b = (uint8_t)(w >> k * 8);

		mask[1 + bits] = b;
		*mask |= !!b << k;
		bits += !!b;
	}
	if (bits > 6)
		return 0;
	put_op(o, OP_MASK, 0);
	o->p += 1 + bits;
	return 1;
}

static inline __attribute__((always_inline))
size_t pack(uint8_t *dst, size_t cap, const uint8_t *src, size_t n, uintptr_t base,
	    const struct gstk__codec_ref *r)
{
	struct out o = { dst, dst + cap };
	uint64_t region[NR_REGIONS] = { 0 }, delta = r ? base - r->base : 0;
	uint16_t seen[1 << HASH_BITS] = { 0 };	/* position + 1 of the last such word */
	uint8_t *lit = NULL;			/* the open LIT */
	size_t nr = n / 8, i, run, back;

	for (i = 0; i < nr; i++) {
		uint64_t w = load(src + i * 8), pred = r ? predict(r, i, delta) : 0;
		uint32_t h;

		if (o.end - o.p < SLACK)
			return 0;
		if (r && w == pred) {
			for (run = 1; run < RUN_MAX && i + run < nr; run++)
				if (load(src + (i + run) * 8) != predict(r, i + run, delta))
					break;
			put_run(&o, OP_SAME, run);
			i += run - 1;
			lit = NULL;
			continue;
		}
		if (!w) {
			for (run = 1; run < RUN_MAX && i + run < nr; run++)
				if (load(src + (i + run) * 8))
					break;
			put_run(&o, OP_ZERO, run);
			i += run - 1;
			lit = NULL;
			continue;
		}
		if (w <= 16) {
			put_op(&o, OP_TINY, (uint32_t)w - 1);
			lit = NULL;
			continue;
		}
		h = (uint32_t)(w * 0x9e3779b97f4a7c15ull >> (64 - HASH_BITS));
		back = i - (seen[h] - 1u);
		if (seen[h] && back <= 16 + 4096 && load(src + (i - back) * 8) == w) {
			seen[h] = (uint16_t)(i + 1);
			if (back <= 16) {
				put_op(&o, OP_BACK1, (uint32_t)back - 1);
			} else {
				put_op(&o, OP_BACK2, (uint32_t)(back - 17) >> 8);
				*o.p++ = (uint8_t)(back - 17);
			}
			lit = NULL;
			continue;
		}
		seen[h] = (uint16_t)(i + 1);
		if (put_word(&o, w, base - w, region, r ? pred ^ w : ~0ull)) {
			lit = NULL;
		} else {
			if (lit && (*lit & 15) < 15) {
				++*lit;
			} else {
				lit = o.p;
				put_op(&o, OP_LIT, 0);
			}
			put_bytes(&o, w, 8);
		}
	}
	return (size_t)(o.p - dst);
}

size_t gstk__codec_pack(void *dst, size_t cap, const void *src, size_t n, uintptr_t base)
{
	return n && !(n & 7) && n <= GSTK__CODEC_MAX ? pack(dst, cap, src, n, base, NULL) : 0;
}

size_t gstk__codec_pack_ref(void *dst, size_t cap, const void *src, size_t n, uintptr_t base,
			    const struct gstk__codec_ref *r)
{
	return n && !(n & 7) && n == r->n ? pack(dst, cap, src, n, base, r) : 0;
}
