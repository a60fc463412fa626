// SPDX-License-Identifier: MIT
/* For tests of reports: run a function in a child process, catch what it writes and how it ends. */
#ifndef REPORT_TEST_H
#define REPORT_TEST_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "wait_test.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif

static char report[1 << 20]; /* what the last child wrote to stderr */

/* The wait status of a child that runs fn(). */
static inline int in_child(void (*fn)(void))
{
	size_t used = 0;
	ssize_t n;
	int fds[2], status;
	pid_t pid;

	CHECK_EQ(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		alarm(100);
		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while (used < sizeof(report) - 1 && (n = read(fds[0], report + used, sizeof(report) - 1 - used)) > 0)
		used += (size_t)n;
	report[used] = 0;
	close(fds[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static inline bool reported(const char *what)
{
	if (strstr(report, what))
		return true;
	fprintf(stderr, "# \"%s\" is not in the report:\n%.6000s\n", what, report);
	return false;
}

static inline bool silent_about(const char *what)
{
	if (!strstr(report, what))
		return true;
	fprintf(stderr, "# \"%s\" is in the report:\n%.6000s\n", what, report);
	return false;
}

#endif
