/* SPDX-License-Identifier: MIT */
/* What the tests of the switch do to registers, x86-64. Include "ctx_arch.h", not this. */
#include "arch/x86_64/check.h"

#define CTX_HAS_X87	 1
#define CTX_CAN_STEP	 1
#define CTX_NOP		 1 /* bytes */
#define CTX_SHADOW_STACK "shadow stack"

/* Garbage in everything that the inlined switch does not keep. */
static inline __attribute__((always_inline)) void ctx_spoil(void)
{
	__asm__ volatile (
		"movq $-3, %%rcx\n\tmovq %%rcx, %%r12\n\tmovq %%rcx, %%r13\n\t"
		"movq %%rcx, %%r14\n\tmovq %%rcx, %%r15\n\tmovq %%rcx, %%r8\n\t"
		"movq %%rcx, %%r11\n\tmovq %%rcx, %%xmm0\n\tmovq %%rcx, %%xmm6\n\t"
		"movq %%rcx, %%xmm7\n\tmovq %%rcx, %%xmm8\n\tmovq %%rcx, %%xmm15\n\t"
		: : : "rcx", "r12", "r13", "r14", "r15", "r8", "r11",
		"xmm0", "xmm6", "xmm7", "xmm8", "xmm15");
	/* All of the x87 stack: what is still there overflows. */
	__asm__ volatile (
		"fldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz\n\t"
		"fstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\t"
		"fstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)"
		: : : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
}

/* And in what called functions keep: the compiler saves it. */
static inline __attribute__((always_inline)) void ctx_spoil_kept(void)
{
	__asm__ volatile ("movq $-1, %%rbx\n\tmovq $-1, %%r12\n\tmovq $-1, %%r13\n\t"
			  "movq $-1, %%r14\n\tmovq $-1, %%r15"
			  : : : "rbx", "r12", "r13", "r14", "r15");
}

/* Each unit by itself: fegetround() looks at one of them only. */
static inline uint32_t modes(void)
{
	uint32_t mxcsr = __builtin_ia32_stmxcsr() & 0xffc0;
	uint16_t x87;

	__asm__ volatile ("fnstcw %0" : "=m" (x87));
	return mxcsr | (uint32_t)x87 << 16;
}

static inline void set_modes(uint32_t m)
{
	uint16_t x87 = (uint16_t)(m >> 16);

	__builtin_ia32_ldmxcsr(m & 0xffc0);
	__asm__ volatile ("fldcw %0" : : "m" (x87));
}

/* SSE: flush to zero, rounding, one mask. x87: precision, rounding. */
#define CTX_MODE_FLIPS { 0x8000, 0x2000, 0x6000, 0x0040, 0x1000,	\
			 0x02000000, 0x04000000, 0x0c000000, 0x02008000 }

static inline int ctx_rounds_upward(void)
{
	return (__builtin_ia32_stmxcsr() & 0x6000) == 0x4000;
}

static inline uintptr_t ctx_pc(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
}

static inline uintptr_t ctx_sp(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
}

/* A trap after each instruction, from the next one on. */
static inline __attribute__((always_inline)) void ctx_step_on(void)
{
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | 0x100);
}

static inline void ctx_stepping(ucontext_t *uc, int on)
{
	uc->uc_mcontext.gregs[REG_EFL] = (uc->uc_mcontext.gregs[REG_EFL] & ~0x100) | (on ? 0x100 : 0);
}

#ifdef CTX_PATTERNS
__asm__ (
	".text\n.p2align 4\n"
	".globl switch_with_patterns\n.type switch_with_patterns, @function\n"
	"switch_with_patterns:\n"
	"	endbr64\n"
	"	pushq %rbx\n	pushq %rbp\n	pushq %r12\n	pushq %r13\n"
	"	pushq %r14\n	pushq %r15\n	pushq %rdx\n"
	"	movq $0x1111, %rbx\n	movq $0x2222, %rbp\n	movq $0x3333, %r12\n"
	"	movq $0x4444, %r13\n	movq $0x5555, %r14\n	movq $0x6666, %r15\n"
	"	call gstk_ctx_switch\n"
	"	popq %rdx\n"
	"	leaq 1(%rdx), %rdx\n	subq %rdx, %rax\n"
	"	xorq $0x1111, %rbx\n	orq %rbx, %rax\n"
	"	xorq $0x2222, %rbp\n	orq %rbp, %rax\n"
	"	xorq $0x3333, %r12\n	orq %r12, %rax\n"
	"	xorq $0x4444, %r13\n	orq %r13, %rax\n"
	"	xorq $0x5555, %r14\n	orq %r14, %rax\n"
	"	xorq $0x6666, %r15\n	orq %r15, %rax\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n"
	"	popq %rbp\n	popq %rbx\n"
	"	ret\n"
	".size switch_with_patterns, . - switch_with_patterns\n");
#endif
