// SPDX-License-Identifier: MIT
#ifndef GSTK__API_OWNED_H
#define GSTK__API_OWNED_H

/* -EINVAL, with a line on stderr: @call is for tasks only. */
int gstk__outside(const char *call);

#endif
