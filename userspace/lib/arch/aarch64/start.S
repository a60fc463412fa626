/* SPDX-License-Identifier: MIT */
/*
 * Where a fresh stack begins, and where a callback is run on top of a suspended one.
 */
#include "layout.h"

	.text

/*
 * task_start:                  from any switch: x0 = word, x19 = begin, x29 = 0, sp = base
 *	fn, arg = begin(word, 0)
 *	result = fn(arg)        with nothing of ours on the stack
 *	end, arg = begin(result, 1)
 *	end(arg)
 *	die
 *
 * fn is called, for most return. The end is jumped to with a return address: a call would leave an entry in the return
 * predictor that nothing matches. x19 is fn's to restore. The nop gives task_start a predecessor inside this FDE, with a
 * name: unwinders look up pc - 1.
 */
	.p2align 4
	.cfi_startproc
	.cfi_undefined x30
	.cfi_undefined x29
	.type	gstk__task_fresh, %function
gstk__task_fresh:
	nop
	.size	gstk__task_fresh, 4
	.globl	gstk__task_start
	.hidden	gstk__task_start
	.type	gstk__task_start, %function
gstk__task_start:
	hint	#36
	mov	w1, #0
	blr	x19
	mov	x2, x0
	mov	x0, x1
	blr	x2
	mov	w1, #1
	blr	x19
	mov	x16, x0
	mov	x0, x1
	adr	x30, 1f
	br	x16
1:	brk	#1
	.cfi_endproc
	.size	gstk__task_start, . - gstk__task_start

/*
 * ontop_start:                 x2 = target sp, x3 = fn, x0 = arg; the left stack is saved
 *	sp = target sp          the frame stays where it is, below it fn runs
 *	fn(arg)
 *	pop the frame, go on there with the word arg
 */
	.p2align 4
	.globl	gstk__ontop_start
	.hidden	gstk__ontop_start
	.type	gstk__ontop_start, %function
gstk__ontop_start:
	.cfi_startproc
	/* Of the stack that was left, then of the target: sp is at the frame of either. */
	.cfi_def_cfa sp, GSTK__FRAME_SIZE
	.cfi_offset x30, GSTK__FRAME_PC - GSTK__FRAME_SIZE
	.cfi_offset x29, GSTK__FRAME_BP - GSTK__FRAME_SIZE
	.cfi_offset x19, GSTK__FRAME_BX - GSTK__FRAME_SIZE
	.irp	reg, x20, x21, x22, x23, x24, x25, x26, x27, x28
	.cfi_undefined \reg
	.endr
	mov	sp, x2
	mov	x19, x2
	.cfi_def_cfa_register x19
	mov	x20, x0
	ldr	x29, [x19, #GSTK__FRAME_BP]     /* for those who walk frame pointers */
	blr	x3
	mov	x0, x20
	ldr	x16, [x19, #GSTK__FRAME_PC]
	add	x17, x19, #GSTK__FRAME_SIZE
	.cfi_def_cfa x17, 0
	.cfi_register x30, x16
	ldr	x19, [x19, #GSTK__FRAME_BX]
	.cfi_same_value x19
	.cfi_same_value x29
	mov	sp, x17
	br	x16
	.cfi_endproc
	.size	gstk__ontop_start, . - gstk__ontop_start

#include "note.inc"
