/* SPDX-License-Identifier: MIT */
/*
 * The switch of a function that has nothing of its own left to keep (arch.h). On the stack that is left stay its
 * caller's registers and three words, and no frame of the functions that led here.
 *
 * gstk__switch_then_packed(save_sp = rdi, target = rsi, word = rdx, end = rcx, arg = r8, n and errno = r9)
 *
 *      sp + 80   | return address           |
 *      sp + 48   | r12 r13 r14 r15          |
 *      sp + 24   | struct gstk__kept        |
 *      sp        | the frame                |
 *
 * resume:                      from any switch: rax = word; rbp, rbx, rsp are right
 *	eax = gstk__then_back(word, kept)
 *	restore r12..r15, go to the return address
 *
 * pop and jump, not ret: see ctx.S.
 */
#include "layout.h"

	.hidden	gstk__then_back
	.text

	.macro	push_saved reg
	pushq	\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endm
	.macro	push_word reg
	pushq	\reg
	.cfi_adjust_cfa_offset 8
	.endm

	.p2align 5
	.globl	gstk__switch_then_packed
	.hidden	gstk__switch_then_packed
	.type	gstk__switch_then_packed, @function
gstk__switch_then_packed:
	.cfi_startproc
	endbr64
	leaq	gstk__waiting(%rip), %rax
	push_saved %r15
	push_saved %r14
	push_saved %r13
	push_saved %r12
	push_word %rcx
	push_word %r9
	push_word %r8
	push_saved %rbx
	push_saved %rbp
	push_word %rax
	movq	%rsp, (%rdi)
	movq	%rdx, %rax
	movq	GSTK__FRAME_PC(%rsi), %rcx
	movq	GSTK__FRAME_BP(%rsi), %rdx
	movq	GSTK__FRAME_BX(%rsi), %rbx
	leaq	GSTK__FRAME_SIZE(%rsi), %rsp
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rcx
	.cfi_register %rbp, %rdx
	.cfi_same_value %rbx
	.cfi_undefined %r12
	.cfi_undefined %r13
	.cfi_undefined %r14
	.cfi_undefined %r15
	movq	%rdx, %rbp
	jmpq	*%rcx
	int3
	.cfi_endproc
	.size	gstk__switch_then_packed, . - gstk__switch_then_packed

/* The nop: unwinders look up pc - 1. */
	.p2align 5
	.cfi_startproc
	.cfi_def_cfa %rsp, GSTK__THEN_SIZE - GSTK__FRAME_SIZE + 8
	.cfi_offset %rip, -8
	.cfi_offset %r15, -16
	.cfi_offset %r14, -24
	.cfi_offset %r13, -32
	.cfi_offset %r12, -40
	.type	gstk__waiting_fresh, @function
gstk__waiting_fresh:
	nop
	.size	gstk__waiting_fresh, 1
	.type	gstk__waiting, @function
gstk__waiting:
	endbr64
	movq	%rax, %rdi
	movq	%rsp, %rsi
	callq	*gstk__then_back(%rip)
	movq	GSTK__THEN_R12 - GSTK__FRAME_SIZE(%rsp), %r12
	movq	GSTK__THEN_R12 - GSTK__FRAME_SIZE + 8(%rsp), %r13
	movq	GSTK__THEN_R12 - GSTK__FRAME_SIZE + 16(%rsp), %r14
	movq	GSTK__THEN_R12 - GSTK__FRAME_SIZE + 24(%rsp), %r15
	movq	GSTK__THEN_SIZE - GSTK__FRAME_SIZE(%rsp), %rcx
	addq	$(GSTK__THEN_SIZE - GSTK__FRAME_SIZE + 8), %rsp
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rcx
	.cfi_restore %r12
	.cfi_restore %r13
	.cfi_restore %r14
	.cfi_restore %r15
	notrack jmpq *%rcx
	int3
	.cfi_endproc
	.size	gstk__waiting, . - gstk__waiting

#include "note.inc"
