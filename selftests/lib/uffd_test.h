// SPDX-License-Identifier: MIT
/* For suites of GREENSTK_BACKEND=uffd: whether it may be used here, and what is counted. */
#ifndef UFFD_TEST_H
#define UFFD_TEST_H

#include "host/uffd.h"
#include "report_test.h"

static inline bool available(void)
{
	bool is = gstk__uffd_open() == 0;

	if (!is)
		fprintf(stderr, "# %s\n", gstk__uffd.why);
	gstk__uffd_close();
	return is;
}

#define NEEDS_UFFD(child)                                                \
	do {                                                             \
		if (!available())                                        \
			SKIP(return, "userfaultfd is forbidden here");   \
		ASSERT_EQ(0, in_child(child)) TH_LOG("%s", report);      \
	} while (0)

static inline struct gstk_stats stats(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st;
}

#endif
