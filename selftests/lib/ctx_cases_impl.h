// SPDX-License-Identifier: MIT
/* The cases: C that is C++ too. Included by the one file that is compiled with the flags at hand. */
#include <alloca.h>
#include <fenv.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "know_stack.h"
#include "arch/arch.h"
#include "ctx_arch.h"
#include "ctx_cases.h"
#include "ctx_step.h"

#define CHECK(cond) do { if (!(cond)) return __LINE__; } while (0)
#define NOINLINE __attribute__((noinline))

static char stack_a[1 << 16] __attribute__((aligned(64)));
static void *main_sp, *co_sp;
static volatile uintptr_t opaque = 1;

/* What the compiler must not see through. */
static inline uintptr_t hide(uintptr_t x)
{
	return x * opaque;
}

/* Leave garbage in everything that a switch does not keep, then answer word + 1, forever. */
static void answer(uintptr_t word)
{
	for (;;) {
		ctx_spoil();
		word = gstk__switch(&co_sp, main_sp, word + 1);
	}
}

/* What the next fresh stack runs, for ever. */
static void (*entry)(uintptr_t word);

static NOINLINE struct gstk__begin begin(uintptr_t word, bool ended)
{
	return (struct gstk__begin){ ended ? (uintptr_t)abort : (uintptr_t)entry, (void *)word };
}

static void fresh(void (*fn)(uintptr_t))
{
	memset(stack_a, 0xa5, sizeof(stack_a));
	entry = fn;
	co_sp = gstk__stack_prepare(stack_a + sizeof(stack_a), begin);
}

static inline uintptr_t ask(uintptr_t word)
{
	return gstk__switch(&main_sp, co_sp, word);
}

int ctx_case_words_travel_both_ways(void)
{
	fresh(answer);
	CHECK(ask(41) == 42);
	CHECK(ask(0) == 1);
	CHECK(ask(UINTPTR_MAX) == 0);
	CHECK(ask(UINTPTR_MAX - 7) == UINTPTR_MAX - 6);
	return 0;
}

int ctx_case_a_fresh_stack_costs_one_frame(void)
{
	struct gstk__regs regs;
	char *base = stack_a + sizeof(stack_a);

	fresh(answer);
	CHECK(co_sp == base - GSTK__FRAME_SIZE);
	gstk__frame_regs(co_sp, (uintptr_t)co_sp, &regs);
	CHECK(regs.fp == 0 && regs.sp == (uintptr_t)base);
	/* Any base is rounded down, never up. */
	CHECK((char *)gstk__stack_prepare(base - 1, begin) == base - 16 - GSTK__FRAME_SIZE);
	CHECK((char *)gstk__stack_prepare(base - 15, begin) == base - 16 - GSTK__FRAME_SIZE);
	return 0;
}

/* Nothing but locals and a switch: where the compiler has a red zone it puts them there. */
static NOINLINE unsigned int leaf(uintptr_t seed)
{
	volatile uintptr_t local[15];
	unsigned int i, bad = 0;

	for (i = 0; i < 15; i++)
		local[i] = seed + i;
	gstk__switch(&main_sp, co_sp, seed);
	for (i = 0; i < 15; i++)
		bad += local[i] != seed + i;
	return bad;
}

int ctx_case_leaf_function_keeps_its_red_zone(void)
{
	fresh(answer);
	CHECK(leaf(0x1234567800000000) == 0);
	CHECK(leaf(0x8765432100000000) == 0);
	return 0;
}

static void stomp(void *arg)
{
	volatile char space[512];
	unsigned int i;

	for (i = 0; i < sizeof(space); i++)
		space[i] = (char)(uintptr_t)arg;
}

static NOINLINE unsigned int leaf_ontop(uintptr_t seed)
{
	volatile uintptr_t local[15];
	unsigned int i, bad = 0;

	for (i = 0; i < 15; i++)
		local[i] = seed + i;
	gstk__switch_ontop(&main_sp, co_sp, stomp, (void *)seed);
	for (i = 0; i < 15; i++)
		bad += local[i] != seed + i;
	return bad;
}

