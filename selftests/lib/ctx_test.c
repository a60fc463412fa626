// SPDX-License-Identifier: MIT
/* gstk_ctx_*: the public context layer. */
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include <greenstk.h>

#include "know_stack.h"
#include "kselftest_harness.h"
#include "arch/arch.h"
#define CTX_PATTERNS
#include "ctx_arch.h"
#include "ctx_step.h"

static char stack_a[1 << 16] __attribute__((aligned(64)));
static char stack_b[1 << 16] __attribute__((aligned(64)));
static struct gstk_ctx main_ctx, a, b;

static void answer_called(uintptr_t word)
{
	for (;;)
		word = gstk_ctx_switch(&a, &main_ctx, word + 1);
}

static void answer_inlined(uintptr_t word)
{
	for (;;)
		word = gstk_ctx_switch_inline(&a, &main_ctx, word + 1);
}

static void answer_by_turns(uintptr_t word)
{
	for (;;) {
		word = gstk_ctx_switch(&a, &main_ctx, word + 1);
		word = gstk_ctx_switch_inline(&a, &main_ctx, word + 1);
		word = gstk_ctx_switch_inline(&a, &main_ctx, word + 1);
	}
}

TEST(create_refuses_what_cannot_work)
{
	ASSERT_EQ(-EINVAL, gstk_ctx_create(NULL, stack_a, sizeof(stack_a), answer_called));
	ASSERT_EQ(-EINVAL, gstk_ctx_create(&a, NULL, sizeof(stack_a), answer_called));
	ASSERT_EQ(-EINVAL, gstk_ctx_create(&a, stack_a, sizeof(stack_a), NULL));
	ASSERT_EQ(-EINVAL, gstk_ctx_create(&a, stack_a, GSTK_CTX_STACK_MIN - 1, answer_called));
	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, GSTK_CTX_STACK_MIN, answer_called));
	ASSERT_EQ(8, gstk_ctx_switch(&main_ctx, &a, 7));
}

TEST(words_travel_both_ways)
{
	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), answer_called));
	for (uintptr_t i = 0; i < 100; i++)
		ASSERT_EQ(3 * i + 1, gstk_ctx_switch(&main_ctx, &a, 3 * i));
	ASSERT_EQ(0, gstk_ctx_switch(&main_ctx, &a, UINTPTR_MAX));
}

TEST(both_forms_resume_each_other)
{
	static const gstk_ctx_entry entries[] = { answer_called, answer_inlined, answer_by_turns };

	for (int e = 0; e < 3; e++)
		for (int first = 0; first < 2; first++) {
			ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), entries[e]));
			for (uintptr_t i = 0; i < 50; i++)
				ASSERT_EQ(i + 1, (i + first) % 2 ?
					  gstk_ctx_switch(&main_ctx, &a, i) :
					  gstk_ctx_switch_inline(&main_ctx, &a, i));
		}
}

uint64_t switch_with_patterns(struct gstk_ctx *from, const struct gstk_ctx *to, uintptr_t word);

static void answer_with_garbage(uintptr_t word)
{
	for (;;) {
		ctx_spoil_kept();
		word = word & 1 ? gstk_ctx_switch(&a, &main_ctx, word + 1) :
			gstk_ctx_switch_inline(&a, &main_ctx, word + 1);
	}
}

TEST(callee_saved_registers_are_kept)
{
	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), answer_with_garbage));
	for (uintptr_t i = 0; i < 10; i++)
		ASSERT_EQ(0, switch_with_patterns(&main_ctx, &a, i));
}

static struct { int nr; uintptr_t word[4]; uintptr_t at[4]; void *left; } trace;

static uintptr_t triple(uintptr_t word)
{
	trace.word[trace.nr] = word;
	trace.at[trace.nr++] = (uintptr_t)__builtin_frame_address(0);
	trace.left = main_ctx.sp;
	return word * 3;
}

static void log_words(uintptr_t word)
{
	for (;;) {
		trace.word[trace.nr] = word;
		trace.at[trace.nr++] = (uintptr_t)__builtin_frame_address(0);
		word = gstk_ctx_switch(&a, &main_ctx, word);
	}
}

static void log_words_inlined(uintptr_t word)
{
	for (;;) {
		trace.word[trace.nr] = word;
		trace.at[trace.nr++] = (uintptr_t)__builtin_frame_address(0);
		word = gstk_ctx_switch_inline(&a, &main_ctx, word);
	}
}

