// SPDX-License-Identifier: MIT
/*
 * Calls that a task had better not make on its own stack and worker: those that block a thread, and
 * those that need much stack.
 */
#ifndef GREENSTK_CALL_H
#define GREENSTK_CALL_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/**
 * Run @fn(@arg) on a thread of a pool, for calls that would stop the worker: of the file system, of
 * libraries that wait by themselves, long computations. The task is parked meanwhile. At most
 * gstk_config.blocking_threads run at a time, further calls queue in the order they came; a thread
 * without work for ten seconds ends.
 *
 * @result, when not NULL, receives what @fn returned. errno in @fn begins as the caller's, and the caller's
 * is afterwards what @fn left. @fn must return: no exception, gstk_exit() or pthread_exit(). It runs outside
 * any task: gstk_self() is NULL, and calls of this library that wait block the pool's thread. @arg, and all
 * that it points to, must not lie on the caller's stack, which may be moved away, unless the task is
 * GSTK_PRIVATE: in a shared window it is refused (-EINVAL and a line on stderr). gstk_blocking_copy() is for
 * that.
 *
 * Returns 0, whatever @fn returned; -ECANCELED and -ETIMEDOUT (@deadline_ns, or the task's own) when @fn
 * was not begun, and never will be. Once it has begun, the call waits for its end whatever comes, and
 * succeeds; a cancel or deadline that came meanwhile is seen by the next call that waits. -EAGAIN when the
 * pool has no thread and none can be had, -EINVAL without @fn. On a thread that runs no task @fn is simply
 * called, and 0 returned; also where there is no runtime.
 */
GSTK_API int gstk_blocking(void *(*fn)(void *), void *arg, void **result);
GSTK_API int gstk_blocking_until(void *(*fn)(void *), void *arg, void **result, uint64_t deadline_ns);

/**
 * The same for arguments on the caller's stack: @fn gets a copy of @block, @bytes long, and when it has
 * returned the copy is copied back, results included. What @block points to must not lie on that stack,
 * nor may @result point into the copy. A @block that cannot be moved away (of a private task, on the heap)
 * is not copied, but passed as it is. Returns -ENOMEM, -EINVAL for bytes at NULL, or as gstk_blocking().
 */
GSTK_API int gstk_blocking_copy(void *(*fn)(void *), void *block, size_t bytes, void **result);
GSTK_API int gstk_blocking_copy_until(void *(*fn)(void *), void *block, size_t bytes, void **result,
				      uint64_t deadline_ns);

/**
 * Call @fn(@arg) on another stack of at least @bytes bytes, with a guard below it, and come back with what
 * it returned in @result (unless that is NULL): for one call that needs much more stack than the task
 * otherwise does. It is still the same task: @fn may do whatever a task may, wait, end it with gstk_exit(),
 * throw an exception that a caller of gstk_call_on_stack() catches, or call this function again. It must not
 * leave by longjmp().
 *
 * That stack never moves: what lies on it may be shared with others for as long as the call lasts, as on the
 * stack of a GSTK_PRIVATE task. The task's own stack is parked and moved as ever meanwhile; @fn may use
 * pointers into it. Stacks come from the private windows (see GSTK_PRIVATE: 65,536 of both at a time), and
 * are kept for further calls; their pages are given back in time.
 *
 * Returns 0, -ENOMEM when there is no stack, -EINVAL without @fn, for more than 16 GiB, in a signal
 * handler on a stack of its own, or in a poll function. On a thread that runs no task @fn is simply called.
 */
GSTK_API int gstk_call_on_stack(size_t bytes, void *(*fn)(void *), void *arg, void **result);

GSTK_END_DECLS
#endif
