// SPDX-License-Identifier: MIT
/* Workers that do not come to a scheduling point are noticed, counted and reported. */
#ifndef GSTK__SCHED_STUCK_H
#define GSTK__SCHED_STUCK_H

#include <stdbool.h>
#include <stdint.h>

struct gstk__worker;

/* By any worker, often: looks at the others when it is time. */
void gstk__stuck_look(struct gstk__worker *w, uint64_t now_ns);
/* By a thread that is none: looks at all of them. */
void gstk__stuck_watch(uint64_t now_ns);
void gstk__stuck_reset(void);
/* How often that was so for 10 ms or more, and the longest time seen. */
void gstk__stuck_counts(uint64_t *nr, uint64_t *longest_ns);
/* Called once for each time that it lasts this long; 0: never. @alone: no other worker comes to take over. */
extern void (*gstk__stuck_hook)(uint32_t index, uint64_t stuck_ns, bool alone);
extern uint64_t gstk__stuck_report_ns;

#endif