static void answer_from_leaf(uintptr_t word)
{
	for (;;) {
		volatile uintptr_t local[4] = { word, word + 1, word + 2, word + 3 };
		uintptr_t next = gstk__switch_ontop(&co_sp, main_sp, stomp, (void *)word);

		if (local[0] != word || local[3] != word + 3)
			abort();
		word = next;
	}
}

int ctx_case_leaf_function_keeps_its_red_zone_with_ontop(void)
{
	fresh(answer_from_leaf);
	CHECK(leaf_ontop(0x1234567800000000) == 0);
	CHECK(leaf_ontop(0x8765432100000000) == 0);
	return 0;
}

int ctx_case_live_values_survive(void)
{
	uintptr_t i[14], sum = 0;
	double d[12];
	long double l[3];
	unsigned int k;

	fresh(answer);
	for (k = 0; k < 3; k++) {
		uintptr_t a = hide(11), b = hide(12), c = hide(13), e = hide(14), f = hide(15),
			  g = hide(16), h = hide(17), j = hide(18);
		double x = (double)hide(21), y = (double)hide(22), z = (double)hide(23);
		long double m = (long double)hide(31) / 3, n = (long double)hide(32) / 3;

		CHECK(ask(k) == k + 1);
		i[0] = a; i[1] = b; i[2] = c; i[3] = e; i[4] = f; i[5] = g; i[6] = h; i[7] = j;
		d[0] = x; d[1] = y; d[2] = z;
		l[0] = m; l[1] = n;
		for (sum = 0, a = 0; a < 8; a++)
			sum += i[a];
		CHECK(sum == 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18);
		CHECK(d[0] == 21 && d[1] == 22 && d[2] == 23);
		CHECK(l[0] == (long double)31 / 3 && l[1] == (long double)32 / 3);
	}
	return 0;
}

static inline __attribute__((always_inline)) uintptr_t ask_twice(uintptr_t word)
{
	return ask(ask(word));
}

int ctx_case_inlined_copies_and_unrolled_loops_agree(void)
{
	uintptr_t word = 0;
	int i;

	fresh(answer);
	CHECK(ask_twice(ask_twice(ask_twice(5))) == 11);
#pragma GCC unroll 4
	for (i = 0; i < 16; i++)
		word = ask_twice(word);
	CHECK(word == 32);
	for (i = 0; i < 1000; i++)
		word = i & 1 ? ask(word) : ask_twice(word);
	CHECK(word == 32 + 1500);
	return 0;
}

static NOINLINE int dynamic(size_t n)
{
	volatile char fixed[40] __attribute__((aligned(64)));
	char *dyn = (char *)alloca(n);
	size_t i;

	memset(dyn, 0x5a, n);
	for (i = 0; i < 40; i++)
		fixed[i] = (char)i;
	CHECK(((uintptr_t)fixed & 63) == 0);
	CHECK(ask(n) == n + 1);
	for (i = 0; i < n; i++)
		CHECK(dyn[i] == 0x5a);
	for (i = 0; i < 40; i++)
		CHECK(fixed[i] == (char)i);
	return 0;
}

int ctx_case_dynamic_and_overaligned_locals_survive(void)
{
	size_t n;
	int line;

	fresh(answer);
	for (n = 1; n < 400; n += 13) {
		line = dynamic(n);
		if (line)
			return line;
	}
	return 0;
}

static NOINLINE uintptr_t deep(uintptr_t depth)
{
	uintptr_t before = hide(depth), got = ask(depth), below = depth ? deep(depth - 1) : 0;

	return ask(got) == depth + 2 && before == depth ? below + 1 : 0;
}

int ctx_case_recursion_suspends_at_every_depth(void)
{
	fresh(answer);
	CHECK(deep(200) == 201);
	return 0;
}

static struct { int nr; int what[8]; uintptr_t where; void *left; } trace;

