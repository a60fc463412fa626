// SPDX-License-Identifier: MIT
/* Cases in C++ for a harness that is C: each is what the main task does. */
#ifndef CXX_CASES_H
#define CXX_CASES_H

#ifdef __cplusplus
extern "C" {
#endif

#define CXX_CASES(X)							\
	X(tasks_give_their_exception_to_who_joins_them)			\
	X(a_task_that_goes_out_of_scope_is_cancelled_and_joined)	\
	X(a_task_is_joined_before_it_goes_however_often_that_is_cancelled) \
	X(what_was_joined_or_ended_says_so)				\
	X(outside_of_tasks_there_is_nothing_to_shield)			\
	X(channels_and_locks)						\
	X(the_first_exception_ends_a_scope)				\
	X(scopes_end_in_turn_or_stay_as_they_are)			\
	X(a_scope_that_goes_before_a_later_one_terminates)		\
	X(a_once_that_throws_did_not_run)

#define CXX_DECLARE(name) void cxx_case_##name(void);
CXX_CASES(CXX_DECLARE)

#ifdef __cplusplus
}
#endif

#endif
