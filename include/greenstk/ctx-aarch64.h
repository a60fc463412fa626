/* SPDX-License-Identifier: MIT */
/*
 * The inlined switch, aarch64. Include <greenstk/ctx.h>, not this; names in gstk__ are not API.
 *
 * The frame of a suspended context. sp points to it, whatever suspended the context:
 *
 *      base  --> +--------------------------+
 *                | the calls of the context |
 *                +--------------------------+ <- sp when it goes on, a multiple of 16
 *      sp + 24   | nothing: alignment       |
 *      sp + 16   | x19                      |
 *      sp + 8    | x29                      |
 *      sp        | address to go on at      |
 *                +--------------------------+
 *
 * As on x86-64 (ctx-x86_64.h): who switches in loads all of it and sets sp before it jumps, so that
 * nothing has to be repaired at the resume address; other registers are declared clobbered by inlined
 * sites and saved above the frame by called ones.
 *
 * Facts to hold in mind:
 * - x29 cannot be clobbered where it is the frame pointer, nor x19 where clang keeps a base pointer
 *   in it, so these two are in the frame.
 * - The CFA is made to hang on x29 (by asking for its value), for the frame moves sp.
 * - There is no red zone: below sp a signal may write at once. So sp moves with the first store, and
 *   the frame is popped only when it is in registers.
 * - The jump goes through x16: where branch targets are checked it may land on any "bti j" or "bti c".
 * - The brk gives the resume address a predecessor with the ordinary CFI: unwinders look up pc - 1.
 */
#ifndef GREENSTK_CTX_AARCH64_H
#define GREENSTK_CTX_AARCH64_H

#include <stdint.h>
#include <stdlib.h>

struct gstk__frame {
	uintptr_t pc;
	uintptr_t bp;
	uintptr_t bx;
	uintptr_t unused;
};

#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#define GSTK__CFI(x) x "\n\t"
#else
#define GSTK__CFI(x)
#endif

/* In: target_sp in x2. x16, x17: scratch. The word stays in x0. */
#define GSTK__ASM_LEAVE							\
	"ldp x16, x17, [x2]\n\t"					\
	"ldr x19, [x2, #16]\n\t"					\
	"add sp, x2, #32\n\t"						\
	GSTK__CFI(".cfi_remember_state")				\
	GSTK__CFI(".cfi_def_cfa sp, 0")					\
	GSTK__CFI(".cfi_register x30, x16")				\
	GSTK__CFI(".cfi_register x29, x17")				\
	GSTK__CFI(".cfi_same_value x19")				\
	GSTK__CFI(".cfi_undefined x20")					\
	GSTK__CFI(".cfi_undefined x21")					\
	GSTK__CFI(".cfi_undefined x22")					\
	GSTK__CFI(".cfi_undefined x23")					\
	GSTK__CFI(".cfi_undefined x24")					\
	GSTK__CFI(".cfi_undefined x25")					\
	GSTK__CFI(".cfi_undefined x26")					\
	GSTK__CFI(".cfi_undefined x27")					\
	GSTK__CFI(".cfi_undefined x28")					\
	"mov x29, x17\n\t"						\
	"br x16\n\t"							\
	GSTK__CFI(".cfi_restore_state")

/* Push the frame, publish sp through x1. */
#define GSTK__ASM_SAVE							\
	"adr x16, 2f\n\t"						\
	"stp x16, x29, [sp, #-32]!\n\t"					\
	"str x19, [sp, #16]\n\t"					\
	"mov x17, sp\n\t"						\
	"str x17, [x1]\n\t"

/* hint #36 is "bti j", a nop where that is not known. */
#define GSTK__ASM_RESUME						\
	"brk #1\n"							\
	"2:\n\t"							\
	"hint #36\n\t"

#ifdef __ARM_FEATURE_SVE
#define GSTK__CLOBBER_SVE						\
	, "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", \
	"p12", "p13", "p14", "p15", "ffr"
#else
#define GSTK__CLOBBER_SVE
#endif
#define GSTK__CLOBBER_BUT_X3						\
	"x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", \
	"x16", "x17", "x18", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", \
	"v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
	"v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", \
	"v27", "v28", "v29", "v30", "v31", "memory", "cc" GSTK__CLOBBER_SVE
#define GSTK__CLOBBER "x3", GSTK__CLOBBER_BUT_X3

/* Suspend into *save_sp, go on at target_sp; returns the word given by who switches back. */
static inline __attribute__((always_inline)) uintptr_t
gstk__switch(void **save_sp, void *target_sp, uintptr_t word)
{
	register uintptr_t x0 __asm__("x0") = word;
	register void **x1 __asm__("x1") = save_sp;
	register void *x2 __asm__("x2") = target_sp;

	__asm__ volatile (
		GSTK__ASM_SAVE
		GSTK__ASM_LEAVE
		GSTK__ASM_RESUME
		: "+r" (x0), "+r" (x1), "+r" (x2)
		: "X" (__builtin_frame_address(0))
		: GSTK__CLOBBER);
	return x0;
}

/* Leave the current stack for good. Its owner may reuse it as soon as the target runs. */
static inline __attribute__((always_inline, noreturn)) void
gstk__switch_final(void *target_sp, uintptr_t word)
{
	register uintptr_t x0 __asm__("x0") = word;
	register void *x2 __asm__("x2") = target_sp;

	__asm__ volatile (
		GSTK__ASM_LEAVE
		"brk #1\n\t"
		: "+r" (x2)
		: "r" (x0), "X" (__builtin_frame_address(0))
		: "memory", "x16", "x17");
	__builtin_unreachable();
}

#endif
