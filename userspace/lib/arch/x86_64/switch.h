/* SPDX-License-Identifier: MIT */
/*
 * The inlined switch, x86-64. Include "arch/arch.h", not this.
 *
 * Facts to hold in mind:
 * - It jumps, and tells the compiler that every register but rbp, rbx and rsp is lost; the compiler
 *   saves what it really needs. A ret into the target would be mispredicted: 12 ns instead of 1.5.
 * - rbp cannot be clobbered where it is the frame pointer, nor rbx where clang keeps a base pointer
 *   in it, so these two are in the frame.
 * - It pushes, so the enclosing function must not use its red zone. GSTK__NO_RED_ZONE shows the
 *   compiler a call on a path that is never taken; only leaf functions use the red zone.
 * - Pushing in a function whose CFA hangs on rsp would break backtraces from signal handlers and
 *   debuggers in there, so the frame pointer is forced (by asking for its value).
 * - The frame is popped before the last jump, and a signal may then overwrite it: so all of
 *   it is in registers by then. CFI of that one instruction describes the target.
 * - The int3 gives the resume address a predecessor with the ordinary CFI: unwinders look up
 *   pc - 1. It also stops straight-line speculation.
 */
#ifndef GSTK__X86_64_SWITCH_H
#define GSTK__X86_64_SWITCH_H

#include <stdlib.h>
#include <string.h>

#include "layout.h"

#if defined(__CET__) && (__CET__ & 1)
#define GSTK__LANDING "endbr64\n\t"
#else
#define GSTK__LANDING
#endif

#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#define GSTK__CFI(x) x "\n\t"
#else
#define GSTK__CFI(x)
#endif

/* In: target_sp in rsi. rcx, rdx: scratch. The word stays in rax. */
#define GSTK__ASM_LEAVE							\
	"movq 0(%%rsi), %%rcx\n\t"					\
	"movq 8(%%rsi), %%rdx\n\t"					\
	"movq 16(%%rsi), %%rbx\n\t"					\
	"leaq 24(%%rsi), %%rsp\n\t"					\
	"movq %%rdx, %%rbp\n\t"						\
	GSTK__CFI(".cfi_remember_state")				\
	GSTK__CFI(".cfi_def_cfa %%rsp, 0")				\
	GSTK__CFI(".cfi_register %%rip, %%rcx")				\
	GSTK__CFI(".cfi_same_value %%rbp")				\
	GSTK__CFI(".cfi_same_value %%rbx")				\
	GSTK__CFI(".cfi_undefined %%r12")				\
	GSTK__CFI(".cfi_undefined %%r13")				\
	GSTK__CFI(".cfi_undefined %%r14")				\
	GSTK__CFI(".cfi_undefined %%r15")				\
	"jmpq *%%rcx\n\t"						\
	GSTK__CFI(".cfi_restore_state")

/* Push the frame, publish sp through rdi. */
#define GSTK__ASM_SAVE							\
	"leaq 2f(%%rip), %%rcx\n\t"					\
	"pushq %%rbx\n\t"						\
	"pushq %%rbp\n\t"						\
	"pushq %%rcx\n\t"						\
	"movq %%rsp, (%%rdi)\n\t"

#define GSTK__ASM_RESUME						\
	"int3\n"							\
	"2:\n\t"							\
	GSTK__LANDING

#ifdef __AVX512F__
#define GSTK__CLOBBER_AVX512						\
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", \
	"xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", \
	"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define GSTK__CLOBBER_AVX512
#endif
#ifdef __APX_F__
#define GSTK__CLOBBER_APX						\
	, "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23",	\
	"r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31"
#else
#define GSTK__CLOBBER_APX
#endif
#define GSTK__CLOBBER							\
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",		\
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",	\
	"xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", \
	"st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", \
	"memory", "cc" GSTK__CLOBBER_AVX512 GSTK__CLOBBER_APX

/*
 * No code: an edge in the control flow graph that the processor never takes. Needs a label
 * gstk__cold in the function, with a call after it.
 */
#define GSTK__NO_RED_ZONE() __asm__ goto ("" : : : : gstk__cold)

