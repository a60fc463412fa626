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
#ifndef GSTK__PARK_CODEC_OPS_H
#define GSTK__PARK_CODEC_OPS_H

#include <string.h>
#include "codec.h"

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

static inline uint64_t predict(const struct gstk__codec_ref *r, size_t i, uint64_t delta)
{
	return r->word[i] + (delta & -(uint64_t)(r->moves[i / 8] >> i % 8 & 1));
}

#endif
