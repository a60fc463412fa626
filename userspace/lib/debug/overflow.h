// SPDX-License-Identifier: MIT
/*
 * Stack overflow: a fault in the guard of the window of the task that runs on this worker, with the
 * stack pointer at or beyond the window's limit, is reported, then abort(). Every other SIGSEGV goes
 * to the handler that was there before, as if we were not.
 */
#ifndef GSTK__DEBUG_OVERFLOW_H
#define GSTK__DEBUG_OVERFLOW_H

int gstk__overflow_init(void);
void gstk__overflow_fini(void);

#endif
