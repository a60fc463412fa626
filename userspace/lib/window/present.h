// SPDX-License-Identifier: MIT
/* Memory that the kernel is about to read or write must be there: it may not be let in on a touch. */
#ifndef GSTK__WINDOW_PRESENT_H
#define GSTK__WINDOW_PRESENT_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "window/window.h"

void gstk__present_slow(const void *p, size_t bytes);
void gstk__present_iov_slow(const struct iovec *iov, int nr);
void gstk__present_msg_slow(const struct msghdr *msg);

/* All of [p, p + bytes) comes, if it is in a stack that came back lazily. By its own task only: what is in a
 * sealed window (debug/seal.h) is reported. */
static inline void gstk__present(const void *p, size_t bytes)
{
	if (__builtin_expect(gstk__windows.present, 0))
		gstk__present_slow(p, bytes);
}

static inline void gstk__present_iov(const struct iovec *iov, int nr)
{
	if (__builtin_expect(gstk__windows.present, 0))
		gstk__present_iov_slow(iov, nr);
}

static inline void gstk__present_msg(const struct msghdr *msg)
{
	if (__builtin_expect(gstk__windows.present, 0))
		gstk__present_msg_slow(msg);
}

#endif
