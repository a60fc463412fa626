/* SPDX-License-Identifier: MIT */
/*
 * aarch64's side of the contract. Include "arch/arch.h", not this. The frame, and the inlined switch
 * itself: <greenstk/ctx-aarch64.h>.
 */
#ifndef GSTK__AARCH64_SWITCH_H
#define GSTK__AARCH64_SWITCH_H

#include <string.h>

#include <greenstk/ctx-aarch64.h>
#include "layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/* aarch64/start.S; never called from C. */
void gstk__task_start(void);
void gstk__ontop_start(void);
/* aarch64/ctx.S */
void gstk__ctx_resume(void);
void gstk__ctx_start(void);
void gstk__ctx_returned(void) __attribute__((noreturn));

/* As gstk__switch, but first fn(arg) runs on the target's stack; the target's word is arg. */
static inline __attribute__((always_inline)) uintptr_t
gstk__switch_ontop(void **save_sp, void *target_sp, void (*fn)(void *), void *arg)
{
	register uintptr_t x0 __asm__("x0") = (uintptr_t)arg;
	register void **x1 __asm__("x1") = save_sp;
	register void *x2 __asm__("x2") = target_sp;
	register void (*x3)(void *) __asm__("x3") = fn;

	__asm__ volatile (
		GSTK__ASM_SAVE
		"b gstk__ontop_start\n\t"
		GSTK__ASM_RESUME
		: "+r" (x0), "+r" (x1), "+r" (x2)
		: "r" (x3), "X" (__builtin_frame_address(0))
		: GSTK__CLOBBER_BUT_X3);
	return x0;
}

/* About where this function's stack pointer is. */
static inline uintptr_t
gstk__sp(void)
{
	uintptr_t sp;

	__asm__ ("mov %0, sp" : "=r" (sp));
	return sp;
}

static inline void
gstk__fp_save(struct gstk__fp *fp)
{
	uint64_t fpcr;

	__asm__ volatile ("mrs %0, fpcr" : "=r" (fpcr));
	fp->control = (uint32_t)fpcr;
	fp->x87 = 0;
}

/* The sticky flags are in a register of their own, fpsr, and are nobody's. */
static inline void
gstk__fp_restore(const struct gstk__fp *fp)
{
	uint64_t fpcr;

	__asm__ volatile ("mrs %0, fpcr" : "=r" (fpcr));
	/* "memory": what reads the modes, like fegetround(), is often a pure function. */
	if ((uint32_t)fpcr != fp->control)
		__asm__ volatile ("msr fpcr, %0" : : "r" ((uint64_t)fp->control) : "memory");
}

/* The same for gstk_ctx_create(): with the FP modes of the caller. */
static inline void *
gstk__ctx_prepare(void *base, void (*entry)(uintptr_t word))
{
	uintptr_t top = ((uintptr_t)base & ~(uintptr_t)15) - 16;
	struct gstk__frame *frame = (struct gstk__frame *)top - 1;
	struct gstk__fp fp;

	gstk__fp_save(&fp);
	*(uint64_t *)top = fp.control;
	frame->pc = (uintptr_t)gstk__ctx_start;
	frame->bp = 0;
	frame->bx = (uintptr_t)entry;
	return frame;
}

/* What CFI needs to unwind a suspended context: see x86_64/switch.h. */
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
