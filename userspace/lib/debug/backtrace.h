// SPDX-License-Identifier: MIT
#ifndef GSTK__DEBUG_BACKTRACE_H
#define GSTK__DEBUG_BACKTRACE_H

#include "debug/cfi.h"
#include "debug/out.h"
#include "debug/symbol.h"

/* One line a frame, innermost first: the first @head, the last @tail (at most 16). Signal-safe. */
void gstk__backtrace(struct gstk__out *o, struct gstk__symbols *symbols, const struct gstk__cfi *from,
		     const struct gstk__cfi_stack *stack, unsigned int head, unsigned int tail);

/* The same of return addresses that were taken before. */
void gstk__backtrace_pcs(struct gstk__out *o, struct gstk__symbols *symbols, const uintptr_t *pc, unsigned int nr);
/* @what and the name of an address; @call: it is the return address of a call. */
void gstk__print_place(struct gstk__out *o, struct gstk__symbols *symbols, const char *what, const void *at, bool call);

/* Where a signal interrupted its thread; @context is the handler's ucontext_t. */
void gstk__cfi_interrupted(struct gstk__cfi *f, const void *context);
/* Where a task parked: its innermost bytes are at @frame, and belong at @sp. */
void gstk__cfi_parked(struct gstk__cfi *f, const char *frame, uintptr_t sp);

#endif
