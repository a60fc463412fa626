// SPDX-License-Identifier: MIT
/* How long a unit of gstk__stamp() is, measured against the system's clock. */
#include "host/host.h"

#define LEAST_NS 2000000u /* two readings of the clocks are some 100 ns apart: 1 in 20,000 */

uint32_t gstk__stamps_per_ms = 1000;

static uint64_t began_ns;
static uint32_t began;

void gstk__stamp_begin(void)
{
	began_ns = gstk__now_ns();
	began = gstk__stamp();
}

void gstk__stamp_end(void)
{
	uint64_t took;

	while ((took = gstk__now_ns() - began_ns) < LEAST_NS)
		gstk__cpu_relax();
	gstk__stamps_per_ms = (uint32_t)((gstk__stamp() - began) * 1000000ull / took);
	if (!gstk__stamps_per_ms)
		gstk__stamps_per_ms = 1;
}
