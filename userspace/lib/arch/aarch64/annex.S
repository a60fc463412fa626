/* SPDX-License-Identifier: MIT */
/*
 * A call on another stack (arch.h): to its caller an ordinary one, for unwinders and exceptions too, since
 * the CFA hangs on x29, which does not mind where sp is.
 *
 * call_on(base = x0, fn = x1, arg = x2, save_sp = x3, sp = x4)
 *	save x29, x30, x19
 *	frame(pc = resume, x19 = sp), *save_sp = sp
 *	sp = base
 *	fn(arg)
 *	sp = x29, restore, return
 *
 * resume:                      from any switch to that frame: x0 = word, x19 = sp
 *	frame again: it serves each time that its context is switched to, but was popped, and a signal may
 *	write below sp
 *	switch on to *sp with the same word
 */
#include "layout.h"

	.text

	.p2align 4
	.globl	gstk__call_on
	.hidden	gstk__call_on
	.type	gstk__call_on, %function
gstk__call_on:
	.cfi_startproc
	hint	#34
	stp	x29, x30, [sp, #-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	mov	x29, sp
	.cfi_def_cfa_register x29
	str	x19, [sp, #16]
	.cfi_offset x19, -16
	adr	x16, gstk__annex_resume
	stp	x16, x29, [sp, #-GSTK__FRAME_SIZE]!
	str	x4, [sp, #GSTK__FRAME_BX]
	mov	x17, sp
	str	x17, [x3]
	mov	sp, x0
	mov	x0, x2
	blr	x1
	mov	sp, x29
	.cfi_def_cfa_register sp
	ldr	x19, [sp, #16]
	.cfi_restore x19
	ldp	x29, x30, [sp], #32
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	gstk__call_on, . - gstk__call_on

	.p2align 4
	.cfi_startproc
	.cfi_def_cfa x29, 32
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	.cfi_offset x19, -16
	.type	gstk__annex_suspended, %function
gstk__annex_suspended:
	nop
	.size	gstk__annex_suspended, 4
	.type	gstk__annex_resume, %function
gstk__annex_resume:
	hint	#36
	adr	x16, gstk__annex_resume
	stp	x16, x29, [sp, #-GSTK__FRAME_SIZE]!
	str	x19, [sp, #GSTK__FRAME_BX]
	ldr	x2, [x19]
	ldp	x16, x17, [x2]
	ldr	x19, [x2, #GSTK__FRAME_BX]
	add	sp, x2, #GSTK__FRAME_SIZE
	.cfi_def_cfa sp, 0
	.cfi_register x30, x16
	.cfi_register x29, x17
	.cfi_same_value x19
	mov	x29, x17
	br	x16
	.cfi_endproc
	.size	gstk__annex_resume, . - gstk__annex_resume

#include "note.inc"
