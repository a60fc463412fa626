// SPDX-License-Identifier: MIT
/* Runs cxx_cases.cc: the kernel's harness is not C++. */
#include "wait_test.h"
#include "cxx_cases.h"

#define CXX_TEST(name) \
	TEST(name##_with_one_worker) { with_workers(1, cxx_case_##name); } \
	TEST(name##_with_two_workers) { with_workers(2, cxx_case_##name); }
CXX_CASES(CXX_TEST)

TEST_HARNESS_MAIN
