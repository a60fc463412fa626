// SPDX-License-Identifier: MIT
/*
 * The copy routines for stacks of more than GSTK__COPY_INLINE bytes.
 *
 * Loops of full vectors with an overlapping tail; the C library beyond STRING_MIN. No non-temporal stores:
 * the image just saved is the block vacated next, see Documentation/rejected.d/arena.rst.
 */
#include "copy.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Bytes from which aligning the stores pays, and from which the CPU's own string
 * move is faster than any loop. Measured, see bench codec.c (copy.impl). */
#define ALIGN_MIN	1088
#define STRING_MIN	(14u << 10)

__attribute__((target("avx512f,avx512vl")))
static void copy_avx512(void *restrict dst, const void *restrict src, size_t bytes)
{
	char *d = dst, *last = d + bytes - 64;
	const char *s = src;
	__m512i tail;

	if (bytes >= STRING_MIN) {
		memcpy(dst, src, bytes);
		return;
	}
	tail = _mm512_loadu_si512(s + bytes - 64);

	/* A store that crosses a line costs two: worth an extra one from some size. */
	if (bytes >= ALIGN_MIN && (uintptr_t)d & 63) {
		size_t skip = 64 - ((uintptr_t)d & 63);

		_mm512_storeu_si512(d, _mm512_loadu_si512(s));
		d += skip;
		s += skip;
		bytes -= skip;
	}
	for (; bytes >= 256; bytes -= 256, d += 256, s += 256) {
		__m512i a = _mm512_loadu_si512(s), b = _mm512_loadu_si512(s + 64);
		__m512i c = _mm512_loadu_si512(s + 128), e = _mm512_loadu_si512(s + 192);

		_mm512_storeu_si512(d, a);
		_mm512_storeu_si512(d + 64, b);
		_mm512_storeu_si512(d + 128, c);
		_mm512_storeu_si512(d + 192, e);
	}
	for (; d < last; d += 64, s += 64)
		_mm512_storeu_si512(d, _mm512_loadu_si512(s));
	_mm512_storeu_si512(last, tail);
	_mm256_zeroupper();
}

__attribute__((target("avx2")))
static void copy_avx2(void *restrict dst, const void *restrict src, size_t bytes)
{
	char *d = dst, *last = d + bytes - 64;
	const char *s = src;
	__m256i t0, t1;

	if (bytes >= STRING_MIN) {
		memcpy(dst, src, bytes);
		return;
	}
	t0 = _mm256_loadu_si256((const void *)(s + bytes - 64));
	t1 = _mm256_loadu_si256((const void *)(s + bytes - 32));
	if (bytes >= ALIGN_MIN && (uintptr_t)d & 31) {
		size_t skip = 32 - ((uintptr_t)d & 31);

		_mm256_storeu_si256((void *)d, _mm256_loadu_si256((const void *)s));
		d += skip;
		s += skip;
		bytes -= skip;
	}
	for (; bytes >= 128; bytes -= 128, d += 128, s += 128) {
		__m256i a = _mm256_loadu_si256((const void *)s);
		__m256i b = _mm256_loadu_si256((const void *)(s + 32));
		__m256i c = _mm256_loadu_si256((const void *)(s + 64));
		__m256i e = _mm256_loadu_si256((const void *)(s + 96));

		_mm256_storeu_si256((void *)d, a);
		_mm256_storeu_si256((void *)(d + 32), b);
		_mm256_storeu_si256((void *)(d + 64), c);
		_mm256_storeu_si256((void *)(d + 96), e);
	}
	for (; d < last; d += 32, s += 32)
		_mm256_storeu_si256((void *)d, _mm256_loadu_si256((const void *)s));
	_mm256_storeu_si256((void *)last, t0);
	_mm256_storeu_si256((void *)(last + 32), t1);
	_mm256_zeroupper();
}

static void copy_rep(void *restrict dst, const void *restrict src, size_t bytes)
{
	asm volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(bytes) : : "memory");
}
#endif

static void copy_libc(void *restrict dst, const void *restrict src, size_t bytes)
{
	memcpy(dst, src, bytes);
}

gstk__copy_fn *gstk__copy_large = copy_libc;

const struct gstk__copy_impl *gstk__copy_impls(void)
{
	static struct gstk__copy_impl impl[5];
	int n = 0;

#if defined(__x86_64__)
	__builtin_cpu_init();
	impl[n++] = (struct gstk__copy_impl){ "avx512", copy_avx512,
		__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") };
	impl[n++] = (struct gstk__copy_impl){ "avx2", copy_avx2, __builtin_cpu_supports("avx2") };
#endif
	impl[n++] = (struct gstk__copy_impl){ "libc", copy_libc, 1 };
#if defined(__x86_64__)
	impl[n++] = (struct gstk__copy_impl){ "rep movsb", copy_rep, 1 };
#endif
	impl[n] = (struct gstk__copy_impl){ 0 };
	return impl;
}

const char *gstk__copy_init(void)
{
	const struct gstk__copy_impl *i = gstk__copy_impls();

	while (!i->usable)
		i++;
	gstk__copy_large = i->fn;
	return i->name;
}
