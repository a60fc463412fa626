/* SPDX-License-Identifier: MIT */
/*
 * x86-64's side of the contract. Include "arch/arch.h", not this. The frame, and the inlined switch
 * itself: <greenstk/ctx-x86_64.h>.
 */
#ifndef GSTK__X86_64_SWITCH_H
#define GSTK__X86_64_SWITCH_H

#include <string.h>

#include <greenstk/ctx-x86_64.h>
#include "layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x86_64/start.S; never called from C. */
void gstk__task_start(void);
void gstk__ontop_start(void);
/* x86_64/ctx.S */
void gstk__ctx_resume(void);
void gstk__ctx_start(void);
void gstk__ctx_returned(void) __attribute__((noreturn));

/* As gstk__switch, but first fn(arg) runs on the target's stack; the target's word is arg. */
static inline __attribute__((always_inline)) uintptr_t
gstk__switch_ontop(void **save_sp, void *target_sp, void (*fn)(void *), void *arg)
{
	uintptr_t word = (uintptr_t)arg, rcx;

	GSTK__NO_RED_ZONE();
	__asm__ volatile (
		GSTK__ASM_SAVE
		"jmp gstk__ontop_start\n\t"
		GSTK__ASM_RESUME
		: "+a" (word), "+D" (save_sp), "+S" (target_sp), "+d" (fn), "=&c" (rcx)
		: "X" (__builtin_frame_address(0))
		: GSTK__CLOBBER);
	return word;
gstk__cold:
	abort();
}

#define GSTK__HAVE_SWITCH_THEN 1
/* x86_64/then.S; n_err: the two fields of struct gstk__kept in one register. */
int gstk__switch_then_packed(void **save_sp, void *target_sp, uintptr_t word, void (*end)(void), void *arg, uint64_t n_err);
static inline __attribute__((always_inline)) int
gstk__switch_then(void **save_sp, void *target_sp, uintptr_t word, void (*end)(void), void *arg, uint32_t n, int32_t err)
{
	return gstk__switch_then_packed(save_sp, target_sp, word, end, arg, n | (uint64_t)(uint32_t)err << 32);
}

/* About where this function's stack pointer is; unlike its frame address it costs no frame pointer. */
static inline uintptr_t
gstk__sp(void)
{
	uintptr_t sp;

	__asm__ ("movq %%rsp, %0" : "=r" (sp));
	return sp;
}

static inline void
gstk__fp_save(struct gstk__fp *fp)
{
	uint16_t x87;

	__asm__ volatile ("stmxcsr %0" : "=m" (fp->control));
	__asm__ volatile ("fnstcw %0" : "=m" (x87));
	fp->x87 = x87;
}

/* Control bits only: differing sticky flags would make ldmxcsr cost 35 to 65 ns for nothing. */
static inline void
gstk__fp_restore(const struct gstk__fp *fp)
{
	uint32_t mxcsr;
	uint16_t x87;

	__asm__ volatile ("stmxcsr %0" : "=m" (mxcsr));
	__asm__ volatile ("fnstcw %0" : "=m" (x87));
	if ((mxcsr ^ fp->control) & GSTK__MXCSR_CONTROL) {
		mxcsr = (mxcsr & ~(uint32_t)GSTK__MXCSR_CONTROL) |
			(fp->control & GSTK__MXCSR_CONTROL);
		__asm__ volatile ("ldmxcsr %0" : : "m" (mxcsr));
	}
	if (x87 != fp->x87) {
		x87 = (uint16_t)fp->x87;
		/* A sticky flag of somebody else must not trap where it is unmasked. */
		__asm__ volatile ("fnclex; fldcw %0" : : "m" (x87));
	}
}

/* The same for gstk_ctx_create(): with the FP modes of the caller. */
static inline void *
gstk__ctx_prepare(void *base, void (*entry)(uintptr_t word))
{
	uintptr_t top = ((uintptr_t)base & ~(uintptr_t)15) - 16;
	uint32_t *fp_words = (uint32_t *)top;
	struct gstk__frame *frame = (struct gstk__frame *)top - 1;
	struct gstk__fp fp;

	gstk__fp_save(&fp);
	fp_words[0] = fp.control;
	fp_words[1] = fp.x87;
	frame->pc = (uintptr_t)gstk__ctx_start;
	frame->bp = 0;
	frame->bx = (uintptr_t)entry;
	return frame;
}

/*
 * What CFI needs to unwind a suspended context whose frame's bytes are at `bytes` and belong at
 * the address `sp` (the same for a resident stack; an image elsewhere for an evicted one).
 * Callee-saved registers not in regs were spilled by the frames above, as their CFI says.
 */
static inline void
gstk__frame_regs(const void *bytes, uintptr_t sp, struct gstk__regs *regs)
{
	struct gstk__frame frame;

	memcpy(&frame, bytes, sizeof(frame));
	regs->pc = frame.pc;
	regs->fp = frame.bp;
	regs->bx = frame.bx;
	regs->sp = sp + GSTK__FRAME_SIZE;
}

#ifdef __cplusplus
}
#endif

#endif
