// SPDX-License-Identifier: MIT
/*
 * Single-steps through switches and unwinds from the trap at each instruction. A backtrace is
 * right if, of the functions that a test names, it shows one of the rows that the test lists and
 * nothing else, if a stack of ours ends with its start, and if it is of the stack that the stack
 * pointer is on: who copies that one to unwind it later finds all frames there.
 */
#ifndef CTX_STEP_H
#define CTX_STEP_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

#include "ctx_arch.h"

#define STEP_ROW 6
#define STEP_START 'S'

struct step_fn {
	char letter;            /* STEP_START: the first frame of a stack */
	uintptr_t start;        /* where its FDE begins */
};

struct step_test {
	struct step_fn fns[8];
	const char *rows[12];   /* letters, innermost first */
	uintptr_t base, bytes;  /* the stack of ours */
	unsigned int met[12];   /* how often each row was right */
	volatile int stop;
	int steps, wrong;
};

static struct step_test *step_now;
static struct { char row[64]; unsigned int nr, frames; char last; } step_seen;

static char step_letter(uintptr_t fn)
{
	int i;

	for (i = 0; i < 8 && step_now->fns[i].letter; i++)
		if (step_now->fns[i].start == fn)
			return step_now->fns[i].letter;
	return 0;
}

static _Unwind_Reason_Code step_frame(struct _Unwind_Context *context, void *arg)
{
	if (!_Unwind_GetIP(context))    /* libgcc shows the end as a frame */
		return _URC_NO_REASON;
	if (++step_seen.frames > 50)
		return _URC_END_OF_STACK;
	step_seen.last = step_letter((uintptr_t)_Unwind_GetRegionStart(context));
	if (step_seen.last)
		step_seen.row[step_seen.nr++] = step_seen.last;
	return _URC_NO_REASON;
}

static void step_trap(int sig, siginfo_t *info, void *ucontext)
{
	ucontext_t *uc = (ucontext_t *)ucontext;
	int i, ends, ours = step_now->base - ctx_sp(uc) <= step_now->bytes;

	if (step_now->stop)
		ctx_stepping(uc, 0);
	memset(&step_seen, 0, sizeof(step_seen));
	_Unwind_Backtrace(step_frame, NULL);
	step_now->steps++;
	ends = step_seen.nr && step_seen.row[step_seen.nr - 1] == STEP_START;
	for (i = 0; i < 12 && step_now->rows[i]; i++)
		if (!strcmp(step_now->rows[i], step_seen.row) && step_seen.frames <= 50 &&
		    ends == (step_seen.last == STEP_START) && ends == ours) {
			step_now->met[i]++;
			return;
		}
	step_now->wrong++;
	fprintf(stderr, "# at pc %p: \"%s\", %u frames, sp is on %s stack\n",
		(void *)ctx_pc(uc), step_seen.row, step_seen.frames, ours ? "our" : "another");
}

/* Other processors and valgrind have no trap flag; what sanitizers call would be stepped through. */
static inline int step_possible(void)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");

	return CTX_CAN_STEP && (!variant || !(strstr(variant, "san") || strstr(variant, "valgrind")));
}

static inline void step_prepare(struct step_test *test)
{
	static char signal_stack[1 << 16];
	struct sigaction sa;
	stack_t ss;

	step_now = test;
	memset(&ss, 0, sizeof(ss));
	ss.ss_sp = signal_stack;
	ss.ss_size = sizeof(signal_stack);
	sigaltstack(&ss, NULL);
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = step_trap;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaction(SIGTRAP, &sa, NULL);
}

/* From the next instruction on, until test->stop is set. */
static inline __attribute__((always_inline)) void step_on(void)
{
	ctx_step_on();
}

#endif
