// SPDX-License-Identifier: MIT
/* Cases in C++ for a harness that is C: each is what the main task does. */
#ifndef TASK_EXCEPTIONS_H
#define TASK_EXCEPTIONS_H

#ifdef __cplusplus
extern "C" {
#endif

#define TASK_EXCEPTION_CASES(X)				\
	X(a_handler_that_parks_keeps_its_exception)	\
	X(nobody_sees_the_exceptions_of_another)	\
	X(unwinding_waits_in_a_destructor)		\
	X(a_task_that_exits_in_a_handler_leaves_nothing)

#define TASK_EXCEPTION_DECLARE(name) void task_case_##name(void);
TASK_EXCEPTION_CASES(TASK_EXCEPTION_DECLARE)

#ifdef __cplusplus
}
#endif

#endif
