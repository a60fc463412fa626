// SPDX-License-Identifier: MIT
/* Clock, sleep, timers. */
#ifndef GREENSTK_TIME_H
#define GREENSTK_TIME_H

#include <greenstk/base.h>
#include <greenstk/chan.h>

GSTK_BEGIN_DECLS

/** CLOCK_MONOTONIC in nanoseconds. */
GSTK_API uint64_t gstk_now(void);

/** Park for @ns nanoseconds. 0, -ECANCELED, or -ETIMEDOUT when the task's own deadline came first. */
GSTK_API int gstk_sleep(uint64_t ns);
GSTK_API int gstk_sleep_until(uint64_t deadline_ns);

/**
 * A timer that sends its expiry count (uint64_t) into a channel of capacity one, for gstk_select().
 * gstk_shutdown() stops it; in the next runtime it can be set again.
 */
typedef struct gstk_timer gstk_timer;
GSTK_API int gstk_timer_create(gstk_timer **timer) GSTK_MUST_CHECK;
/** First expiry at @deadline_ns, then every @period_ns (0: once). Replaces an earlier setting. -ESRCH without a runtime,
 * -EINVAL for NULL, here and below. */
GSTK_API int gstk_timer_set(gstk_timer *timer, uint64_t deadline_ns, uint64_t period_ns);
/** Stop it; an expiry already sent stays in the channel. */
GSTK_API int gstk_timer_stop(gstk_timer *timer);
/** The channel to receive from (uint64_t elements); NULL for NULL. */
GSTK_API gstk_chan *gstk_timer_chan(gstk_timer *timer);
/** Stop it and free it with its channel; NULL is fine. -EBUSY while tasks wait in the channel: stopped then. */
GSTK_API int gstk_timer_destroy(gstk_timer *timer);

GSTK_END_DECLS
#endif
