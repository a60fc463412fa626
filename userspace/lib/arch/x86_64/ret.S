/* SPDX-License-Identifier: MIT */
/*
 * How functions return that come back on another stack than they were called on (arch.h,
 * GSTK__FAR_RETURN): the processor's return stack is of no use then, a ret would be mispredicted.
 *
 *	jump to the popped return address
 */
	.text
	.globl	__x86_return_thunk
	.hidden	__x86_return_thunk
	.type	__x86_return_thunk, @function
	.p2align 4
__x86_return_thunk:
	.cfi_startproc
	popq	%rcx
	.cfi_def_cfa_offset 0
	.cfi_register %rip, %rcx
	notrack jmpq *%rcx
	.cfi_endproc
	.size	__x86_return_thunk, .-__x86_return_thunk

#include "note.inc"
