/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the switch do to registers: spoil them, set FP modes, step. With CTX_PATTERNS also
 * switch_with_patterns(), which fills those that a call keeps, switches, and returns 0 if they are back.
 */
#ifndef CTX_ARCH_H
#define CTX_ARCH_H

#include <stdint.h>
#include <ucontext.h>

#ifdef __x86_64__
#include "ctx_x86_64.h"
#else
#include "ctx_aarch64.h"
#endif

#endif
