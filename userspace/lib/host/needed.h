// SPDX-License-Identifier: MIT
#ifndef GSTK__HOST_NEEDED_H
#define GSTK__HOST_NEEDED_H

/*
 * The calling thread is the library's, or lent to it: when it ends (pthread_exit(), pthread_cancel()), a line says so and
 * the process aborts, where else somebody would wait for ever. @by: what has ended it probably. NULL: it may end again.
 */
void gstk__thread_needed(const char *by);

#endif