TEST(ontop_runs_on_the_target_and_its_result_is_the_word)
{
	for (int inlined = 0; inlined < 2; inlined++) {
		ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a),
					     inlined ? log_words_inlined : log_words));
		for (int round = 0; round < 3; round++) {       /* the first on a fresh stack */
			memset(&trace, 0, sizeof(trace));
			main_ctx.sp = NULL;
			ASSERT_EQ(21, gstk_ctx_switch_ontop(&main_ctx, &a, triple, 7));
			ASSERT_EQ(2, trace.nr);
			ASSERT_EQ(7, trace.word[0]);
			ASSERT_EQ(21, trace.word[1]);
			ASSERT_TRUE(trace.at[0] > (uintptr_t)stack_a &&
				    trace.at[0] < (uintptr_t)(stack_a + sizeof(stack_a)));
			ASSERT_EQ(0, trace.at[0] & 15);
			ASSERT_EQ(main_ctx.sp, trace.left);
			ASSERT_NE(NULL, trace.left);
		}
	}
}

static void leave(uintptr_t word)
{
	gstk_ctx_leave(&main_ctx, word + 5);
}

TEST(a_context_that_left_needs_its_stack_no_more)
{
	for (uintptr_t i = 0; i < 100; i++) {
		ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), leave));
		ASSERT_EQ(i + 5, gstk_ctx_switch(&main_ctx, &a, i));
		memset(stack_a, 0xff, sizeof(stack_a));
	}
}

static int rounding_wrong;

static void rounds_up(uintptr_t word)
{
	fesetround(FE_UPWARD);
	for (;;) {
		gstk_ctx_switch(&a, &main_ctx, 0);
		rounding_wrong += fegetround() != FE_UPWARD;
	}
}

static void rounds_down(uintptr_t word)
{
	/* Modes of who created it. */
	rounding_wrong += fegetround() != FE_TOWARDZERO;
	fesetround(FE_DOWNWARD);
	for (;;) {
		gstk_ctx_switch(&b, &main_ctx, 0);
		rounding_wrong += fegetround() != FE_DOWNWARD;
	}
}

static uintptr_t check_rounding(uintptr_t word)
{
	rounding_wrong += fegetround() != FE_TONEAREST;
	return word;
}

TEST(fp_modes_are_kept_per_context)
{
	if (UNDER_VALGRIND())
		SKIP(return, "valgrind has no FP modes");
	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), rounds_up));
	fesetround(FE_TOWARDZERO);
	ASSERT_EQ(0, gstk_ctx_create(&b, stack_b, sizeof(stack_b), rounds_down));
	fesetround(FE_TONEAREST);
	for (int i = 0; i < 10; i++) {
		gstk_ctx_switch(&main_ctx, &a, 0);
		ASSERT_EQ(FE_TONEAREST, fegetround());
		gstk_ctx_switch(&main_ctx, &b, 0);
		ASSERT_EQ(FE_TONEAREST, fegetround());
		gstk_ctx_switch_ontop(&main_ctx, &a, check_rounding, 0);
		ASSERT_EQ(FE_TONEAREST, fegetround());
		/* The inlined form leaves the modes as they are; a called target sets its own. */
		gstk_ctx_switch_inline(&main_ctx, &b, 0);
		ASSERT_EQ(FE_DOWNWARD, fegetround());
		fesetround(FE_TONEAREST);
	}
	ASSERT_EQ(0, rounding_wrong);
}

/* a gets the modes of its creator, b changes its own once it runs. */
static uint32_t modes_of_a, modes_of_b;

static void has_modes_of_a(uintptr_t word)
{
	for (;;) {
		rounding_wrong += modes() != modes_of_a;
		gstk_ctx_switch(&a, &main_ctx, 0);
	}
}

static void sets_modes_of_b(uintptr_t word)
{
	set_modes(modes_of_b);
	for (;;) {
		gstk_ctx_switch(&b, &main_ctx, 0);
		rounding_wrong += modes() != modes_of_b;
	}
}

