/* SPDX-License-Identifier: MIT */
/*
 * The frame of a suspended context, shared by C and assembly.
 *
 *      base  --> +--------------------------+
 *                | the frames of the task   |
 *                +--------------------------+ <- rsp when it goes on
 *      sp + 16   | rbx                      |
 *      sp + 8    | rbp                      |
 *      sp        | address to go on at      |
 *                +--------------------------+
 *
 * Who switches in loads all three and sets rsp before it jumps, so at the resume address every
 * register that CFI needs is right and no instruction there repairs anything. All other registers
 * are declared clobbered by inlined sites and saved above the frame by called ones.
 */
#ifndef GSTK__X86_64_LAYOUT_H
#define GSTK__X86_64_LAYOUT_H

#define GSTK__FRAME_PC    0
#define GSTK__FRAME_BP    8
#define GSTK__FRAME_BX    16
#define GSTK__FRAME_SIZE  24

/* mxcsr: all but the six sticky flags, which the ABI does not keep. */
#define GSTK__MXCSR_CONTROL 0xffc0

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct gstk__frame {
	uintptr_t pc;
	uintptr_t bp;
	uintptr_t bx;
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
#endif

#endif
