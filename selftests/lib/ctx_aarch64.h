/* SPDX-License-Identifier: MIT */
/* What the tests of the switch do to registers, aarch64. Include "ctx_arch.h", not this. */
#include "arch/aarch64/check.h"

#define CTX_HAS_X87	 0
#define CTX_CAN_STEP	 0
#define CTX_NOP		 4 /* bytes */
#define CTX_SHADOW_STACK "guarded control stack"

/* Garbage in everything that the inlined switch does not keep. */
static inline __attribute__((always_inline)) void ctx_spoil(void)
{
	__asm__ volatile (
		"mov x9, #-3\n\tmov x15, x9\n\tmov x16, x9\n\tmov x17, x9\n\t"
		"mov x20, x9\n\tmov x24, x9\n\tmov x28, x9\n\tmov x30, x9\n\t"
		"fmov d0, x9\n\tfmov d7, x9\n\tfmov d8, x9\n\tfmov d12, x9\n\tfmov d15, x9\n\t"
		"fmov d16, x9\n\tfmov d31, x9"
		: : : "x9", "x15", "x16", "x17", "x20", "x24", "x28", "x30",
		"v0", "v7", "v8", "v12", "v15", "v16", "v31");
}

/* And in what called functions keep: the compiler saves it. */
static inline __attribute__((always_inline)) void ctx_spoil_kept(void)
{
	__asm__ volatile ("mov x19, #-1\n\tmov x20, #-1\n\tmov x21, #-1\n\tmov x22, #-1\n\tmov x23, #-1\n\t"
			  "mov x24, #-1\n\tmov x25, #-1\n\tmov x26, #-1\n\tmov x27, #-1\n\tmov x28, #-1\n\t"
			  "fmov d8, x19\n\tfmov d9, x19\n\tfmov d10, x19\n\tfmov d11, x19\n\t"
			  "fmov d12, x19\n\tfmov d13, x19\n\tfmov d14, x19\n\tfmov d15, x19"
			  : : : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28",
			  "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15");
}

static inline uint32_t modes(void)
{
	uint64_t fpcr;

	__asm__ volatile ("mrs %0, fpcr" : "=r" (fpcr));
	return (uint32_t)fpcr;
}

static inline void set_modes(uint32_t m)
{
	__asm__ volatile ("msr fpcr, %0" : : "r" ((uint64_t)m));
}

/* Rounding, flush to zero, default NaN. */
#define CTX_MODE_FLIPS { 1u << 22, 1u << 23, 3u << 22, 1u << 24, 1u << 25 }

static inline int ctx_rounds_upward(void)
{
	return (modes() >> 22 & 3) == 1;
}

static inline uintptr_t ctx_pc(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.pc;
}

static inline uintptr_t ctx_sp(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.sp;
}

static inline void ctx_step_on(void)
{
}

static inline void ctx_stepping(ucontext_t *uc, int on)
{
}

#ifdef CTX_PATTERNS
/* x19 .. x28 get 0x1111 times 1 .. 10, d8 .. d15 those of x19 .. x26. */
__asm__ (
	".text\n.p2align 4\n"
	".globl switch_with_patterns\n.type switch_with_patterns, %function\n"
	"switch_with_patterns:\n"
	"	stp x29, x30, [sp, #-176]!\n"
	"	stp x19, x20, [sp, #16]\n	stp x21, x22, [sp, #32]\n	stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]\n	stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n	stp d14, d15, [sp, #144]\n"
	"	str x2, [sp, #160]\n"
	"	mov x19, #0x1111 * 1\n"
	"	mov x20, #0x1111 * 2\n"
	"	mov x21, #0x1111 * 3\n"
	"	mov x22, #0x1111 * 4\n"
	"	mov x23, #0x1111 * 5\n"
	"	mov x24, #0x1111 * 6\n"
	"	mov x25, #0x1111 * 7\n"
	"	mov x26, #0x1111 * 8\n"
	"	mov x27, #0x1111 * 9\n"
	"	mov x28, #0x1111 * 10\n"
	"	fmov d8, x19\n"
	"	fmov d9, x20\n"
	"	fmov d10, x21\n"
	"	fmov d11, x22\n"
	"	fmov d12, x23\n"
	"	fmov d13, x24\n"
	"	fmov d14, x25\n"
	"	fmov d15, x26\n"
	"	bl gstk_ctx_switch\n"
	"	ldr x2, [sp, #160]\n	add x2, x2, #1\n	sub x0, x0, x2\n"
	"	mov x2, #0x1111 * 1\n	eor x3, x19, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 2\n	eor x3, x20, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 3\n	eor x3, x21, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 4\n	eor x3, x22, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 5\n	eor x3, x23, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 6\n	eor x3, x24, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 7\n	eor x3, x25, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 8\n	eor x3, x26, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 9\n	eor x3, x27, x2\n	orr x0, x0, x3\n"
	"	mov x2, #0x1111 * 10\n	eor x3, x28, x2\n	orr x0, x0, x3\n"
	"	fmov x2, d8\n	eor x3, x2, x19\n	orr x0, x0, x3\n"
	"	fmov x2, d9\n	eor x3, x2, x20\n	orr x0, x0, x3\n"
	"	fmov x2, d10\n	eor x3, x2, x21\n	orr x0, x0, x3\n"
	"	fmov x2, d11\n	eor x3, x2, x22\n	orr x0, x0, x3\n"
	"	fmov x2, d12\n	eor x3, x2, x23\n	orr x0, x0, x3\n"
	"	fmov x2, d13\n	eor x3, x2, x24\n	orr x0, x0, x3\n"
	"	fmov x2, d14\n	eor x3, x2, x25\n	orr x0, x0, x3\n"
	"	fmov x2, d15\n	eor x3, x2, x26\n	orr x0, x0, x3\n"
	"	ldp d14, d15, [sp, #144]\n	ldp d12, d13, [sp, #128]\n"
	"	ldp d10, d11, [sp, #112]\n	ldp d8, d9, [sp, #96]\n"
	"	ldp x27, x28, [sp, #80]\n	ldp x25, x26, [sp, #64]\n	ldp x23, x24, [sp, #48]\n"
	"	ldp x21, x22, [sp, #32]\n	ldp x19, x20, [sp, #16]\n"
	"	ldp x29, x30, [sp], #176\n"
	"	ret\n"
	".size switch_with_patterns, . - switch_with_patterns\n");
#endif