TEST(each_fp_mode_is_kept)
{
	static const uint32_t flips[] = CTX_MODE_FLIPS;
	uint32_t mine = modes();

	if (UNDER_VALGRIND())
		SKIP(return, "valgrind has no FP modes");
	for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
		modes_of_a = modes_of_b = mine ^ flips[i];
		set_modes(modes_of_a);
		ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), has_modes_of_a));
		set_modes(mine);
		ASSERT_EQ(0, gstk_ctx_create(&b, stack_b, sizeof(stack_b), sets_modes_of_b));
		for (int round = 0; round < 3; round++) {
			gstk_ctx_switch(&main_ctx, &a, 0);
			ASSERT_EQ(mine, modes());
			gstk_ctx_switch(&main_ctx, &b, 0);
			ASSERT_EQ(mine, modes());
			/* The target is resumed by an inlined site, and we by its called one. */
			gstk_ctx_switch_inline(&main_ctx, &a, 0);
			ASSERT_EQ(modes_of_a, modes());
			set_modes(mine);
			gstk_ctx_switch_inline(&main_ctx, &b, 0);
			ASSERT_EQ(modes_of_b, modes());
			set_modes(mine);
		}
	}
	ASSERT_EQ(0, rounding_wrong);
}

static void raises_inexact(uintptr_t word)
{
	volatile double one = 1, three = 3, third;

	for (;;) {
		feclearexcept(FE_ALL_EXCEPT);
		third = one / three;
		gstk_ctx_switch(&a, &main_ctx, third > 0);
	}
}

/* If differing sticky flags made it load mxcsr, the old flags would be back. */
TEST(sticky_flags_cost_no_load)
{
	if (UNDER_VALGRIND())
		SKIP(return, "valgrind has no sticky FP flags");
	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), raises_inexact));
	for (int i = 0; i < 10; i++) {
		feclearexcept(FE_ALL_EXCEPT);
		gstk_ctx_switch(&main_ctx, &a, 0);
		ASSERT_NE(0, fetestexcept(FE_INEXACT));
	}
}

static void unmasks(uintptr_t word)
{
	volatile long double x = 1;

	feenableexcept(FE_DIVBYZERO);
	for (;;) {
		gstk_ctx_switch(&a, &main_ctx, 0);
		x = x + 1;
	}
}

TEST(a_sticky_flag_does_not_trap_where_it_is_unmasked)
{
	volatile long double zero = 0, inf;

	if (feenableexcept(0) < 0 || feenableexcept(FE_DIVBYZERO) < 0)
		SKIP(return, "this processor has no FP traps");
	fedisableexcept(FE_ALL_EXCEPT);
	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), unmasks));
	gstk_ctx_switch(&main_ctx, &a, 0);
	inf = 1 / zero;
	ASSERT_TRUE(inf > 0);
	gstk_ctx_switch(&main_ctx, &a, 0);
}

static void returns(uintptr_t word)
{
}

TEST(an_entry_that_returns_is_told_and_aborts)
{
	char text[256] = "";
	int pipes[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		dup2(pipes[1], 2);
		gstk_ctx_create(&a, stack_a, sizeof(stack_a), returns);
		gstk_ctx_switch(&main_ctx, &a, 0);
		_exit(0);
	}
	close(pipes[1]);
	ASSERT_LT(0, read(pipes[0], text, sizeof(text) - 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	ASSERT_NE(NULL, strstr(text, "gstk_ctx_leave"));
}

#define NR_MANY 10000
static struct gstk_ctx *many;
static uintptr_t many_sum;

static void next_of_many(uintptr_t i)
{
	for (;;) {
		many_sum += i;
		if (i + 1 == NR_MANY)
			gstk_ctx_switch(&many[i], &main_ctx, 0);
		else
			gstk_ctx_switch(&many[i], &many[i + 1], i + 1);
	}
}

TEST(ten_thousand_contexts_pass_the_word_along)
{
	char *stacks = malloc(NR_MANY * 4096ul);

	many = calloc(NR_MANY, sizeof(*many));
	ASSERT_TRUE(stacks && many);
	for (size_t i = 0; i < NR_MANY; i++)
		KNOW_STACK(stacks + i * 4096, 4096);
	for (size_t i = 0; i < NR_MANY; i++)
		ASSERT_EQ(0, gstk_ctx_create(&many[i], stacks + i * 4096, 4096, next_of_many));
	for (int i = 0; i < 5; i++)
		gstk_ctx_switch(&main_ctx, &many[0], 0);
	ASSERT_EQ(5ul * NR_MANY * (NR_MANY - 1) / 2, many_sum);
	free(many);
	free(stacks);
}

static void count_across(uintptr_t back)
{
	uintptr_t i = 0;

	for (;;)
		back = gstk_ctx_switch(&a, (struct gstk_ctx *)back, ++i);
}

static void *resume_once(void *got)
{
	struct gstk_ctx here;

	*(uintptr_t *)got = gstk_ctx_switch(&here, &a, (uintptr_t)&here);
	return NULL;
}

TEST(another_thread_may_resume)
{
	pthread_t thread;
	uintptr_t got;

	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), count_across));
	for (uintptr_t i = 1; i < 40; i += 2) {
		ASSERT_EQ(i, gstk_ctx_switch(&main_ctx, &a, (uintptr_t)&main_ctx));
		ASSERT_EQ(0, pthread_create(&thread, NULL, resume_once, &got));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(i + 1, got);
	}
}

