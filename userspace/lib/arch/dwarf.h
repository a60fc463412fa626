/* SPDX-License-Identifier: MIT */
/*
 * What unwinding needs to know of a CPU; the contract is what both files define: the numbers of the
 * registers that a suspended frame holds (struct gstk__regs), of pc, and how many there are; and
 * GSTK__SIGRETURN_... where the return from a signal handler is known by its code only.
 */
#ifndef GSTK__ARCH_DWARF_H
#define GSTK__ARCH_DWARF_H

#if defined(__x86_64__)
#include "x86_64/dwarf.h"
#elif defined(__aarch64__)
#include "aarch64/dwarf.h"
#else
#error "no register numbers for this CPU: see arch/arch.h"
#endif

#endif
