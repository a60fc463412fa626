// SPDX-License-Identifier: MIT
/* Channels and select. */
#ifndef GREENSTK_CHAN_H
#define GREENSTK_CHAN_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

typedef struct gstk_chan gstk_chan;

/**
 * A channel of elements of @elem_size bytes (0 is fine: pure signals). @capacity 0 is unbuffered:
 * a send meets a receive. -EINVAL for more than 2^31 - 1 of either, -ENOMEM.
 */
GSTK_API int gstk_chan_create(gstk_chan **chan, size_t elem_size, size_t capacity) GSTK_MUST_CHECK;

/** Free it; NULL is fine. -EBUSY while tasks wait in it, a select until it has returned: close it first and let them go. */
GSTK_API int gstk_chan_destroy(gstk_chan *chan);

/**
 * Send the element at @elem. A waiting receiver gets it directly and may run at once in the
 * sender's place. Parks when there is no room. -EPIPE when closed, -ECANCELED, -ETIMEDOUT;
 * in all of these the element was not sent. Any thread.
 */
GSTK_API int gstk_chan_send(gstk_chan *chan, const void *elem) GSTK_NONNULL(1);
GSTK_API int gstk_chan_send_until(gstk_chan *chan, const void *elem, uint64_t deadline_ns) GSTK_NONNULL(1);
/** Never parks: -EAGAIN when it would have to. */
GSTK_API int gstk_chan_try_send(gstk_chan *chan, const void *elem) GSTK_NONNULL(1);

/**
 * Receive into @elem (NULL throws the element away). Parks when there is none. -EPIPE when closed
 * and empty, -ECANCELED, -ETIMEDOUT. Any thread.
 */
GSTK_API int gstk_chan_recv(gstk_chan *chan, void *elem) GSTK_NONNULL(1);
GSTK_API int gstk_chan_recv_until(gstk_chan *chan, void *elem, uint64_t deadline_ns) GSTK_NONNULL(1);
GSTK_API int gstk_chan_try_recv(gstk_chan *chan, void *elem) GSTK_NONNULL(1);

/** No more sends; buffered elements can still be received; all waiters are woken. -EPIPE when closed already, -EINVAL for NULL. */
GSTK_API int gstk_chan_close(gstk_chan *chan);

/** Elements in the buffer now. */
GSTK_API size_t gstk_chan_len(gstk_chan *chan);

enum gstk_case_op { GSTK_CASE_RECV = 1, GSTK_CASE_SEND = 2 };

/** One alternative of gstk_select(). A NULL chan never becomes ready. */
struct gstk_case {
	gstk_chan *chan;
	uint32_t op;		/**< enum gstk_case_op */
	int32_t result;		/**< out, of the chosen case: 0 or -EPIPE */
	void *elem;		/**< where to receive to or send from; may be on the caller's stack */
};

/**
 * Wait until one of @nr cases can go on, do it, return its index; a fair choice when several can.
 * @deadline_ns 0 only tries (-EAGAIN), GSTK_NEVER waits for ever. -ETIMEDOUT, -ECANCELED, -EINVAL,
 * -ENOMEM.
 */
GSTK_API int gstk_select(struct gstk_case *cases, unsigned int nr, uint64_t deadline_ns);

GSTK_END_DECLS
#endif
