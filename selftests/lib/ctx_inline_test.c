// SPDX-License-Identifier: MIT
/* Runs the cases of ctx_cases.c; built once more for each compiler and level, see ctx_matrix.mk. */
#include "kselftest_harness.h"
#include "ctx_cases.h"

#ifndef CTX_CASES_ELSEWHERE
#include "ctx_cases_impl.h"
#endif

#define CTX_TEST(name)							\
	TEST(name)							\
	{								\
		int line = ctx_case_##name();				\
									\
		if (line == CTX_SKIP)					\
			SKIP(return, "not in this variant");		\
		ASSERT_EQ(0, line) TH_LOG("ctx_cases: check failed at line %d", line); \
	}
CTX_CASES(CTX_TEST)

TEST_HARNESS_MAIN
