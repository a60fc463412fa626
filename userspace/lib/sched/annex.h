// SPDX-License-Identifier: MIT
/*
 * An annex: another stack on which a task stands during one call. It is a private window, so nothing on it
 * ever moves.
 *
 *	base of the window ->| its task's calls           |	base of the annex ->| struct gstk__annex    |
 *			     | gstk__call_on()            |			    | fn(arg) and its calls |
 *		    t->sp -> | frame: go on in the annex  |	  ext->annex_sp -> | frame, when it parked |
 *
 * The task stays bound to its window, and what it has there is parked, evicted and restored as ever: its
 * ->sp points to a frame that stays there during the whole call. Who switches to it comes out at
 * gstk__annex_resume(), which switches on to ext->annex_sp. So only leave() (block.c) knows that a task that
 * parks stands elsewhere, and park/ knows nothing.
 */
#ifndef GSTK__SCHED_ANNEX_H
#define GSTK__SCHED_ANNEX_H

#include "debug/annotate.h"
#include "task/task.h"
#include "window/window.h"

struct gstk__annex {
	struct gstk__annex *outer; /* on which this one was called; NULL: the window */
	void *sp;		   /* where a further one was called */
	uint32_t window;
	void *(*fn)(void *);
	void *arg, *result;
} __attribute__((aligned(64)));

/* Run fn(arg) on a stack of at least @bytes. 0, or -ENOMEM. */
int gstk__annex_call(struct gstk_task *t, size_t bytes, void *(*fn)(void *), void *arg, void **result);
/* Of a task that has ended on one. */
void gstk__annex_drop(struct gstk_task *t);

/* The innermost one of a task that is owned by the caller, or is itself; NULL: it stands in its window. */
static inline struct gstk__annex *gstk__annex(const struct gstk_task *t)
{
	return t->flags & GSTK__T_ANNEX ? gstk__ext((struct gstk_task *)t)->annex : NULL;
}

/* The window that it stands on, its own or that of an annex; by others, who look at what may change. */
GSTK__RACY_INLINE uint32_t gstk__stands_on(const struct gstk_task *t)
{
	const struct gstk__ext *x = gstk__ext((struct gstk_task *)t);

	if (__builtin_expect(*(const volatile uint8_t *)&t->flags & GSTK__T_ANNEX, 0) && x)
		return *(const volatile uint32_t *)&x->annex_window;
	return *(const volatile uint32_t *)&t->window;
}

#endif
