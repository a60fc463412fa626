// SPDX-License-Identifier: MIT
/*
 * How gstk-info(1) asks a running process: it listens on an abstract socket, finds the thread that
 * prints (its name ends with the number of the signal that it prints on), and queues that signal with a
 * value. The thread connects and writes. Nothing waits or listens in a process that nobody asks.
 */
#ifndef GSTK__DEBUG_ASK_H
#define GSTK__DEBUG_ASK_H

#define GSTK__ASK	 0x67736b00u /* sival_int, or'ed with the next */
#define GSTK__ASK_TASKS	 1u	     /* every task, too */
#define GSTK__ASK_SOCKET "greenstk-info/%d"
#define GSTK__ASK_THREAD "gstk-dump-"

#endif
