// SPDX-License-Identifier: MIT
/* Runs ctx_exceptions.cc: the kernel's harness is not C++. */
#include "kselftest_harness.h"
#include "ctx_exceptions.h"

#define CTX_EXCEPTION_TEST(name)					\
	TEST(name)							\
	{								\
		int line = ctx_case_##name();				\
									\
		ASSERT_EQ(0, line) TH_LOG("ctx_exceptions.cc: check failed at line %d", line); \
	}
CTX_EXCEPTION_CASES(CTX_EXCEPTION_TEST)

TEST_HARNESS_MAIN