static void note_ontop(void *arg)
{
	trace.what[trace.nr++] = 1;
	trace.where = (uintptr_t)__builtin_frame_address(0);
	trace.left = *(void **)arg;
}

static int on_stack_a(uintptr_t at)
{
	return at >= (uintptr_t)stack_a && at < (uintptr_t)stack_a + sizeof(stack_a);
}

static void log_answers(uintptr_t word)
{
	for (;;) {
		trace.what[trace.nr++] = 2;
		word = gstk__switch(&co_sp, main_sp, word);
	}
}

int ctx_case_ontop_runs_on_the_target_after_the_caller_left(void)
{
	fresh(log_answers);
	ask(0);
	memset(&trace, 0, sizeof(trace));
	main_sp = NULL;
	CHECK(gstk__switch_ontop(&main_sp, co_sp, note_ontop, &main_sp) == (uintptr_t)&main_sp);
	CHECK(trace.nr == 2 && trace.what[0] == 1 && trace.what[1] == 2);
	CHECK(on_stack_a(trace.where));
	/* The callback saw where we were suspended. */
	CHECK(trace.left == main_sp && trace.left != NULL);
	return 0;
}

int ctx_case_ontop_runs_before_a_fresh_stack_starts(void)
{
	fresh(log_answers);
	memset(&trace, 0, sizeof(trace));
	main_sp = NULL;
	CHECK(gstk__switch_ontop(&main_sp, co_sp, note_ontop, &main_sp) == (uintptr_t)&main_sp);
	CHECK(trace.nr == 2 && trace.what[0] == 1 && trace.what[1] == 2);
	CHECK(on_stack_a(trace.where));
	CHECK(trace.left == main_sp);
	return 0;
}

/* What the ABI promises every function that others may call. */
static NOINLINE uintptr_t frame_misalignment(void)
{
	return (uintptr_t)__builtin_frame_address(0) & 15;
}
/* Through a pointer: for functions that it knows, gcc aligns no more than they need. */
static uintptr_t (*volatile misalignment)(void) = frame_misalignment;

static void align_callback(void *arg)
{
	*(uintptr_t *)arg |= (uintptr_t)(__builtin_frame_address(0)) & 15;
	*(uintptr_t *)arg |= misalignment();
}

static void align_entry(uintptr_t word)
{
	for (;;) {
		word = ((uintptr_t)__builtin_frame_address(0) & 15) | misalignment();
		gstk__switch(&co_sp, main_sp, word);
	}
}

int ctx_case_stacks_are_aligned(void)
{
	uintptr_t bad = 0;
	unsigned int off;

	entry = align_entry;
	for (off = 0; off < 32; off++) {
		co_sp = gstk__stack_prepare(stack_a + sizeof(stack_a) - off, begin);
		gstk__switch_ontop(&main_sp, co_sp, align_callback, &bad);
		CHECK(bad == 0);
		CHECK(ask(0) == 0);
		gstk__switch_ontop(&main_sp, co_sp, align_callback, &bad);
		CHECK(bad == 0);
		CHECK(misalignment() == 0);
	}
	return 0;
}

static void leave_at_once(uintptr_t word)
{
	gstk__switch_final(main_sp, word * 3);
}

int ctx_case_final_switch_gives_the_stack_up(void)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		fresh(leave_at_once);
		CHECK(ask(i) == 3 * i);
		memset(stack_a, 0xff, sizeof(stack_a));
	}
	return 0;
}

static volatile sig_atomic_t nr_signals;

static void stomping_handler(int sig)
{
	stomp((void *)0x77);
	nr_signals++;
}

