// SPDX-License-Identifier: MIT
/* Where a task is that is running just now. */
#ifndef GSTK__DEBUG_RUNNING_H
#define GSTK__DEBUG_RUNNING_H

#include <signal.h>
#include "debug/look.h"

struct gstk__worker;

/*
 * The frames of the task that @v runs, into @out. In a system call the thread is left in peace, since
 * not every call goes on after a signal; else it is asked, with @sig (0: not at all), and answers within
 * @patience_ns or not. False: not to be had.
 */
bool gstk__look_running(struct gstk__looker *l, struct gstk__worker *v, int sig, uint64_t patience_ns,
			struct gstk__look *out);

#define GSTK__OWN_STACKS 8u /* whose frames are shown */

/*
 * The stacks on which @t, which runs on this thread, stands: of @window, its own or that of an annex, from
 * @sp on, and those below in ->outer. In place: nothing is copied.
 */
void gstk__own_stacks_on(struct gstk_task *t, uint32_t window, uintptr_t sp,
			 struct gstk__cfi_stack stack[GSTK__OWN_STACKS]);
/* The same for whichever has @sp; false: it stands elsewhere. */
bool gstk__own_stacks(struct gstk_task *t, uintptr_t sp, struct gstk__cfi_stack stack[GSTK__OWN_STACKS]);

/* Return addresses of the calling task or thread, from the frame on that will be returned to at @site, if it is
 * there; how many. */
unsigned int gstk__look_here(const void *site, uintptr_t *pc, unsigned int most);

/* In the handler of that signal: true when it was such a question, which is answered. */
bool gstk__running_answer(const siginfo_t *info, void *context);

#endif
