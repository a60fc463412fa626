/* SPDX-License-Identifier: MIT */
/*
 * The called switches, x86-64. Layout: layout.h.
 *
 * gstk_ctx_switch(from = rdi, to = rsi, word = rdx) -> word
 *	save r12..r15, FP words, frame(pc = resume)
 *	from->sp = rsp
 *	if to->sp->pc is resume too:            the usual case, all is known here
 *		rsp = to->sp
 *		load the FP words whose control bits differ between the two frames
 *	else
 *		pop the frame, jump to its pc
 * resume:                                  from an inlined site: only the frame is popped
 *	load the FP words whose control bits differ from the processor's
 *	restore r12..r15, go to the return address
 *
 * pop + jmp, not ret: the return stack holds the callers of the context that was left, and a wrong
 * guess costs 12 ns. fnclex: one context's sticky x87 flag must not trap in another that unmasks it.
 * notrack, since a return address is no landing pad. CFI of the saved state
 * is the same for every stack, so changing rsp from one to another changes nothing.
 */
#include "layout.h"

	.text

	/* Push the called frame. The frame's own words are written last. */
	.macro	save_called
	leaq	gstk__ctx_resume(%rip), %rcx
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	subq	$GSTK__CALLED_R12, %rsp
	.cfi_adjust_cfa_offset GSTK__CALLED_R12
	stmxcsr	GSTK__CALLED_MXCSR(%rsp)
	fnstcw	GSTK__CALLED_X87(%rsp)
	movq	%rbx, GSTK__FRAME_BX(%rsp)
	.cfi_rel_offset %rbx, GSTK__FRAME_BX
	movq	%rbp, GSTK__FRAME_BP(%rsp)
	.cfi_rel_offset %rbp, GSTK__FRAME_BP
	movq	%rcx, GSTK__FRAME_PC(%rsp)
	.endm

	/* Pop r12..r15 at \off(%rsp), go to the return address above them. */
	.macro	return_called off
	movq	\off(%rsp), %r12
	movq	\off + 8(%rsp), %r13
	movq	\off + 16(%rsp), %r14
	movq	\off + 24(%rsp), %r15
	movq	\off + 32(%rsp), %rcx
	addq	$\off + 40, %rsp
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rcx
	.cfi_restore %r12
	.cfi_restore %r13
	.cfi_restore %r14
	.cfi_restore %r15
	.cfi_restore %rbx
	.cfi_restore %rbp
	notrack jmpq *%rcx
	int3
	.endm

	.p2align 5
	.globl	gstk_ctx_switch
	.type	gstk_ctx_switch, @function
gstk_ctx_switch:
	.cfi_startproc
	endbr64
	save_called
	movq	(%rsi), %rsi
	movq	%rsp, (%rdi)
	movq	%rdx, %rax
	movq	GSTK__FRAME_PC(%rsi), %rdx
	cmpq	%rcx, %rdx
	jne	.Lother
	/* Both FP words are in both frames. Sticky flags differ often, the rest hardly ever. */
	movl	GSTK__CALLED_MXCSR(%rsp), %r8d
	movzwl	GSTK__CALLED_X87(%rsp), %r9d
	xorl	GSTK__CALLED_MXCSR(%rsi), %r8d
	cmpw	GSTK__CALLED_X87(%rsi), %r9w
	movq	%rsi, %rsp
	movq	GSTK__FRAME_BX(%rsi), %rbx
	movq	GSTK__FRAME_BP(%rsi), %rbp
	jne	.Lmodes
	testl	$GSTK__MXCSR_CONTROL, %r8d
	jne	.Lmodes
	.cfi_remember_state
	return_called GSTK__CALLED_R12
	.cfi_restore_state

.Lmodes:
	ldmxcsr	GSTK__CALLED_MXCSR(%rsp)
	fnclex
	fldcw	GSTK__CALLED_X87(%rsp)
	.cfi_remember_state
	return_called GSTK__CALLED_R12
	.cfi_restore_state

.Lother:
	movq	GSTK__FRAME_BP(%rsi), %rcx
	movq	GSTK__FRAME_BX(%rsi), %rbx
	leaq	GSTK__FRAME_SIZE(%rsi), %rsp
	.cfi_remember_state
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rdx
	.cfi_register %rbp, %rcx
	.cfi_restore %rbx
	.cfi_undefined %r12
	.cfi_undefined %r13
	.cfi_undefined %r14
	.cfi_undefined %r15
	movq	%rcx, %rbp
	jmpq	*%rdx
	int3
	.cfi_restore_state
	.cfi_endproc
	.size	gstk_ctx_switch, . - gstk_ctx_switch

