/* SPDX-License-Identifier: MIT */
/* Registers as call frame information numbers them: DWARF for the Arm 64-bit Architecture, 4.1. */
#ifndef GSTK__AARCH64_DWARF_H
#define GSTK__AARCH64_DWARF_H

#include <stdint.h>
#include <ucontext.h>

enum { GSTK__CFI_BX = 19, GSTK__CFI_BP = 29, GSTK__CFI_SP = 31, GSTK__CFI_PC = 32, GSTK__CFI_REGS = 33 };

/* Those of an interrupted place. */
static inline void gstk__context_regs(const ucontext_t *uc, uint64_t reg[GSTK__CFI_REGS])
{
	for (int i = 0; i < 31; i++)
		reg[i] = uc->uc_mcontext.regs[i];
	reg[GSTK__CFI_SP] = uc->uc_mcontext.sp;
	reg[GSTK__CFI_PC] = uc->uc_mcontext.pc;
}

static inline uintptr_t gstk__context_sp(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.sp;
}

/* Did a fault come from a write? 1, 0; -1: unknown. */
static inline int gstk__context_wrote(const ucontext_t *uc)
{
	return -1;
}

/* The kernel's return from a signal handler has no call frame information: it is known by its two
 * instructions (mov x8, #139; svc #0). What it returns to is in the frame that sp points to. */
#define GSTK__SIGRETURN_CODE { 0xd2801168u, 0xd4000001u }
#define GSTK__SIGRETURN_CONTEXT 128 /* sp + this: the ucontext_t; before it a siginfo_t */

/* A signed return address without its signature: xpaclri, a nop where there are none. */
static inline uint64_t gstk__return_address(uint64_t kept)
{
	register uint64_t x30 __asm__("x30") = kept;

	__asm__ ("hint #7" : "+r" (x30));
	return x30;
}

#endif
