/* SPDX-License-Identifier: MIT */
/*
 * Copying a stack out of its window and back. Exact sizes, multiples of 8; the
 * addresses are 8-byte aligned at least and do not overlap.
 *
 * Small stacks are copied inline with 16-byte moves, which every x86-64 has;
 * from GSTK__COPY_INLINE up a routine chosen once by what the CPU offers.
 */
#ifndef GSTK__PARK_COPY_H
#define GSTK__PARK_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arena.h"

#define GSTK__COPY_INLINE	256u	/* bytes */
#define GSTK__COPY_PREFETCH	1024u	/* bytes: more lines than a core keeps in flight */

typedef void gstk__copy_fn(void *restrict dst, const void *restrict src, size_t bytes);

/* The routine for large sizes; valid before init, too (then the C library's). */
extern gstk__copy_fn *gstk__copy_large;

/* Choose gstk__copy_large by cpuid; its name, for gstk-info. Once, before workers start. */
const char *gstk__copy_init(void);

struct gstk__copy_impl {
	const char *name;
	gstk__copy_fn *fn;	/* bytes >= 64 */
	int usable;		/* on this CPU */
};
/* All routines, best first, ended by a NULL name: for tests and the benchmark. */
const struct gstk__copy_impl *gstk__copy_impls(void);

typedef long long gstk__copy_v16 __attribute__((vector_size(16), aligned(1), may_alias));

static inline void gstk__copy_16(char *d, const char *s)
{
	*(gstk__copy_v16 *)d = *(const gstk__copy_v16 *)s;
}

/* Hot, 128 bytes: 8 moves. No call, no branch that depends on more than the size. */
static inline void gstk__copy(void *restrict dst, const void *restrict src, size_t bytes)
{
	char *d = dst;
	const char *s = src;

	if (__builtin_expect(bytes > GSTK__COPY_INLINE, 0)) {
		gstk__copy_large(dst, src, bytes);
		return;
	}
	if (__builtin_expect(bytes < 16, 0)) {
		if (bytes)
			memcpy(d, s, 8);
		return;
	}
	/* Four moves a round, then what is left; the last move may overlap. */
	while (bytes >= 64) {
		gstk__copy_v16 a = ((const gstk__copy_v16 *)s)[0], b = ((const gstk__copy_v16 *)s)[1];
		gstk__copy_v16 c = ((const gstk__copy_v16 *)s)[2], e = ((const gstk__copy_v16 *)s)[3];

		((gstk__copy_v16 *)d)[0] = a;
		((gstk__copy_v16 *)d)[1] = b;
		((gstk__copy_v16 *)d)[2] = c;
		((gstk__copy_v16 *)d)[3] = e;
		d += 64;
		s += 64;
		bytes -= 64;
	}
	if (bytes & 32) {
		gstk__copy_16(d, s);
		gstk__copy_16(d + 16, s + 16);
		d += 32;
		s += 32;
	}
	if (bytes & 16) {
		gstk__copy_16(d, s);
		d += 16;
		s += 16;
	}
	if (bytes & 8)
		memcpy(d, s, 8);
}

/* Stack to image, image to stack. */
static inline void gstk__copy_save(uint32_t ref, const void *sp, size_t bytes)
{
	gstk__copy(gstk__arena_ptr(ref), sp, bytes);
}

static inline void gstk__copy_restore(void *sp, uint32_t ref, size_t bytes)
{
	gstk__copy(sp, gstk__arena_ptr(ref), bytes);
}

/* Begin to fetch the image of a task that will run soon. OPTIONAL: only saves time. */
static inline void gstk__copy_prefetch(uint32_t ref, size_t bytes)
{
	const char *p = gstk__arena_ptr(ref);
	size_t n = bytes < GSTK__COPY_PREFETCH ? bytes : GSTK__COPY_PREFETCH;

	for (size_t i = 0; i < n; i += 64)
		__builtin_prefetch(p + i, 0, 3);
}

#endif
