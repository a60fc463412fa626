/* SPDX-License-Identifier: MIT */
/*
 * The inlined switch, x86-64. Include <greenstk/ctx.h>, not this; names in gstk__ are not API.
 *
 * The frame of a suspended context. sp points to it, whatever suspended the context:
 *
 *      base  --> +--------------------------+
 *                | the calls of the context |
 *                +--------------------------+ <- rsp when it goes on
 *      sp + 16   | rbx                      |
 *      sp + 8    | rbp                      |
 *      sp        | address to go on at      |
 *                +--------------------------+
 *
 * Who switches in loads all three and sets rsp before it jumps, so at the resume address every
 * register that CFI needs is right and no instruction there repairs anything. All other registers
 * are declared clobbered by inlined sites and saved above the frame by called ones.
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
 * - When the frame is popped all of it is in registers. (The 128 bytes below rsp are safe from
 *   signals, so this is tidiness here.) CFI of the two instructions left describes the target, whose stack rsp is on
 *   by then; rdx keeps what rbp gets.
 * - The int3 gives the resume address a predecessor with the ordinary CFI: unwinders look up
 *   pc - 1. It also stops straight-line speculation.
 */
#ifndef GREENSTK_CTX_X86_64_H
#define GREENSTK_CTX_X86_64_H

#include <stdint.h>
#include <stdlib.h>

struct gstk__frame {
	uintptr_t pc;
	uintptr_t bp;
	uintptr_t bx;
};

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
	GSTK__CFI(".cfi_remember_state")				\
	GSTK__CFI(".cfi_def_cfa %%rsp, 0")				\
	GSTK__CFI(".cfi_register %%rip, %%rcx")				\
	GSTK__CFI(".cfi_register %%rbp, %%rdx")				\
	GSTK__CFI(".cfi_same_value %%rbx")				\
	GSTK__CFI(".cfi_undefined %%r12")				\
	GSTK__CFI(".cfi_undefined %%r13")				\
	GSTK__CFI(".cfi_undefined %%r14")				\
	GSTK__CFI(".cfi_undefined %%r15")				\
	"movq %%rdx, %%rbp\n\t"						\
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

#endif
