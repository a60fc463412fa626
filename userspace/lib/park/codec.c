// SPDX-License-Identifier: MIT
/*
 * The stream is one operation after the other: a byte of four bits of operation
 * and four of operand p, then what the table says. Words are 64 bits.
 *
 *	op       after it       stands for
 *	ZERO     [1]            p + 1 zero words; p = 15: 16 + the next byte
 *	SAME     [1]            likewise, words as the reference predicts them
 *	NEAR     p low bytes    the reference's word with other low bytes
 *	BACK1                   the word p + 1 words back
 *	BACK2    1              the word (p, byte) + 17 words back
 *	SMALL    1              (p, byte) as a number
 *	INT      p bytes        number of p bytes; 8 + k: k bytes, upper bytes all ones
 *	SP       1              base - 8 * (p, byte): into the stack
 *	SPB      2              base - (p, two bytes): into the stack, any address
 *	REG2     2              region p with other low two bytes
 *	REG3     3              region p with other low three bytes
 *	HALVES   1              upper half p, lower half the byte
 *	REG4     4              region p with another lower half
 *	TINY                    p + 1 as a number
 *	MASK     1 + bits       the bytes set in the mask, the others are zero
 *	LIT      8 * (p + 1)    words as they are
 *
 * Regions are the last words that NEAR, INT, REG, MASK and LIT stood for, one per
 * hash of their upper 40 bits; both sides keep the same table. (p, byte) is p * 256 + byte.
 */
#include "codec.h"

#include <string.h>

enum op {
	OP_ZERO, OP_SAME, OP_NEAR, OP_BACK1, OP_BACK2, OP_SMALL, OP_INT, OP_SP, OP_SPB,
	OP_REG2, OP_REG3, OP_REG4, OP_HALVES, OP_MASK, OP_LIT, OP_TINY,
};

#define EINVAL_		(-22)
#define NR_REGIONS	16
#define HASH_BITS	8
/* Room for the longest step: an operation and a mask with its bytes, or a literal. */
#define SLACK		24
/* The longest operation that is read without looking at the end: MASK. */
#define LONGEST		10
#define SP_SPAN		(1u << 20)	/* SPB reaches this far below base */

static inline uint32_t region_of(uint64_t w)
{
	return (uint32_t)((w >> 24) * 0x9e3779b97f4a7c15ull >> 60);
}

static inline uint64_t load(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, 8);
	return w;
}

static inline void store(uint8_t *p, uint64_t w)
{
	memcpy(p, &w, 8);
}

/* Bytes below the upper ones that are all zero. */
static inline uint32_t nr_bytes(uint64_t w)
{
	return w ? (71 - (uint32_t)__builtin_clzll(w)) / 8 : 0;
}

static inline uint64_t low_mask(uint32_t bytes)
{
	return bytes >= 8 ? ~0ull : (1ull << bytes * 8) - 1;
}

/* ---- references ---- */

void gstk__codec_ref_moves(uint8_t *moves, const void *word, size_t n, uintptr_t base)
{
	const uint8_t *s = word;

	memset(moves, 0, (n / 8 + 7) / 8);
	for (size_t i = 0; i < n / 8; i++)
		if (base - load(s + i * 8) <= n)
			moves[i / 8] |= 1u << i % 8;
}