static int nr_asked;

static long shadow_stack_is_on(unsigned long *features)
{
	nr_asked++;
	*features = 1;
	return 0;
}

static long only_write_is_on(unsigned long *features)
{
	*features = 2;
	return 0;
}

static void *create_in_new_thread(void *result)
{
	struct gstk_ctx ctx;

	*(int *)result = gstk_ctx_create(&ctx, stack_b, sizeof(stack_b), answer_called);
	return NULL;
}

TEST(shadow_stacks_are_refused_with_advice)
{
	const char *why = NULL;
	pthread_t thread;
	int result = 0;

	gstk__shstk_status = only_write_is_on;
	ASSERT_EQ(0, gstk_ctx_check(&why));
	ASSERT_EQ(NULL, why);
	gstk__shstk_status = shadow_stack_is_on;
	ASSERT_EQ(-ENOTSUP, gstk_ctx_check(&why));
	ASSERT_NE(NULL, why);
	ASSERT_NE(NULL, strstr(why, CTX_SHADOW_STACK));
	ASSERT_NE(NULL, strstr(why, "GLIBC_TUNABLES=glibc.cpu."));
	ASSERT_EQ(-ENOTSUP, gstk_ctx_check(NULL));
	ASSERT_EQ(-ENOTSUP, gstk_ctx_create(&a, stack_a, sizeof(stack_a), answer_called));
	/* Each thread has a shadow stack of its own, or none. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, create_in_new_thread, &result));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(-ENOTSUP, result);
	ASSERT_LT(3, nr_asked);
}

TEST(a_runtime_does_not_begin_on_a_shadow_stack)
{
	gstk__shstk_status = shadow_stack_is_on;
	ASSERT_EQ(-ENOTSUP, gstk_init(NULL));
	gstk__shstk_status = only_write_is_on;
	ASSERT_EQ(0, gstk_init(NULL));
	ASSERT_EQ(0, gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER));
}

/* Stepping: m, c: where the switches are; M, C: who called them. */
static struct step_test stepping;

static __attribute__((noinline)) uintptr_t site_main(uintptr_t word)
{
	word += gstk_ctx_switch(&main_ctx, &a, word);
	word += gstk_ctx_switch_inline(&main_ctx, &a, word);
	word += gstk_ctx_switch_ontop(&main_ctx, &a, check_rounding, word);
	return word + 1;
}

static __attribute__((noinline)) uintptr_t site_co(uintptr_t word)
{
	word += gstk_ctx_switch(&a, &main_ctx, word);
	word += gstk_ctx_switch_inline(&a, &main_ctx, word);
	return word + 1;
}

static __attribute__((noinline)) void step_entry(uintptr_t word)
{
	for (;;)
		word = site_co(word) + 1;
}

static __attribute__((noinline)) uintptr_t step_caller(void)
{
	uintptr_t got = 0;

	step_on();
	for (int i = 0; i < 4; i++)
		got += site_main(i);
	stepping.stop = 1;
	return got;
}

TEST(backtrace_ends_at_every_instruction)
{
	static const char *const rows[] = { "mM", "M", "cCS", "CS", "S", "mcCS", "cmM" };
	const struct step_fn fns[] = {
		{ 'm', (uintptr_t)site_main }, { 'M', (uintptr_t)step_caller },
		{ 'c', (uintptr_t)site_co }, { 'C', (uintptr_t)step_entry },
		{ STEP_START, (uintptr_t)gstk__ctx_start - 1 },
	};

	if (!step_possible())
		SKIP(return, "no single-stepping in this variant");
	memcpy(stepping.fns, fns, sizeof(fns));
	memcpy(stepping.rows, rows, sizeof(rows));
	stepping.base = (uintptr_t)(stack_a + sizeof(stack_a));
	stepping.bytes = sizeof(stack_a);
	ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), step_entry));
	step_prepare(&stepping);
	step_caller();
	ASSERT_EQ(0, stepping.wrong);
	ASSERT_LT(300, stepping.steps);
	ASSERT_LT(0, stepping.met[5]);
	ASSERT_LT(0, stepping.met[6]);
}

TEST_HARNESS_MAIN
