// SPDX-License-Identifier: MIT
/* Objects that others point to must not lie in a window whose stack may move away. */
#ifndef GSTK__WINDOW_REFUSE_H
#define GSTK__WINDOW_REFUSE_H

#include "window/window.h"

int gstk__refuse_shared_message(const void *p, const char *what);

/* 0, or -EINVAL with a message when @p lies in a shared window. @what: "gstk_mutex_lock: the mutex". */
static inline int gstk__refuse_shared(const void *p, const char *what)
{
	if (__builtin_expect(gstk__in_shared_window(p), 0))
		return gstk__refuse_shared_message(p, what);
	return 0;
}

#endif
