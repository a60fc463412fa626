// SPDX-License-Identifier: MIT
/* What moving a stack costs on this machine, measured once at start: a few hundred microseconds. */
#ifndef GSTK__PARK_CALIBRATE_H
#define GSTK__PARK_CALIBRATE_H

#include <stdint.h>

/* Nanoseconds; the best of several tries, so other load makes them a little too large at most. */
struct gstk__calibration {
	uint32_t copy_hot_ns_per_kib;  /* both sides in the cache */
	uint32_t copy_cold_ns_per_kib; /* the source in memory: a stack that has been idle */
	uint32_t fault_ns;	       /* the first touch of a page that was given back */
	uint32_t discard_ns;	       /* to give one page back with a call of its own */
	uint32_t discard_many_ns;      /* one page among many of a batch */
	uint32_t took_ns;
	uint32_t running;	       /* workers at the time: each page that goes is flushed on their processors */
};

/* After gstk__copy_init(). Zeroes when memory is out. */
void gstk__calibrate(struct gstk__calibration *out);
extern struct gstk__calibration gstk__calibration;

/* What depends on how many workers run, as they do now: faults, and pages that go. By who sweeps. */
void gstk__calibrate_again(uint32_t running);
/* A copy, for others than the sweep. */
void gstk__calibration_read(struct gstk__calibration *out);

/* 1, 2, 3..4, 5..8, ... of them. */
static inline uint32_t gstk__running_class(uint32_t running)
{
	return running < 2 ? 0 : 32 - (uint32_t)__builtin_clz(running - 1);
}

#endif
