// SPDX-License-Identifier: MIT
/*
 * Structured concurrency: a scope owns tasks, and none of them outlives it. When one fails the others
 * are cancelled; a deadline holds for all. After N. J. Smith, "Notes on structured concurrency", 2018.
 *
 *	gstk_scope *s;
 *
 *	if (!gstk_scope_begin(&s, gstk_now() + 2000000000)) {
 *		gstk_scope_spawn(s, fetch, &first, NULL);
 *		gstk_scope_spawn(s, fetch, &second, NULL);
 *		err = gstk_scope_end(s);	// both have ended
 *	}
 */
#ifndef GREENSTK_SCOPE_H
#define GREENSTK_SCOPE_H

#include <greenstk/task.h>

GSTK_BEGIN_DECLS

typedef struct gstk_scope gstk_scope;
/** A task of a scope: 0, or a negative errno, the failure of the scope. */
typedef int (*gstk_scope_fn)(void *arg);

/**
 * Begin a scope that the calling task owns and ends with gstk_scope_end(). If the task ends before, by
 * return, gstk_exit() or whatever, then the scope is cancelled and ended first. Scopes may be nested:
 * the last one begun is ended first.
 *
 * @deadline_ns, absolute, is until the end of the scope that of every blocking call of the owner and of
 * the scope's tasks, if theirs is not earlier: these return -ETIMEDOUT. 0, -ENOMEM, -ESRCH outside a task,
 * -EINVAL in a poll function or without @scope.
 */
GSTK_API int gstk_scope_begin(gstk_scope **scope, uint64_t deadline_ns);

/**
 * Create a task of @scope that runs @fn(@arg). By the owner, or by a task of the scope. @opts as for
 * gstk_spawn(), but for GSTK_NATIVE (-EINVAL); it is detached, the scope waits for it. gstk_exit() in it counts as success.
 *
 * -ECANCELED when the scope has failed or was cancelled, else as gstk_spawn(). Never parks.
 */
GSTK_API int gstk_scope_spawn(gstk_scope *scope, gstk_scope_fn fn, void *arg, const struct gstk_spawn_opts *opts);

/**
 * Cancel all tasks of the scope, as if one had failed with @err, which gstk_scope_end() returns unless
 * one has failed before. @err: a negative errno, -ECANCELED say, else -EINVAL. The owner's own calls are not
 * cancelled. By the owner or a task of the scope; never parks.
 */
GSTK_API int gstk_scope_cancel(gstk_scope *scope, int err);

/** The first failure so far; 0: none; -EINVAL for NULL. For an owner that works on while its tasks run. */
GSTK_API int gstk_scope_error(gstk_scope *scope);

/**
 * Wait until all tasks of the scope have ended, and free it. Parks. When the caller is cancelled or its
 * deadline passes meanwhile the tasks are cancelled, and waited for. Returns the first failure: what a task
 * returned, -ECANCELED, -ETIMEDOUT; 0 when there was none. -EPERM, and nothing happens, when the caller does
 * not own it, or has not ended one that it began later.
 */
GSTK_API int gstk_scope_end(gstk_scope *scope);

GSTK_END_DECLS
#endif