/* The resume address of called frames: rbp, rbx, rsp are right, the rest is still above rsp. */
	.macro	cfi_popped_frame
	.cfi_def_cfa %rsp, GSTK__CALLED_SIZE - GSTK__FRAME_SIZE + 8
	.cfi_offset %rip, -8
	.cfi_offset %r15, -16
	.cfi_offset %r14, -24
	.cfi_offset %r13, -32
	.cfi_offset %r12, -40
	.endm

	.p2align 5
	.cfi_startproc
	cfi_popped_frame
	.type	gstk__ctx_suspended, @function
gstk__ctx_suspended:
	nop
	.size	gstk__ctx_suspended, 1
	.globl	gstk__ctx_resume
	.hidden	gstk__ctx_resume
	.type	gstk__ctx_resume, @function
gstk__ctx_resume:
	endbr64
	stmxcsr	-8(%rsp)
	fnstcw	-4(%rsp)
	movl	-8(%rsp), %ecx
	movzwl	-4(%rsp), %edx
	xorl	0(%rsp), %ecx
	cmpw	4(%rsp), %dx
	jne	1f
	testl	$GSTK__MXCSR_CONTROL, %ecx
	jne	1f
	.cfi_remember_state
	return_called 8
	.cfi_restore_state
1:	ldmxcsr	0(%rsp)
	fnclex
	fldcw	4(%rsp)
	return_called 8
	.cfi_endproc
	.size	gstk__ctx_resume, . - gstk__ctx_resume

/*
 * gstk_ctx_switch_ontop(from = rdi, to = rsi, fn = rdx, word = rcx) -> word
 *	save; from->sp = rsp
 *	rsp = to->sp, aligned: the frame stays where it is, fn runs below it
 *	rax = fn(word)
 *	pop the frame, jump to its pc
 */
	.p2align 5
	.globl	gstk_ctx_switch_ontop
	.type	gstk_ctx_switch_ontop, @function
gstk_ctx_switch_ontop:
	.cfi_startproc
	endbr64
	movq	%rcx, %rax
	save_called
	movq	(%rsi), %rsi
	movq	%rsp, (%rdi)
	movq	%rax, %rdi
	movq	%rsi, %rbx
	movq	%rsi, %rsp
	/* From here on the caller is the target, known by nothing but its frame. */
	.cfi_def_cfa %rbx, GSTK__FRAME_SIZE
	.cfi_offset %rip, GSTK__FRAME_PC - GSTK__FRAME_SIZE
	.cfi_offset %rbp, GSTK__FRAME_BP - GSTK__FRAME_SIZE
	.cfi_offset %rbx, GSTK__FRAME_BX - GSTK__FRAME_SIZE
	.cfi_undefined %r12
	.cfi_undefined %r13
	.cfi_undefined %r14
	.cfi_undefined %r15
	movq	GSTK__FRAME_BP(%rbx), %rbp      /* for those who walk frame pointers */
	andq	$-16, %rsp
	callq	*%rdx
	movq	GSTK__FRAME_PC(%rbx), %rcx
	leaq	GSTK__FRAME_SIZE(%rbx), %rdx
	.cfi_def_cfa %rdx, 0
	.cfi_register %rip, %rcx
	.cfi_same_value %rbp
	movq	GSTK__FRAME_BX(%rbx), %rbx
	.cfi_same_value %rbx
	movq	%rdx, %rsp
	jmpq	*%rcx
	int3
	.cfi_endproc
	.size	gstk_ctx_switch_ontop, . - gstk_ctx_switch_ontop

/*
 * The resume address of fresh contexts: rax = word, rbx = entry, FP words at rsp.
 *	load the FP words if needed
 *	entry(word)
 *	gstk__ctx_returned()
 */
	.p2align 5
	.cfi_startproc
	.cfi_undefined %rip
	.cfi_undefined %rbp
	.type	gstk__ctx_fresh, @function
gstk__ctx_fresh:
	nop
	.size	gstk__ctx_fresh, 1
	.globl	gstk__ctx_start
	.hidden	gstk__ctx_start
	.type	gstk__ctx_start, @function
gstk__ctx_start:
	endbr64
	stmxcsr	-8(%rsp)
	movl	-8(%rsp), %ecx
	xorl	0(%rsp), %ecx
	testl	$GSTK__MXCSR_CONTROL, %ecx
	je	1f
	ldmxcsr	0(%rsp)
1:	fnclex
	fldcw	4(%rsp)
	movq	%rax, %rdi
	callq	*%rbx
	callq	gstk__ctx_returned
	ud2
	.cfi_endproc
	.size	gstk__ctx_start, . - gstk__ctx_start

#include "note.inc"
