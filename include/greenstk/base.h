// SPDX-License-Identifier: MIT
/* What all public headers share. */
#ifndef GREENSTK_BASE_H
#define GREENSTK_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

#include <greenstk/thread.h>

#ifdef __cplusplus
#define GSTK_BEGIN_DECLS extern "C" {
#define GSTK_END_DECLS	 }
#else
#define GSTK_BEGIN_DECLS
#define GSTK_END_DECLS
#endif

#define GSTK_API	__attribute__((visibility("default")))
#define GSTK_MUST_CHECK __attribute__((warn_unused_result))
/**
 * Arguments that must not be NULL, nor an object that is no more, of calls that are too often made to look: what happens
 * else is undefined, a crash mostly. Compilers warn of NULL (-Wnonnull), and callers built with -fsanitize=undefined
 * check it at each call.
 */
#define GSTK_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))

/*
 * Errors are returned as negative errno values; errno itself stays as it is. Of a call that no program should make (an
 * object that is NULL or none, a wrong option, the wrong place, a lock that the caller does not hold, no runtime) the error,
 * -EINVAL, -ESRCH, -EPERM or -EDEADLK, comes after one line on stderr that says what was wrong and what to do, for at most
 * 50 of them in a process.
 *
 * Calls that need the runtime return -ESRCH before it has begun, after it has ended, and in a child of fork(). -ENOMEM
 * from one that waits may also mean that it was called by a thread that is no worker, which takes the place of a task to
 * wait, and all of gstk_config.max_tasks are taken: there is a line on stderr, too.
 */

/**
 * An absolute time that never comes. All deadlines are CLOCK_MONOTONIC nanoseconds. A wait that has one, its
 * own or its task's, returns -ENOMEM when there is no memory for it.
 */
#define GSTK_NEVER UINT64_MAX

#ifndef __cplusplus
/**
 * Options by name, with the structure's size filled in, so that structures can grow at the tail:
 * gstk_spawn(&t, fn, arg, GSTK_OPTS(gstk_spawn_opts, .name = "acceptor"));
 */
#define GSTK_OPTS(type, ...) (&(const struct type){ .size = sizeof(struct type), __VA_ARGS__ })
#endif

#endif
