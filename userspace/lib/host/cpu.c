// SPDX-License-Identifier: MIT
#include "host/host.h"

#include <sched.h>

uint32_t gstk__cpu_count(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : (uint32_t)n;
}
