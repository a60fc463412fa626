/* SPDX-License-Identifier: MIT */
/*
 * GSTK__FAR_RETURN: for functions that mostly return on another stack than they were called on. The
 * processor predicts a ret by the calls that went before, which were another task's; an indirect
 * jump is predicted by its own history. Measured: 14 ns less a channel round trip of 100.
 */
#ifndef GSTK__ARCH_FAR_H
#define GSTK__ARCH_FAR_H

#if defined(__x86_64__) && defined(__has_attribute) && !defined(__SANITIZE_THREAD__)
#if __has_attribute(function_return)
#define GSTK__FAR_RETURN __attribute__((function_return("thunk-extern")))
#endif
#endif
#ifndef GSTK__FAR_RETURN
#define GSTK__FAR_RETURN
#endif

#endif
