// SPDX-License-Identifier: MIT
/*
 * GREENSTK_DEBUG=stacks: a window that a stack has left is sealed, that is, inaccessible, until a stack
 * comes into it again. So a pointer into the stack of another task that is off the CPU, or has ended, faults
 * where it is used; seal_report.c says whose stack that was.
 *
 *	park/	seals in gstk__evict(), unseals in gstk__restore() and gstk__claim(), by gstk__win_guard()
 *	sched/	seals when a task has ended
 *	window/	keeps sealed windows that are free from being used again at once
 *
 * What makes it see most of such pointers: every stack that may move leaves its window at each park
 * (GSTK_FORCE_EVICT), and there are so many windows that hardly any is shared. What a mate's stack lies
 * over at the moment cannot be seen.
 *
 * The whole window is sealed by one call, of MADV_GUARD_INSTALL, which splits no mapping, or mprotect(2). Not
 * by protection keys: there are 15, each switch would have to set them, and they say nothing of a task on
 * the same thread. Sealed windows have no pages.
 */
#ifndef GSTK__DEBUG_SEAL_H
#define GSTK__DEBUG_SEAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "task/task.h"

extern bool gstk__sealing; /* the mode is on */

/* Who left a window last. */
struct gstk__left {
	const void *fn, *site; /* as in spawned.h */
	uint32_t task;	       /* 0: nobody has */
	bool ended;
	bool by_mprotect;      /* how it is sealed */
	char name[32];
};

/* After the windows. 0, or -ENOMEM. */
int gstk__seal_init(void);
void gstk__seal_fini(void);

/* By the owner of the window: @t has left it, for now or because it has @ended. */
void gstk__seal(uint32_t window, struct gstk_task *t, bool ended);
void gstk__unseal(uint32_t window);
/* A window that becomes free stays so for a while: another one, that has been free for long, or 0. */
uint32_t gstk__seal_quarantine(uint32_t window);
/* Of a window that is sealed, or was a moment ago. */
const struct gstk__left *gstk__seal_left(uint32_t window);

/* seal_report.c, in a handler of SIGSEGV: reports and aborts if that is about a stack, or returns. */
void gstk__seal_fault(const siginfo_t *info, const void *context);

#endif
