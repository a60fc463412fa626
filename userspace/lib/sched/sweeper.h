// SPDX-License-Identifier: MIT
#ifndef GSTK__SCHED_SWEEPER_H
#define GSTK__SCHED_SWEEPER_H

#include <stddef.h>
#include <stdint.h>

/* Before the workers start, after they ended. */
int gstk__sweeper_start(uint64_t evict_idle_ns, uint64_t pack_idle_ns, size_t resident_budget);
void gstk__sweeper_stop(void);

#endif
