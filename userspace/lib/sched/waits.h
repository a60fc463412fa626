// SPDX-License-Identifier: MIT
/* How long runnable tasks waited for their window: a histogram a worker, four buckets an octave. */
#ifndef GSTK__SCHED_WAITS_H
#define GSTK__SCHED_WAITS_H

#include <stdint.h>

#define GSTK__WAIT_BUCKETS 128

struct gstk__waits {
	uint64_t nr[GSTK__WAIT_BUCKETS];
};

static inline unsigned int gstk__waits_bucket(uint32_t stamps)
{
	unsigned int octave;

	if (stamps < 8)
		return stamps;
	octave = 31 - (unsigned int)__builtin_clz(stamps);
	return octave * 4 - 4 + ((stamps >> (octave - 2)) & 3);
}

/* The longest wait that falls into a bucket. */
static inline uint32_t gstk__waits_limit(unsigned int bucket)
{
	unsigned int octave = bucket / 4 + 1;

	if (bucket < 8)
		return bucket;
	return (uint32_t)(((bucket & 3) + 5ull) << (octave - 2)) - 1;
}

/* All workers' waits: how many, and the time that @percent of them did not exceed. */
uint64_t gstk__waits_total(void);
uint64_t gstk__waits_percentile_ns(unsigned int percent);

#endif
