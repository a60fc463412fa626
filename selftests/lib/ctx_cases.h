// SPDX-License-Identifier: MIT
/*
 * The inlined switch under every compiler and optimisation level: ctx_cases.c is compiled many
 * times (C and C++), ctx_inline_test.c once. A case returns 0, the line of the failed check, or
 * CTX_SKIP.
 */
#ifndef CTX_CASES_H
#define CTX_CASES_H

#ifdef __cplusplus
extern "C" {
#endif

#define CTX_SKIP (-1)

#define CTX_CASES(X)						\
	X(words_travel_both_ways)				\
	X(a_fresh_stack_costs_one_frame)			\
	X(leaf_function_keeps_its_red_zone)			\
	X(leaf_function_keeps_its_red_zone_with_ontop)		\
	X(live_values_survive)					\
	X(inlined_copies_and_unrolled_loops_agree)		\
	X(dynamic_and_overaligned_locals_survive)		\
	X(recursion_suspends_at_every_depth)			\
	X(ontop_runs_on_the_target_after_the_caller_left)	\
	X(ontop_runs_before_a_fresh_stack_starts)		\
	X(stacks_are_aligned)					\
	X(final_switch_gives_the_stack_up)			\
	X(signals_do_not_hurt_frames)				\
	X(fp_modes_are_kept_by_control_bits)			\
	X(backtrace_ends_at_every_instruction)

#define CTX_DECLARE(name) int ctx_case_##name(void);
CTX_CASES(CTX_DECLARE)

#ifdef __cplusplus
}
#endif

#endif
