// SPDX-License-Identifier: MIT
/* Cases in C++ for a harness that is C. Each returns 0 or the line of the failed check. */
#ifndef CTX_EXCEPTIONS_H
#define CTX_EXCEPTIONS_H

#ifdef __cplusplus
extern "C" {
#endif

#define CTX_EXCEPTION_CASES(X)						\
	X(thrown_and_caught_inside_a_context)				\
	X(an_exception_leaves_frames_that_were_switched_away_from)	\
	X(an_exception_of_the_caller_passes_while_contexts_are_suspended) \
	X(an_uncaught_exception_terminates_cleanly)

#define CTX_EXCEPTION_DECLARE(name) int ctx_case_##name(void);
CTX_EXCEPTION_CASES(CTX_EXCEPTION_DECLARE)

#ifdef __cplusplus
}
#endif

#endif
