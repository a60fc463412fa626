// SPDX-License-Identifier: MIT
/*
 * A thread that looks at the workers from outside. Where a stuck worker is to be reported, somebody must see
 * it when there is one worker only, when all are stuck, or when the others sleep.
 */
#ifndef GSTK__DEBUG_WATCHDOG_H
#define GSTK__DEBUG_WATCHDOG_H

#include <stdint.h>

/* @report_ns: how late a report may be counts from this; 0: no thread. 0 or -errno. */
int gstk__watchdog_start(uint64_t report_ns);
void gstk__watchdog_stop(void);
/* In a child of fork(): there it is not. */
void gstk__watchdog_forked(void);
unsigned int gstk__watchdog_threads(void);

#endif
