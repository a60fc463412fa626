/* SPDX-License-Identifier: MIT */
/*
 * Offsets for assembly. The frame itself is drawn in <greenstk/ctx-aarch64.h>; below is what called
 * switches (ctx.S) keep above it.
 *
 *      sp + 128  | d8 .. d15                |
 *      sp + 120  | x30                      |
 *      sp + 48   | x20 .. x28               |
 *      sp + 40   | nothing: alignment       |
 *      sp + 32   | fpcr                     |
 *      sp        | the frame                |
 *
 * On a fresh stack fpcr is there too, and entry is in x19.
 */
#ifndef GSTK__AARCH64_LAYOUT_H
#define GSTK__AARCH64_LAYOUT_H

#define GSTK__FRAME_PC    0
#define GSTK__FRAME_BP    8
#define GSTK__FRAME_BX    16
#define GSTK__FRAME_SIZE  32

#define GSTK__CALLED_FPCR 32
#define GSTK__CALLED_X20  48
#define GSTK__CALLED_D8   128
#define GSTK__CALLED_SIZE 192

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <greenstk/ctx-aarch64.h>

struct gstk__called_frame {
	struct gstk__frame frame;
	uint64_t fpcr, unused;
	uintptr_t x20_x30[10];
	uint64_t d8_d15[8];
};

#ifdef __cplusplus
#define GSTK__LAYOUT_ASSERT(x) static_assert(x, #x)
#else
#define GSTK__LAYOUT_ASSERT(x) _Static_assert(x, #x)
#endif
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__frame, pc) == GSTK__FRAME_PC);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__frame, bp) == GSTK__FRAME_BP);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__frame, bx) == GSTK__FRAME_BX);
GSTK__LAYOUT_ASSERT(sizeof(struct gstk__frame) == GSTK__FRAME_SIZE);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__called_frame, fpcr) == GSTK__CALLED_FPCR);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__called_frame, x20_x30) == GSTK__CALLED_X20);
GSTK__LAYOUT_ASSERT(offsetof(struct gstk__called_frame, d8_d15) == GSTK__CALLED_D8);
GSTK__LAYOUT_ASSERT(sizeof(struct gstk__called_frame) == GSTK__CALLED_SIZE);
#endif

#endif