#ifdef __cplusplus
extern "C" {
#endif

/* x86_64/start.S; never called from C. */
void gstk__stack_start(void);
void gstk__ontop_start(void);

/* Suspend into *save_sp, go on at target_sp; returns the word given by who switches back. */
static inline __attribute__((always_inline)) uintptr_t
gstk__switch(void **save_sp, void *target_sp, uintptr_t word)
{
	uintptr_t rcx, rdx;

	GSTK__NO_RED_ZONE();
	__asm__ volatile (
		GSTK__ASM_SAVE
		GSTK__ASM_LEAVE
		GSTK__ASM_RESUME
		: "+a" (word), "+D" (save_sp), "+S" (target_sp), "=&c" (rcx), "=&d" (rdx)
		: "X" (__builtin_frame_address(0))
		: GSTK__CLOBBER);
	return word;
gstk__cold:
	abort();
}

/* Leave the current stack for good. Its owner may reuse it as soon as the target runs. */
static inline __attribute__((always_inline, noreturn)) void
gstk__switch_final(void *target_sp, uintptr_t word)
{
	__asm__ volatile (
		GSTK__ASM_LEAVE
		"int3\n\t"
		: "+S" (target_sp)
		: "a" (word), "X" (__builtin_frame_address(0))
		: "memory", "rcx", "rdx");
	__builtin_unreachable();
}

/* As gstk__switch, but first fn(arg) runs on the target's stack; the target's word is arg. */
static inline __attribute__((always_inline)) uintptr_t
gstk__switch_ontop(void **save_sp, void *target_sp, void (*fn)(void *), void *arg)
{
	uintptr_t word = (uintptr_t)arg, rcx;

	GSTK__NO_RED_ZONE();
	__asm__ volatile (
		GSTK__ASM_SAVE
		"jmp gstk__ontop_start\n\t"
		GSTK__ASM_RESUME
		: "+a" (word), "+D" (save_sp), "+S" (target_sp), "+d" (fn), "=&c" (rcx)
		: "X" (__builtin_frame_address(0))
		: GSTK__CLOBBER);
	return word;
gstk__cold:
	abort();
}

/*
 * Lay out a fresh stack that ends at base (exclusive; rounded down to 16). Returns its sp. The
 * first switch to it calls entry(word), with rbp = 0 and nothing above it for unwinders.
 */
static inline void *
gstk__stack_prepare(void *base, void (*entry)(uintptr_t word))
{
	struct gstk__frame *frame = (struct gstk__frame *)((uintptr_t)base & ~(uintptr_t)15) - 1;

	frame->pc = (uintptr_t)gstk__stack_start;
	frame->bp = 0;
	frame->bx = (uintptr_t)entry;
	return frame;
}

/*
 * What CFI needs to unwind a suspended context whose frame's bytes are at `bytes` and belong at
 * the address `sp` (the same for a resident stack; an image elsewhere for an evicted one).
 * Callee-saved registers not in regs were spilled by the frames above, as their CFI says.
 */
static inline void
gstk__frame_regs(const void *bytes, uintptr_t sp, struct gstk__regs *regs)
{
	struct gstk__frame frame;

	memcpy(&frame, bytes, sizeof(frame));
	regs->pc = frame.pc;
	regs->fp = frame.bp;
	regs->bx = frame.bx;
	regs->sp = sp + GSTK__FRAME_SIZE;
}

static inline void
gstk__fp_save(struct gstk__fp *fp)
{
	uint16_t x87;

	__asm__ volatile ("stmxcsr %0" : "=m" (fp->control));
	__asm__ volatile ("fnstcw %0" : "=m" (x87));
	fp->x87 = x87;
}

/* Control bits only: differing sticky flags would make ldmxcsr cost 35 to 65 ns for nothing. */
static inline void
gstk__fp_restore(const struct gstk__fp *fp)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile ("stmxcsr %0" : "=m" (mxcsr));
	__asm__ volatile ("fnstcw %0" : "=m" (x87));
	if ((mxcsr ^ fp->control) & GSTK__MXCSR_CONTROL) {
		mxcsr = (mxcsr & ~(uint32_t)GSTK__MXCSR_CONTROL) |
			(fp->control & GSTK__MXCSR_CONTROL);
		__asm__ volatile ("ldmxcsr %0" : : "m" (mxcsr));
	}
	if (x87 != fp->x87) {
		x87 = (uint16_t)fp->x87;
		__asm__ volatile ("fldcw %0" : : "m" (x87));
	}
}

#ifdef __cplusplus
}
#endif

#endif
