// SPDX-License-Identifier: MIT
#ifndef GSTK__DEBUG_STUCK_REPORT_H
#define GSTK__DEBUG_STUCK_REPORT_H

#include <stdint.h>

/* Report workers that are stuck for this long; 0: none. */
void gstk__stuck_report_init(uint64_t report_ns);
void gstk__stuck_report_fini(void);

#endif
