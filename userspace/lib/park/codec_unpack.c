// SPDX-License-Identifier: MIT
/* Unpacks; a damaged stream is refused or gives wrong words, never more than were asked for. */
#include "codec_ops.h"

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
