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