static inline uint64_t predict(const struct gstk__codec_ref *r, size_t i, uint64_t delta)
{
	return r->word[i] + (delta & -(uint64_t)(r->moves[i / 8] >> i % 8 & 1));
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

/* ---- pack ---- */

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

/* ---- unpack ---- */

struct in {
	const uint8_t *p, *end;
	size_t i;			/* words written */
	uint64_t region[NR_REGIONS];
};

/* The next k <= 8 bytes; `room` says that eight may be read. */
static inline __attribute__((always_inline))
uint64_t get(const uint8_t *s, uint32_t k, int room)
{
	uint64_t v = 0;

	if (room)
		return load(s) & low_mask(k);
	for (uint32_t b = 0; b < k; b++)
		v |= (uint64_t)s[b] << b * 8;
	return v;
}

#define NEED(bytes)	do { if (!room && (size_t)(end - s) < (bytes)) return EINVAL_; } while (0)
#define FITS(words)	do { if ((words) > nr - i) return EINVAL_; } while (0)

/* Decode until the image is full, or, with room, until fewer than LONGEST bytes are
 * left: no bound needs to be looked at for the short operations before that. */
static inline __attribute__((always_inline))
int unpack_part(struct in *in, uint8_t *dst, size_t nr, uintptr_t base,
		const struct gstk__codec_ref *r, int room)
{
	const uint8_t *s = in->p, *end = in->end;
	uint64_t delta = r ? base - r->base : 0, w;
	size_t i = in->i, run;
	uint32_t p, k;

	while (i < nr) {
		if (room && end - s < LONGEST)
			break;
		if (s == end)
			return EINVAL_;
		p = *s & 15;
		switch (*s++ >> 4) {
		case OP_ZERO:
			run = p + 1;
			if (p == 15) {
				NEED(1);
				run = 16u + *s++;
			}
			FITS(run);
			for (; run; run--, i++) {
				store(dst + i * 8, 0);
				/* Runs are short: no call of memset. */
				__asm__ volatile("" : : : "memory");
			}
			continue;
		case OP_SAME:
			run = p + 1;
			if (p == 15) {
				NEED(1);
				run = 16u + *s++;
			}
			FITS(run);
			if (!r)
				return EINVAL_;
			for (; run; run--, i++)
				store(dst + i * 8, predict(r, i, delta));
			continue;
		case OP_TINY:
			store(dst + i++ * 8, p + 1);
			continue;
		case OP_BACK1:
			if (p + 1 > i)
				return EINVAL_;
			store(dst + i * 8, load(dst + (i - p - 1) * 8));
			i++;
			continue;
		case OP_BACK2:
			NEED(1);
			run = (p << 8 | *s++) + 17;
			if (run > i)
				return EINVAL_;
			store(dst + i * 8, load(dst + (i - run) * 8));
			i++;
			continue;
		case OP_SMALL:
			NEED(1);
			store(dst + i++ * 8, (uint64_t)p << 8 | *s++);
			continue;
		case OP_HALVES:
			NEED(1);
			store(dst + i++ * 8, (uint64_t)p << 32 | *s++);
			continue;
		case OP_SP:
			NEED(1);
			store(dst + i++ * 8, base - (((uint64_t)p << 8 | *s++) << 3));
			continue;
		case OP_SPB:
			NEED(2);
			store(dst + i++ * 8, base - ((uint64_t)p << 16 | get(s, 2, room)));
			s += 2;
			continue;
		case OP_REG2:
			NEED(2);
			w = (in->region[p] & ~low_mask(2)) | get(s, 2, room);
			s += 2;
			break;
		case OP_REG3:
			NEED(3);
			w = (in->region[p] & ~low_mask(3)) | get(s, 3, room);
			s += 3;
			break;
		case OP_REG4:
			NEED(4);
			w = (in->region[p] & ~low_mask(4)) | get(s, 4, room);
			s += 4;
			break;
		case OP_NEAR:
			if (!r || p > 8)
				return EINVAL_;
			NEED(p);
			w = (predict(r, i, delta) & ~low_mask(p)) | get(s, p, room);
			s += p;
			break;
		case OP_INT:
			k = p & 7;
			NEED(k);
			w = get(s, k, room) | (p & 8 ? ~low_mask(k) : 0);
			s += k;
			break;
		case OP_MASK:
			NEED(1);
			NEED(1u + (uint32_t)__builtin_popcount(*s));
			p = *s++;
			for (w = 0; p; p &= p - 1)
				w |= (uint64_t)*s++ << __builtin_ctz(p) * 8;
			break;
		default:	/* LIT */
			run = p + 1;
			FITS(run);
			if (run * 8 > (size_t)(end - s))
				return EINVAL_;
			for (; run; run--, s += 8, i++) {
				w = load(s);
				store(dst + i * 8, w);
				in->region[region_of(w)] = w;
			}
			continue;
		}
		in->region[region_of(w)] = w;
		store(dst + i++ * 8, w);
	}
	in->p = s;
	in->i = i;
	return 0;
}

static inline __attribute__((always_inline))
int unpack(uint8_t *dst, size_t n, const uint8_t *src, size_t packed, uintptr_t base,
	   const struct gstk__codec_ref *r)
{
	struct in in = { .p = src, .end = src + packed };
	int err;

	if (n & 7)
		return EINVAL_;
	err = unpack_part(&in, dst, n / 8, base, r, 1);
	if (!err)
		err = unpack_part(&in, dst, n / 8, base, r, 0);
	return err ? err : in.p == in.end ? 0 : EINVAL_;
}

int gstk__codec_unpack(void *dst, size_t n, const void *src, size_t packed, uintptr_t base)
{
	return unpack(dst, n, src, packed, base, NULL);
}

int gstk__codec_unpack_ref(void *dst, size_t n, const void *src, size_t packed, uintptr_t base,
			   const struct gstk__codec_ref *r)
{
	return n == r->n ? unpack(dst, n, src, packed, base, r) : EINVAL_;
}
