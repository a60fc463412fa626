// SPDX-License-Identifier: MIT
#ifndef GSTK__DEBUG_BACKTRACE_H
#define GSTK__DEBUG_BACKTRACE_H

#include "debug/cfi.h"
#include "debug/out.h"
#include "debug/symbol.h"

/* One line a frame, innermost first: the first @head, the last @tail (at most 16). Signal-safe. */
void gstk__backtrace(struct gstk__out *o, struct gstk__symbols *symbols, const struct gstk__cfi *from,
		     const struct gstk__cfi_stack *stack, unsigned int head, unsigned int tail);

/* Where a signal interrupted its thread; @context is the handler's ucontext_t. */
void gstk__cfi_interrupted(struct gstk__cfi *f, const void *context);

#endif
