/* SPDX-License-Identifier: MIT */
/*
 * Offsets for assembly. The frame itself is drawn in <greenstk/ctx-x86_64.h>; below is what called
 * switches (ctx.S) keep above it.
 *
 *      sp + 64   | return address           |
 *      sp + 32   | r12 r13 r14 r15          |
 *      sp + 28   | x87 control word         |
 *      sp + 24   | mxcsr                    |
 *      sp        | the frame                |
 *
 * On a fresh stack the FP words are there too, and entry is in rbx. What then.S keeps above the frame is drawn there.
 */
#ifndef GSTK__X86_64_LAYOUT_H
#define GSTK__X86_64_LAYOUT_H

#define GSTK__FRAME_PC    0
#define GSTK__FRAME_BP    8
#define GSTK__FRAME_BX    16
#define GSTK__FRAME_SIZE  24

#define GSTK__CALLED_MXCSR 24
#define GSTK__CALLED_X87   28
#define GSTK__CALLED_R12   32
#define GSTK__CALLED_SIZE  64

#define GSTK__THEN_R12     48
#define GSTK__THEN_SIZE    80

/* mxcsr: all but the six sticky flags, which the ABI does not keep. */
#define GSTK__MXCSR_CONTROL 0xffc0

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <greenstk/ctx-x86_64.h>

struct gstk__called_frame {
	struct gstk__frame frame;
	uint32_t mxcsr;
	uint32_t x87;
	uintptr_t r12, r13, r14, r15;
};

#ifdef __cplusplus
#define GSTK__LAYOUT_ASSERT(x) static_assert(x, #x)
#else
#define GSTK__LAYOUT_ASSERT(x) _Static_assert(x, #x)
#endif
GSTK__LAYOUT_ASSERT(sizeof(struct gstk__kept) == GSTK__THEN_R12 - GSTK__FRAME_SIZE);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__frame, pc) == GSTK__FRAME_PC);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__frame, bp) == GSTK__FRAME_BP);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__frame, bx) == GSTK__FRAME_BX);
GSTK__LAYOUT_ASSERT(sizeof(struct gstk__frame) == GSTK__FRAME_SIZE);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__called_frame, mxcsr) == GSTK__CALLED_MXCSR);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__called_frame, x87) == GSTK__CALLED_X87);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__called_frame, r12) == GSTK__CALLED_R12);
GSTK__LAYOUT_ASSERT(sizeof(struct gstk__called_frame) == GSTK__CALLED_SIZE);
#endif

#endif
