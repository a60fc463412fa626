// SPDX-License-Identifier: MIT
#ifndef GSTK__DEBUG_DEADLOCK_REPORT_H
#define GSTK__DEBUG_DEADLOCK_REPORT_H

#include <stdbool.h>

/* Report when all tasks wait and nothing can wake them; then abort(), or go on with @go_on. */
void gstk__deadlock_report_init(bool go_on);
void gstk__deadlock_report_fini(void);

#endif
