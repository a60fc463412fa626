/* SPDX-License-Identifier: MIT */
/*
 * The called switches, aarch64. Layout: layout.h.
 *
 * gstk_ctx_switch(from = x0, to = x1, word = x2) -> word
 *	save x20..x28, x30, d8..d15, fpcr, frame(pc = resume)
 *	from->sp = sp
 *	if to->sp->pc is resume too:            the usual case, all is known here
 *		sp = to->sp
 *		load fpcr if the frames differ in it
 *	else
 *		pop the frame, jump to its pc
 * resume:                                  from an inlined site: only the frame is popped
 *	load fpcr if the processor's differs
 *	restore the rest, return
 *
 * It ends in ret, mispredicted as it may be: where branch targets are checked a jump to a return address
 * would fault. CFI of the saved state is the same for every stack, so changing sp from one to another
 * changes nothing.
 */
#include "layout.h"

	.text

	/* Push the called frame. x9: resume; x10: fpcr. */
	.macro	save_called
	sub	sp, sp, #GSTK__CALLED_SIZE
	.cfi_adjust_cfa_offset GSTK__CALLED_SIZE
	adr	x9, gstk__ctx_resume
	mrs	x10, fpcr
	stp	x9, x29, [sp]
	.cfi_rel_offset x29, GSTK__FRAME_BP
	str	x19, [sp, #GSTK__FRAME_BX]
	.cfi_rel_offset x19, GSTK__FRAME_BX
	str	x10, [sp, #GSTK__CALLED_FPCR]
	stp	x20, x21, [sp, #GSTK__CALLED_X20]
	stp	x22, x23, [sp, #GSTK__CALLED_X20 + 16]
	stp	x24, x25, [sp, #GSTK__CALLED_X20 + 32]
	stp	x26, x27, [sp, #GSTK__CALLED_X20 + 48]
	stp	x28, x30, [sp, #GSTK__CALLED_X20 + 64]
	.cfi_rel_offset x20, GSTK__CALLED_X20
	.cfi_rel_offset x21, GSTK__CALLED_X20 + 8
	.cfi_rel_offset x22, GSTK__CALLED_X20 + 16
	.cfi_rel_offset x23, GSTK__CALLED_X20 + 24
	.cfi_rel_offset x24, GSTK__CALLED_X20 + 32
	.cfi_rel_offset x25, GSTK__CALLED_X20 + 40
	.cfi_rel_offset x26, GSTK__CALLED_X20 + 48
	.cfi_rel_offset x27, GSTK__CALLED_X20 + 56
	.cfi_rel_offset x28, GSTK__CALLED_X20 + 64
	.cfi_rel_offset x30, GSTK__CALLED_X20 + 72
	stp	d8, d9, [sp, #GSTK__CALLED_D8]
	stp	d10, d11, [sp, #GSTK__CALLED_D8 + 16]
	stp	d12, d13, [sp, #GSTK__CALLED_D8 + 32]
	stp	d14, d15, [sp, #GSTK__CALLED_D8 + 48]
	.endm

	/* x19, x29 are right already; the rest begins at sp + \off. */
	.macro	return_called off
	ldp	x20, x21, [sp, #\off]
	ldp	x22, x23, [sp, #\off + 16]
	ldp	x24, x25, [sp, #\off + 32]
	ldp	x26, x27, [sp, #\off + 48]
	ldp	x28, x30, [sp, #\off + 64]
	ldp	d8, d9, [sp, #\off + 80]
	ldp	d10, d11, [sp, #\off + 96]
	ldp	d12, d13, [sp, #\off + 112]
	ldp	d14, d15, [sp, #\off + 128]
	add	sp, sp, #\off + 144
	.cfi_def_cfa sp, 0
	.irp	reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30
	.cfi_restore \reg
	.endr
	ret
	.endm

	.p2align 5
	.globl	gstk_ctx_switch
	.type	gstk_ctx_switch, %function
gstk_ctx_switch:
	.cfi_startproc
	hint	#34
	save_called
	ldr	x1, [x1]
	mov	x11, sp
	str	x11, [x0]
	mov	x0, x2
	ldr	x12, [x1, #GSTK__FRAME_PC]
	cmp	x12, x9
	b.ne	.Lother
	ldr	x11, [x1, #GSTK__CALLED_FPCR]
	mov	sp, x1
	ldr	x29, [x1, #GSTK__FRAME_BP]
	ldr	x19, [x1, #GSTK__FRAME_BX]
	cmp	x11, x10
	b.eq	1f
	msr	fpcr, x11
1:
	.cfi_remember_state
	return_called GSTK__CALLED_X20
	.cfi_restore_state

.Lother:
	ldp	x16, x17, [x1]
	ldr	x19, [x1, #GSTK__FRAME_BX]
	add	sp, x1, #GSTK__FRAME_SIZE
	.cfi_remember_state
	.cfi_def_cfa sp, 0
	.cfi_register x30, x16
	.cfi_register x29, x17
	.cfi_restore x19
	.irp	reg, x20, x21, x22, x23, x24, x25, x26, x27, x28
	.cfi_undefined \reg
	.endr
	mov	x29, x17
	br	x16
	.cfi_restore_state
	.cfi_endproc
	.size	gstk_ctx_switch, . - gstk_ctx_switch

/* The resume address of called frames: x29, x19, sp are right, the rest is still above sp. */
	.p2align 5
	.cfi_startproc
	.cfi_def_cfa sp, GSTK__CALLED_SIZE - GSTK__FRAME_SIZE
	.cfi_rel_offset x20, 16
	.cfi_rel_offset x21, 24
	.cfi_rel_offset x22, 32
	.cfi_rel_offset x23, 40
	.cfi_rel_offset x24, 48
	.cfi_rel_offset x25, 56
	.cfi_rel_offset x26, 64
	.cfi_rel_offset x27, 72
	.cfi_rel_offset x28, 80
	.cfi_rel_offset x30, 88
	.type	gstk__ctx_suspended, %function
gstk__ctx_suspended:
	nop
	.size	gstk__ctx_suspended, 4
	.globl	gstk__ctx_resume
	.hidden	gstk__ctx_resume
	.type	gstk__ctx_resume, %function
gstk__ctx_resume:
	hint	#36
	ldr	x11, [sp]
	mrs	x10, fpcr
	cmp	x11, x10
	b.eq	1f
	msr	fpcr, x11
1:	return_called 16
	.cfi_endproc
	.size	gstk__ctx_resume, . - gstk__ctx_resume

/*
 * gstk_ctx_switch_ontop(from = x0, to = x1, fn = x2, word = x3) -> word
 *	save; from->sp = sp
 *	sp = to->sp: the frame stays where it is, fn runs below it
 *	x0 = fn(word)
 *	pop the frame, jump to its pc
 */
	.p2align 5
	.globl	gstk_ctx_switch_ontop
	.type	gstk_ctx_switch_ontop, %function
gstk_ctx_switch_ontop:
	.cfi_startproc
	hint	#34
	save_called
	ldr	x1, [x1]
	mov	x11, sp
	str	x11, [x0]
	mov	x0, x3
	mov	x19, x1
	mov	sp, x1
	/* From here on the caller is the target, known by nothing but its frame. */
	.cfi_def_cfa x19, GSTK__FRAME_SIZE
	.cfi_offset x30, GSTK__FRAME_PC - GSTK__FRAME_SIZE
	.cfi_offset x29, GSTK__FRAME_BP - GSTK__FRAME_SIZE
	.cfi_offset x19, GSTK__FRAME_BX - GSTK__FRAME_SIZE
	.irp	reg, x20, x21, x22, x23, x24, x25, x26, x27, x28
	.cfi_undefined \reg
	.endr
	ldr	x29, [x19, #GSTK__FRAME_BP]     /* for those who walk frame pointers */
	blr	x2
	ldr	x16, [x19, #GSTK__FRAME_PC]
	add	x17, x19, #GSTK__FRAME_SIZE
	.cfi_def_cfa x17, 0
	.cfi_register x30, x16
	.cfi_same_value x29
	ldr	x19, [x19, #GSTK__FRAME_BX]
	.cfi_same_value x19
	mov	sp, x17
	br	x16
	.cfi_endproc
	.size	gstk_ctx_switch_ontop, . - gstk_ctx_switch_ontop

/*
 * The resume address of fresh contexts: x0 = word, x19 = entry, fpcr at sp.
 *	load fpcr if needed
 *	entry(word)
 *	gstk__ctx_returned()
 */
	.p2align 5
	.cfi_startproc
	.cfi_undefined x30
	.cfi_undefined x29
	.type	gstk__ctx_fresh, %function
gstk__ctx_fresh:
	nop
	.size	gstk__ctx_fresh, 4
	.globl	gstk__ctx_start
	.hidden	gstk__ctx_start
	.type	gstk__ctx_start, %function
gstk__ctx_start:
	hint	#36
	ldr	x11, [sp]
	mrs	x10, fpcr
	cmp	x11, x10
	b.eq	1f
	msr	fpcr, x11
1:	blr	x19
	bl	gstk__ctx_returned
	brk	#1
	.cfi_endproc
	.size	gstk__ctx_start, . - gstk__ctx_start

#include "note.inc"
