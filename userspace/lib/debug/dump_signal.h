// SPDX-License-Identifier: MIT
#ifndef GSTK__DEBUG_DUMP_SIGNAL_H
#define GSTK__DEBUG_DUMP_SIGNAL_H

/*
 * @sig prints all tasks to stderr; the handler only wakes a thread that does it. A handler that the
 * application has for @sig stays. 0, or -errno when the thread cannot be had.
 */
int gstk__dump_signal_init(int sig);
void gstk__dump_signal_fini(void);
void gstk__dump_signal_forked(void);
/* Its number; 0: none. */
int gstk__dump_signal(void);
/* Threads of the process that are ours for this: 0 or 1. */
unsigned int gstk__dump_signal_threads(void);

#endif
