// SPDX-License-Identifier: MIT
/*
 * One step up a stack by call frame information (DWARF 5, section 6.4; .eh_frame as in the Linux
 * Standard Base), over bytes that may lie elsewhere than they belong.
 *
 * Own code rather than libunwind: it reads nothing but the bytes it is given and the tables of
 * loaded objects, takes no lock and no memory, so that the overflow report may run it in a signal
 * handler; and linking libunwind puts its _Unwind_* before those that C++ exceptions use.
 * selftests/lib/cfi_test.c compares it with libunwind frame by frame.
 */
#ifndef GSTK__DEBUG_CFI_H
#define GSTK__DEBUG_CFI_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/dwarf.h"

/* Registers of a frame, by DWARF number. */
struct gstk__cfi {
	uint64_t reg[GSTK__CFI_REGS];
	uint64_t known; /* bit i: reg[i] is known */
	bool exact;	/* pc is where it stopped, not a return address */
};

/* The stack: bytes of [from, to) are found at @bytes. @outer: the one on which the call of this one stands,
 * or NULL. */
struct gstk__cfi_stack {
	uintptr_t from, to;
	const char *bytes;
	const struct gstk__cfi_stack *outer;
};

/* Registers that an epilogue has popped already are, by the tables, where they were: at most so far below sp. */
#define GSTK__CFI_POPPED 128u

/* To the caller of @f. 1; 0 when this was the outermost frame; -1 when there is no (usable) CFI. */
int gstk__cfi_step(struct gstk__cfi *f, const struct gstk__cfi_stack *stack);

#endif
