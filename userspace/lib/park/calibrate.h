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
};

/* After gstk__copy_init(). Zeroes when memory is out. */
void gstk__calibrate(struct gstk__calibration *out);
extern struct gstk__calibration gstk__calibration;

#endif
