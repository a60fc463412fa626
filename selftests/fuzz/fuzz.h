/* SPDX-License-Identifier: MIT */
/* What the fuzz programs have in common. libFuzzer calls LLVMFuzzerTestOneInput() with bytes of its choice. */
#ifndef SELFTESTS_FUZZ_H
#define SELFTESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

/* A copy of exactly this size on the heap, so that the sanitizer sees a byte too far. Never NULL. */
static inline void *exactly(const void *data, size_t size)
{
	void *copy = malloc(size);

	if (!copy && !(copy = malloc(1)))
		abort();
	if (size)
		memcpy(copy, data, size);
	return copy;
}

/* The first byte of the input, taken off it, as a choice below n. */
static inline uint8_t choice(const uint8_t **data, size_t *size, uint32_t n)
{
	uint8_t c = *size ? **data : 0;

	if (*size) {
		++*data;
		--*size;
	}
	return (uint8_t)(c % n);
}

#endif
