// SPDX-License-Identifier: MIT
/*
 * What sanitizers and valgrind must be told of switches and of stacks that move. The only file that
 * knows them; in ordinary builds all of this is empty.
 *
 *	leaving for another stack	before_switch(&token, from, to)  -- token: a local, NULL for ever
 *	arrived on a stack		after_switch(token)              -- NULL on a fresh one
 *	a task starts, ends		task_begin, task_end
 *	a task gets an annex		annex; a switch to it and one back to the task follow
 *	bytes leave, come back		evicted (before the copy); clean (before), restored (after it)
 *
 * ASan: the poison of a stack's red zones travels with its image. TSan: a fiber a task.
 */
#ifndef GSTK__DEBUG_ANNOTATE_H
#define GSTK__DEBUG_ANNOTATE_H

#include <stddef.h>
#include "task/task.h"

#if defined(__SANITIZE_ADDRESS__)
#define GSTK__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GSTK__ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GSTK__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GSTK__TSAN 1
#endif
#endif

#if defined(GSTK__ASAN) || defined(GSTK__TSAN)
int gstk__annotate_init(size_t max_tasks);
void gstk__annotate_fini(size_t max_tasks);
void gstk__annotate_thread(void);
/* @to NULL: the loop of this thread. */
void gstk__annotate_before_switch(void **token, struct gstk_task *to);
void gstk__annotate_after_switch(void *token);
void gstk__annotate_task_begin(struct gstk_task *t);
void gstk__annotate_task_end(struct gstk_task *t);
void gstk__annotate_annex(struct gstk_task *t);
void gstk__annotate_clean(struct gstk_task *t);
/* A private window's mapping goes away, and its addresses to whoever comes. */
void gstk__annotate_unmapped(char *from, size_t bytes);
void gstk__annotate_evicted(struct gstk_task *t, char *sp, size_t bytes);
void gstk__annotate_restored(struct gstk_task *t, char *sp, size_t bytes);
#else
static inline int gstk__annotate_init(size_t max_tasks)
{
	return 0;
}
#define gstk__annotate_fini(max_tasks)	       ((void)0)
#define gstk__annotate_thread()		       ((void)0)
#define gstk__annotate_before_switch(token, to) ((void)(token))
#define gstk__annotate_after_switch(token)     ((void)(token))
#define gstk__annotate_task_begin(t)	       ((void)0)
#define gstk__annotate_task_end(t)	       ((void)0)
#define gstk__annotate_annex(t)		       ((void)0)
#define gstk__annotate_clean(t)		       ((void)0)
#define gstk__annotate_unmapped(from, bytes)   ((void)0)
#define gstk__annotate_evicted(t, sp, bytes)   ((void)0)
#define gstk__annotate_restored(t, sp, bytes)  ((void)0)
#endif

/* For functions that look at what others may be writing, and check again before they believe it. */
#ifdef GSTK__TSAN
#define GSTK__RACY	   __attribute__((no_sanitize("thread"), noinline))
#define GSTK__RACY_INLINE static __attribute__((no_sanitize("thread"), noinline, unused))
#else
#define GSTK__RACY
#define GSTK__RACY_INLINE static inline
#endif

/* For functions called between before_switch and after_switch: whose calls would they be? */
#ifdef GSTK__TSAN
#define GSTK__ON_THE_WAY __attribute__((no_sanitize("thread"), noinline))
#else
#define GSTK__ON_THE_WAY __attribute__((noinline))
#endif

/* A look at a field that its owner may be writing. */
GSTK__RACY_INLINE uint32_t gstk__peek(const uint32_t *p)
{
	return *(const volatile uint32_t *)p;
}

GSTK__RACY_INLINE uint8_t gstk__peek_byte(const uint8_t *p)
{
	return *p;
}

/* valgrind: this range is a stack. Costs nothing outside valgrind; called once a window. */
void gstk__annotate_stack(char *limit, char *base);

#endif
