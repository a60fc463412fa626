/* SPDX-License-Identifier: MIT */
/*
 * For tests that switch stacks by hand: memcheck takes a small move of the stack pointer for growth
 * of the same stack unless it was told where stacks are.
 */
#ifndef SELFTESTS_KNOW_STACK_H
#define SELFTESTS_KNOW_STACK_H

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define KNOW_STACK(p, bytes)	((void)VALGRIND_STACK_REGISTER((char *)(p), (char *)(p) + (bytes)))
/* Dead bytes below a stack pointer may be touched now. */
#define OPEN_STACK(p, bytes)	((void)VALGRIND_MAKE_MEM_DEFINED(p, bytes))
#define UNDER_VALGRIND()	(RUNNING_ON_VALGRIND != 0)
#else
#define KNOW_STACK(p, bytes)	((void)0)
#define OPEN_STACK(p, bytes)	((void)0)
#define UNDER_VALGRIND()	0
#endif

#endif
