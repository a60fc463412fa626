/* SPDX-License-Identifier: MIT */
/*
 * A call on another stack (arch.h): to its caller an ordinary one, for unwinders and exceptions too, since
 * the CFA hangs on rbp, which does not mind where rsp is.
 *
 * call_on(base = rdi, fn = rsi, arg = rdx, save_sp = rcx, sp = r8)
 *	save rbp, rbx
 *	frame(pc = resume, rbx = sp), *save_sp = rsp
 *	rsp = base
 *	fn(arg)
 *	rsp = rbp, restore, return
 *
 * resume:                      from any switch to that frame: rax = word, rbx = sp
 *	switch on to *sp with the same word
 *
 * The frame stays where it is, and serves each time that its context is switched to: between the pop and
 * the next switch it lies in the red zone.
 */
#include "layout.h"

	.text

	.p2align 4
	.globl	gstk__call_on
	.hidden	gstk__call_on
	.type	gstk__call_on, @function
gstk__call_on:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	pushq	%rbx
	.cfi_offset %rbx, -24
	leaq	gstk__annex_resume(%rip), %rax
	pushq	%r8
	pushq	%rbp
	pushq	%rax
	movq	%rsp, (%rcx)
	movq	%rdi, %rsp
	movq	%rdx, %rdi
	callq	*%rsi
	movq	-8(%rbp), %rbx
	.cfi_restore %rbx
	leaveq
	.cfi_def_cfa %rsp, 8
	.cfi_restore %rbp
	retq
	.cfi_endproc
	.size	gstk__call_on, . - gstk__call_on

	.p2align 4
	.cfi_startproc
	.cfi_def_cfa %rbp, 16
	.cfi_offset %rip, -8
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.type	gstk__annex_suspended, @function
gstk__annex_suspended:
	nop
	.size	gstk__annex_suspended, 1
	.type	gstk__annex_resume, @function
gstk__annex_resume:
	endbr64
	movq	(%rbx), %rsi
	movq	GSTK__FRAME_PC(%rsi), %rcx
	movq	GSTK__FRAME_BP(%rsi), %rdx
	movq	GSTK__FRAME_BX(%rsi), %rbx
	leaq	GSTK__FRAME_SIZE(%rsi), %rsp
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rcx
	.cfi_register %rbp, %rdx
	.cfi_same_value %rbx
	movq	%rdx, %rbp
	jmpq	*%rcx
	int3
	.cfi_endproc
	.size	gstk__annex_resume, . - gstk__annex_resume

#include "note.inc"
