// SPDX-License-Identifier: MIT
/*
 * Injection points: where a thread that is delayed makes a race of the protocol wide. Empty unless
 * built with -DGSTK__INJECTION (the stress tests); then each is sometimes a pause. The seed comes from
 * GREENSTK_SEED; threads differ, so a seed repeats the pauses, not the schedule. GREENSTK_INJECT names a point
 * at which the pause is long and never left out.
 */
#ifndef GSTK__DEBUG_INJECT_H
#define GSTK__DEBUG_INJECT_H

#ifdef GSTK__INJECTION
void gstk__inject_pause(const char *name);
#define GSTK__INJECT(name) gstk__inject_pause(#name)
#else
#define GSTK__INJECT(name) ((void)0)
#endif

#endif
