// SPDX-License-Identifier: MIT
/*
 * switch.*: two contexts that do nothing but switch, ns per switch. No scheduler. Beside them
 * switch.bare, the least that any switch by jumping has to do: note where to go on, exchange the
 * stack pointer, jump; no frame pointer, no word, nothing for unwinders.
 */
#include <fenv.h>
#include <stdlib.h>
#include <xmmintrin.h>

#include <greenstk/ctx.h>

#include "bench.h"

static char stack[64 * 1024] __attribute__((aligned(64)));
static struct gstk_ctx here, there;
static volatile double third = 3;

enum { INLINE, CALL, CALL_FPDIFF, CALL_MODES };

static void bounce_called(uintptr_t word)
{
	for (;;)
		word = gstk_ctx_switch(&there, &here, word);
}

/* Other modes than its creator's, so each switch must load them. */
static void bounce_upward(uintptr_t word)
{
	fesetround(FE_UPWARD);
	bounce_called(word);
}

static BENCH_NOINLINE double called(uint64_t n)
{
	uint64_t t0 = bench_now();

	for (uint64_t i = 0; i < n; i++)
		gstk_ctx_switch(&here, &there, i);
	return (double)(bench_now() - t0) / (double)(2 * n);
}

#ifdef GSTK_CTX_INLINE
static void bounce_inlined(uintptr_t word)
{
	for (;;)
		word = gstk_ctx_switch_inline(&there, &here, word);
}

static BENCH_NOINLINE double inlined(uint64_t n)
{
	uint64_t t0 = bench_now();

	for (uint64_t i = 0; i < n; i++)
		gstk_ctx_switch_inline(&here, &there, i);
	return (double)(bench_now() - t0) / (double)(2 * n);
}
#endif

static void switch_run(const struct bench *b)
{
	static const gstk_ctx_entry entries[] = {
#ifdef GSTK_CTX_INLINE
		[INLINE] = bounce_inlined,
#endif
		[CALL] = bounce_called, [CALL_FPDIFF] = bounce_called, [CALL_MODES] = bounce_upward,
	};
	uint64_t n = bench_n(20000000);
	double (*run)(uint64_t) = called;
	const char *why;

	if (gstk_ctx_check(&why))
		bench_skip("%s", why);
#ifdef GSTK_CTX_INLINE
	if (b->arg == INLINE)
		run = inlined;
#else
	if (b->arg == INLINE)
		bench_skip("no inlined switch on this CPU");
#endif
	/* As the peers do: it begins with clear flags, ours are set once it is in. */
	_mm_setcsr(_mm_getcsr() & ~_MM_EXCEPT_MASK);
	bench_check(!gstk_ctx_create(&there, stack, sizeof(stack), entries[b->arg]));
	run(1);
	if (b->arg == CALL_FPDIFF)
		bench_use(1 / third);
	run(n / 10 + 1);
	bench_emit(b->name, run(n), "ns");
}

#ifdef __x86_64__
/* Hand-written on the other side, so that nothing but sp, pc and two scratch registers changes. */
void *bench_bare_here, *bench_bare_there;
void bench_bare_bounce(void);
__asm__ (
	".text\n"
	".p2align 5\n"
	".type bench_bare_bounce, @function\n"
	"bench_bare_bounce:\n"
	"1:	movq bench_bare_here(%rip), %rsi\n"
	"	leaq 2f(%rip), %rcx\n"
	"	pushq %rcx\n"
	"	movq %rsp, bench_bare_there(%rip)\n"
	"	movq (%rsi), %rdx\n"
	"	leaq 8(%rsi), %rsp\n"
	"	jmpq *%rdx\n"
	"2:	jmp 1b\n"
	".size bench_bare_bounce, . - bench_bare_bounce\n");

static BENCH_NOINLINE double bare(uint64_t n)
{
	uint64_t t0 = bench_now();

	for (uint64_t i = 0; i < n; i++) {
		/* bench_now() is called here, so this is no leaf and has no red zone. */
		void *target = bench_bare_there;

		__asm__ volatile (
			"leaq 1f(%%rip), %%rcx\n\t"
			"pushq %%rcx\n\t"
			"movq %%rsp, bench_bare_here(%%rip)\n\t"
			"movq (%%rsi), %%rdx\n\t"
			"leaq 8(%%rsi), %%rsp\n\t"
			"jmpq *%%rdx\n"
			"1:"
			: "+S" (target)
			: : GSTK__CLOBBER, "rax", "rbx", "rcx", "rdx", "rdi");
	}
	return (double)(bench_now() - t0) / (double)(2 * n);
}

static void bare_run(const struct bench *b)
{
	void **top = (void **)(stack + sizeof(stack)) - 1;
	uint64_t n = bench_n(20000000);

	*top = (void *)bench_bare_bounce;
	bench_bare_there = top;
	bare(n / 10 + 1);
	bench_emit(b->name, bare(n), "ns");
}

BENCH(switch_bare, .name = "switch.bare", .unit = "ns", .what = "a bare inlined jump to another stack: the limit",
      .run = bare_run, .cpus = 1);
#endif

BENCH(switch_inline, .name = "switch.inline", .unit = "ns", .what = "gstk_ctx_switch_inline(), without FP modes",
      .run = switch_run, .arg = INLINE, .cpus = 1);
BENCH(switch_call, .name = "switch.call", .unit = "ns", .what = "gstk_ctx_switch(), FP modes kept",
      .run = switch_run, .arg = CALL, .cpus = 1);
BENCH(switch_fpdiff, .name = "switch.call.fpdiff", .unit = "ns", .what = "the same, with differing sticky FP flags",
      .run = switch_run, .arg = CALL_FPDIFF, .cpus = 1);
BENCH(switch_modes, .name = "switch.call.modes", .unit = "ns", .what = "the same, with differing rounding modes",
      .run = switch_run, .arg = CALL_MODES, .cpus = 1);
