// SPDX-License-Identifier: MIT
/* For tests of reports: run a function in a child process, catch what it writes and how it ends. */
#ifndef REPORT_TEST_H
#define REPORT_TEST_H

#include <poll.h>
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

static int go_on_fd = -1;     /* in the child: at its end once all is told */

static inline bool all_in_report(const char *const *words)
{
	while (*words && strstr(report, *words))
		words++;
	return !*words;
}

/*
 * The wait status of a child that runs fn() and stays where it is to be seen, in until_told() or while it is not
 * was_told(), until its report has @words (the last one NULL) or, with @words NULL, until it ends. Not for a set time:
 * whoever writes the report may not get a CPU in that.
 */
static inline int in_child_until(const char *const *words, void (*fn)(void))
{
	size_t used = 0;
	ssize_t n;
	int fds[2], go_on[2], status;
	pid_t pid;

	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(pipe(go_on), 0);
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
		close(go_on[1]);
		go_on_fd = go_on[0];
		fn();
		_exit(0);
	}
	close(fds[1]);
	close(go_on[0]);
	report[0] = 0;
	do {
		if (go_on[1] >= 0 && words && all_in_report(words)) {
			close(go_on[1]);
			go_on[1] = -1;
		}
		n = used < sizeof(report) - 1 ? read(fds[0], report + used, sizeof(report) - 1 - used) : 0;
		used += n > 0 ? (size_t)n : 0;
		report[used] = 0;
	} while (n > 0);
	close(fds[0]);
	if (go_on[1] >= 0)
		close(go_on[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static inline int in_child(void (*fn)(void))
{
	return in_child_until((const char *const[]){ NULL }, fn);
}

static inline bool was_told(void)
{
	return poll(&(struct pollfd){ .fd = go_on_fd, .events = POLLIN }, 1, 0) == 1;
}

/* A system call, with the worker. */
static inline void until_told(void)
{
	char c;

	CHECK_EQ(read(go_on_fd, &c, 1), 0);
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
