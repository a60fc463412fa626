/* SPDX-License-Identifier: MIT */
/*
 * Where a fresh stack begins, and where a callback is run on top of a suspended one.
 */
#include "layout.h"

	.text

/*
 * task_start:                  from any switch: rax = word, rbx = begin, rbp = 0, rsp = base
 *	fn, arg = begin(word, 0)
 *	result = fn(arg)        with no more than its return address on the stack
 *	end, arg = begin(result, 1)
 *	end(arg)
 *	die
 *
 * fn is called, for most return. The end is entered by push and jump: it never returns, so that the CPU's return predictor
 * would never see its call matched, and every return of whoever runs next would be mispredicted. rbx is fn's to restore.
 * The nop gives task_start a predecessor inside this FDE, with a name: unwinders look up pc - 1.
 */
	.p2align 4
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_undefined %rbp
	.type	gstk__task_fresh, @function
gstk__task_fresh:
	nop
	.size	gstk__task_fresh, 1
	.globl	gstk__task_start
	.hidden	gstk__task_start
	.type	gstk__task_start, @function
gstk__task_start:
	endbr64
	movq	%rax, %rdi
	xorl	%esi, %esi
	callq	*%rbx
	movq	%rdx, %rdi
	callq	*%rax
	movq	%rax, %rdi
	movl	$1, %esi
	callq	*%rbx
	movq	%rdx, %rdi
	leaq	1f(%rip), %rcx
	pushq	%rcx
	jmpq	*%rax
1:	ud2
	.cfi_endproc
	.size	gstk__task_start, . - gstk__task_start

/*
 * ontop_start:                 rsi = target sp, rdx = fn, rax = arg; the left stack is saved
 *	rsp = target sp         the frame stays where it is, below it fn runs
 *	fn(arg)
 *	pop the frame, go on there with the word arg
 */
	.p2align 4
	.globl	gstk__ontop_start
	.hidden	gstk__ontop_start
	.type	gstk__ontop_start, @function
gstk__ontop_start:
	.cfi_startproc
	/* Of the stack that was left, then of the target: rsp is at the frame of either. */
	.cfi_def_cfa %rsp, GSTK__FRAME_SIZE
	.cfi_offset %rip, GSTK__FRAME_PC - GSTK__FRAME_SIZE
	.cfi_offset %rbp, GSTK__FRAME_BP - GSTK__FRAME_SIZE
	.cfi_offset %rbx, GSTK__FRAME_BX - GSTK__FRAME_SIZE
	.cfi_undefined %r12
	.cfi_undefined %r13
	.cfi_undefined %r14
	.cfi_undefined %r15
	movq	%rsi, %rsp
	movq	%rsi, %rbx
	.cfi_def_cfa_register %rbx
	movq	%rax, %r12
	movq	%rax, %rdi
	movq	GSTK__FRAME_BP(%rbx), %rbp      /* for those who walk frame pointers */
	andq	$-16, %rsp
	callq	*%rdx
	movq	%r12, %rax
	movq	GSTK__FRAME_PC(%rbx), %rcx
	leaq	GSTK__FRAME_SIZE(%rbx), %rdx
	.cfi_def_cfa %rdx, 0
	.cfi_register %rip, %rcx
	movq	GSTK__FRAME_BX(%rbx), %rbx
	.cfi_same_value %rbx
	.cfi_same_value %rbp
	movq	%rdx, %rsp
	jmpq	*%rcx
	int3
	.cfi_endproc
	.size	gstk__ontop_start, . - gstk__ontop_start

#include "note.inc"
