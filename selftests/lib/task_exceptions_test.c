// SPDX-License-Identifier: MIT
/* Runs task_exceptions.cc: the kernel's harness is not C++. */
#include "wait_test.h"
#include "task_exceptions.h"

#define TASK_EXCEPTION_TEST(name) \
	TEST(name##_with_one_worker) { with_workers(1, task_case_##name); } \
	TEST(name##_with_two_workers) { with_workers(2, task_case_##name); }
TASK_EXCEPTION_CASES(TASK_EXCEPTION_TEST)

TEST_HARNESS_MAIN
