/* SPDX-License-Identifier: MIT */
/*
 * What the sweep remembers of a task whose stack it moved: four bytes, beside the array of tasks, touched for
 * those only. Only who sweeps reads or writes it. A task that has the index of one before begins with what that
 * one left: a bounce or two too many at most.
 */
#ifndef GSTK__PARK_HISTORY_H
#define GSTK__PARK_HISTORY_H

#include "park/policy.h"

/* For as many tasks as there may be. Without memory there is no hysteresis, and nothing else changes. */
void gstk__history_init(void);
void gstk__history_fini(void);
/* Of a task that parked then, with what came of its last move; *@bounced: that is new, and it came back soon. */
struct gstk__history gstk__history_of(const struct gstk__climate *c, uint32_t task, uint32_t parked_ms, bool *bounced);
/* It is moved at @now_ms; @h: its history up to then. */
void gstk__history_moved(uint32_t task, struct gstk__history h, uint32_t now_ms, bool packed);

#endif
