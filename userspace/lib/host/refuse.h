// SPDX-License-Identifier: MIT
/* What is refused is said on stderr, with what to do instead: -EINVAL alone tells nobody what was wrong. */
#ifndef GSTK__HOST_REFUSE_H
#define GSTK__HOST_REFUSE_H

/* -EINVAL, after a line "greenstk: ..." that ends where @fmt does. Keeps errno. At most some lines of a kind in a process. */
int gstk__refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold, noinline));
/* The same, but returns @err. */
int gstk__refuse_with(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold, noinline));

#endif
