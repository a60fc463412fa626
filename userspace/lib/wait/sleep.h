// SPDX-License-Identifier: MIT
#ifndef GSTK__WAIT_SLEEP_H
#define GSTK__WAIT_SLEEP_H

#include "sched/sched.h"

/* Park until @until_ns. 0; -ETIMEDOUT when @deadline_ns or the task's own comes first; -ECANCELED. */
int gstk__sleep_until(uint64_t until_ns, uint64_t deadline_ns, enum gstk__why why);

#endif
