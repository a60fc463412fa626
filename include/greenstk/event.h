// SPDX-License-Identifier: MIT
/* Events: the one thing here that a signal handler may raise. */
#ifndef GREENSTK_EVENT_H
#define GREENSTK_EVENT_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/** Raises are counted; one wait takes all that came since the last. Holds a descriptor, eventfd(2). */
typedef struct gstk_event gstk_event;

/** -EINVAL, -ENOMEM, -EMFILE, -ENFILE. Any thread. */
GSTK_API int gstk_event_create(gstk_event **event) GSTK_MUST_CHECK;
/** Free it; NULL is fine. Nobody may wait for it or raise it any more. -EBUSY while tasks wait. */
GSTK_API int gstk_event_destroy(gstk_event *event);
/**
 * Wake who waits, or the next one who does. Any thread, and the only call of this library that is
 * async-signal-safe: others print an error and return -ECANCELED in a handler on the signal stack of
 * a worker, and must not be made in one that runs on a task's stack. Never parks, keeps errno.
 */
GSTK_API void gstk_event_raise(gstk_event *event) GSTK_NONNULL(1);
/** Park until it is raised. How often it was (1 or more), -ECANCELED, -ETIMEDOUT, -EINVAL for NULL. Any thread. */
GSTK_API int64_t gstk_event_wait(gstk_event *event);
GSTK_API int64_t gstk_event_wait_until(gstk_event *event, uint64_t deadline_ns);

GSTK_END_DECLS
#endif
