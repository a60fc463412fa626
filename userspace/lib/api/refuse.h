// SPDX-License-Identifier: MIT
#ifndef GSTK__API_REFUSE_H
#define GSTK__API_REFUSE_H

/* 0, or -EINVAL with a message when @p lies in a shared window, where others must not point. */
int gstk__refuse_shared_slow(const void *p, const char *what);

#endif
