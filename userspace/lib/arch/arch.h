/* SPDX-License-Identifier: MIT */
/*
 * arch: what a CPU must offer. The contract; arch/<cpu>/ fulfils it.
 *
 * A context that does not run is one pointer, sp, to a *frame* on its own stack. Everything from
 * sp up to the base is live, nothing below it is. The frame says where to go on (layout.h), and
 * it is the same for every form of the switch, so any form may resume what any other suspended.
 *
 *   gstk__switch(&from_sp, to_sp, word)          inlined; returns the word of who switches back
 *   gstk__switch_final(to_sp, word)              inlined; the current stack is never resumed
 *   gstk__switch_ontop(&from_sp, to_sp, fn, arg) fn(arg) runs on the target's stack, after the
 *                                                current one is left and before the target goes
 *                                                on; the target's word is arg
 *   gstk__switch_then(&from_sp, to_sp, word, end, arg, n, err)
 *                                                called, as the last thing that a function does: when the context
 *                                                goes on, gstk__then_back(word, kept) runs, and its result is the
 *                                                function's. While it is suspended its stack holds that and what
 *                                                its caller must find again. Only with GSTK__HAVE_SWITCH_THEN
 *   gstk__stack_prepare(base, begin)             a frame on a fresh stack. The first switch to it calls begin(word, false);
 *                                                the function that this returns is called with nothing above it on
 *                                                the stack, and what begin(its result, true) returns is the last,
 *                                                which must not return. By the CPU: gstk__task_start
 *   gstk__call_on(base, fn, arg, &save_sp, &sp)  calls fn(arg) on the stack that ends at base (of 16
 *                                                bytes). Meanwhile save_sp is a frame of the calling
 *                                                stack, to which any form may switch as often as it
 *                                                wants: that goes on at sp, with the same word
 *   gstk__frame_regs(bytes, sp, &regs)           what an unwinder has to know to start at a frame
 *   gstk__fp_save(&fp), gstk__fp_restore(&fp)    FP control words, for tasks that changed them
 *   gstk__arch_check()                           0, or -errno when the process may not switch
 *
 * What the inlined form does not keep: FP control words (gstk__fp_*), the signal mask, the alternate
 * signal stack. A task may go on in another thread than it left, so nobody may hold the address
 * of a thread-local variable across a switch; compilers do, inside one function, hence such a
 * variable is read through a noinline function after a switch.
 *
 * The saving side stores *save_sp before it leaves its stack: who may see that store and resume
 * the stack at once (another thread) must be told only after the switch, i.e. by code on the
 * target or by switch_ontop.
 */
#ifndef GSTK__ARCH_H
#define GSTK__ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Registers of a suspended context, at its resume address, for unwinding by CFI. */
struct gstk__regs {
	uintptr_t pc;
	uintptr_t sp;           /* as if the frame were popped */
	uintptr_t fp;           /* rbp, x29: the CFA of inlined sites hangs on it */
	uintptr_t bx;           /* x86-64: rbx; aarch64: x19 */
};

/* What a fresh stack is for: void *fn(void *arg), or the end of it, which is jumped to. */
struct gstk__begin {
	uintptr_t fn;
	void *arg;
};

/* What stays with a context that was left by gstk__switch_then(). */
struct gstk__kept {
	void *arg;
	uint32_t n;
	int32_t err;
	void (*end)(void); /* for gstk__then_back() */
};

/* Set once, by who uses gstk__switch_then(). */
extern int (*gstk__then_back)(uintptr_t word, const struct gstk__kept *kept);

/* FP modes of a context: rounding, masks, flush to zero. Not the sticky flags. */
struct gstk__fp {
	uint32_t control;       /* mxcsr, fpcr */
	uint32_t x87;           /* x87 control word; elsewhere 0 */
};

/*
 * May this thread switch stacks? 0, or -ENOTSUP when the kernel runs it on a shadow stack that
 * would kill the process at the first return after a switch; then *why (if why is not NULL) is a
 * static sentence that says what to do. Call it once per thread that will switch.
 */
int gstk__arch_check(const char **why);

/* <cpu>/annex.S */
void gstk__call_on(void *base, void (*fn)(void *), void *arg, void **save_sp, void **sp);

#ifdef __cplusplus
}
#endif

#if defined(__x86_64__) && defined(__LP64__)
#include "x86_64/switch.h"
#elif defined(__aarch64__) && defined(__LP64__) && defined(__AARCH64EL__)
#include "aarch64/switch.h"
#else
#error "no context switch for this CPU: see arch/arch.h"
#endif

/* A stack that ends at base (exclusive; rounded down to 16), with nothing above it for unwinders. Returns its sp. */
static inline void *gstk__stack_prepare(void *base, struct gstk__begin (*begin)(uintptr_t word, bool ended))
{
	struct gstk__frame *frame = (struct gstk__frame *)((uintptr_t)base & ~(uintptr_t)15) - 1;

	frame->pc = (uintptr_t)gstk__task_start;
	frame->bp = 0;
	frame->bx = (uintptr_t)begin;
	return frame;
}

#endif
