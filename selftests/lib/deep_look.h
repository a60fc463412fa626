/* SPDX-License-Identifier: MIT */
/* Looks at deep stacks from outside: the dump, and gdb. Their tasks wait in seen_in_the_dump(). */
#ifndef GREENSTK_TEST_DEEP_LOOK_H
#define GREENSTK_TEST_DEEP_LOOK_H

#include <sys/prctl.h>
#include "deep_stack.h"

static inline void dump(void)
{
	CHECK_EQ(gstk_dump(2, true), 0);
}

/* How often the frame whose return address is on the last page is followed by what that names. */
static inline int whole_stacks(void)
{
	int nr = 0;

	for (const char *at = report; (at = strstr(at, "seen_in_the_dump")); nr++)
		if (!(at = strstr(at, "on_deep_stack")) || !(at = strstr(at, "gstk__task_start")))
			break;
	return nr;
}

#define NEEDS_GDB()                                                                                    \
	do {                                                                                           \
		if (UNDER_ASAN || UNDER_TSAN || getenv("LD_PRELOAD") || system("command -v gdb >/dev/null")) \
			SKIP(return, "no_debugger: it is not installed, or a sanitizer is in its way");  \
	} while (0)

/* It stops all threads, the pager too. */
static inline void attach(void)
{
	char command[1024];

	snprintf(command, sizeof(command), "timeout 100 gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'source %s' "
		 "-ex 'gstk-bt all' -p %d >&2 2>/dev/null", GSTK_GDB_SCRIPT, getpid());
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	CHECK_EQ(system(command), 0);
}

#endif