/* The handler runs on whatever stack is current, so it overwrites all that is below it. */
int ctx_case_signals_do_not_hurt_frames(void)
{
	struct itimerval on = { { 0, 20 }, { 0, 20 } }, off = { { 0, 0 }, { 0, 0 } };
	uintptr_t i;

#ifdef __SANITIZE_THREAD__
	return CTX_SKIP; /* it holds signals back until the next system call */
#endif
	fresh(answer);
	signal(SIGALRM, stomping_handler);
	setitimer(ITIMER_REAL, &on, NULL);
	for (i = 0; nr_signals < 2000 && i < 100000000; i++) {
		if (ask(i) != i + 1 || leaf(i)) {
			setitimer(ITIMER_REAL, &off, NULL);
			return __LINE__;
		}
	}
	setitimer(ITIMER_REAL, &off, NULL);
	CHECK(nr_signals >= 1000);
	return 0;
}

int ctx_case_fp_modes_are_kept_by_control_bits(void)
{
	struct gstk__fp mine, up;
	volatile double one = 1, three = 3, down_third, up_third;

	gstk__fp_save(&mine);
	down_third = one / three;
	fesetround(FE_UPWARD);
	gstk__fp_save(&up);
	CHECK(mine.control != up.control && (!CTX_HAS_X87 || mine.x87 != up.x87));
	gstk__fp_restore(&mine);
	CHECK(fegetround() == FE_TONEAREST);
	gstk__fp_restore(&up);
	CHECK(fegetround() == FE_UPWARD);
	if (UNDER_VALGRIND())
		return 0; /* it computes in one mode and has no sticky flags */
	up_third = one / three;
	CHECK(up_third > down_third);
	CHECK(ctx_rounds_upward());
	/* Sticky flags are nobody's: restoring does not touch them. */
	feclearexcept(FE_ALL_EXCEPT);
	gstk__fp_save(&up);
	down_third = one / three;
	CHECK(fetestexcept(FE_INEXACT));
	gstk__fp_restore(&up);
	CHECK(fetestexcept(FE_INEXACT));
	gstk__fp_restore(&mine);
	CHECK(fetestexcept(FE_INEXACT));
	return 0;
}

static struct step_test stepping;

static NOINLINE uintptr_t step_site_main(uintptr_t word)
{
	uintptr_t got = gstk__switch(&main_sp, co_sp, word);

	return gstk__switch_ontop(&main_sp, co_sp, stomp, (void *)got) + opaque;
}

static NOINLINE uintptr_t step_site_co(uintptr_t word)
{
	return gstk__switch(&co_sp, main_sp, word) + opaque;
}

static NOINLINE void step_entry(uintptr_t word)
{
	for (;;)
		word = step_site_co(word) + opaque;
}

static NOINLINE uintptr_t step_caller(void)
{
	uintptr_t got = 0, i;

	step_on();
	for (i = 0; i < 3; i++)
		got += step_site_main(i);
	stepping.stop = 1;
	return got + opaque;
}

int ctx_case_backtrace_ends_at_every_instruction(void)
{
	/* m, c: where the switches are; M, C: who called them. */
	const struct step_fn fns[] = {
		{ 'm', (uintptr_t)step_site_main }, { 'M', (uintptr_t)step_caller },
		{ 'c', (uintptr_t)step_site_co }, { 'C', (uintptr_t)step_entry },
		{ 'b', (uintptr_t)begin }, { STEP_START, (uintptr_t)gstk__task_start - CTX_NOP },
	};
	/* From the sixth on, but for the last: the instructions where pc is still here and all else there. */
	static const char *const rows[] = { "mM", "M", "cCS", "CS", "S", "mcCS", "mS", "cmM", "bS" };

	if (!step_possible())
		return CTX_SKIP;
	memcpy(stepping.fns, fns, sizeof(fns));
	memcpy(stepping.rows, rows, sizeof(rows));
	stepping.base = (uintptr_t)(stack_a + sizeof(stack_a));
	stepping.bytes = sizeof(stack_a);
	step_prepare(&stepping);
	fresh(step_entry);
	step_caller();
	CHECK(stepping.wrong == 0);
	CHECK(stepping.steps > 100);
	CHECK(stepping.met[5] > 0 && stepping.met[6] > 0 && stepping.met[7] > 0 && stepping.met[8] > 0);
	return 0;
}
