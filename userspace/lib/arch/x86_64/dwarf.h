/* SPDX-License-Identifier: MIT */
/* Registers as call frame information numbers them: System V psABI, figure 3.36. */
#ifndef GSTK__X86_64_DWARF_H
#define GSTK__X86_64_DWARF_H

#include <stdint.h>
#include <ucontext.h>

enum { GSTK__CFI_BX = 3, GSTK__CFI_BP = 6, GSTK__CFI_SP = 7, GSTK__CFI_PC = 16, GSTK__CFI_REGS = 17 };

/* Those of an interrupted place. */
static inline void gstk__context_regs(const ucontext_t *uc, uint64_t reg[GSTK__CFI_REGS])
{
	static const uint8_t from[GSTK__CFI_REGS] = {
		REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
		REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
	};

	for (int i = 0; i < GSTK__CFI_REGS; i++)
		reg[i] = (uint64_t)uc->uc_mcontext.gregs[from[i]];
}

static inline uintptr_t gstk__context_sp(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
}

/* Did a fault come from a write? 1, 0; -1: unknown. */
static inline int gstk__context_wrote(const ucontext_t *uc)
{
	return uc->uc_mcontext.gregs[REG_ERR] >> 1 & 1;
}

/* A return address as it is kept in memory is the address itself. */
static inline uint64_t gstk__return_address(uint64_t kept)
{
	return kept;
}

#endif
