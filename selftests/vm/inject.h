/* SPDX-License-Identifier: MIT */
/*
 * The kernel's fault injection (CONFIG_FAULT_INJECTION, debug kernels): which
 * allocations fail, of one thread. Two ways: the n-th of a call, whatever it is
 * (/proc/thread-self/fail-nth), and runs of page allocations (fail_page_alloc),
 * for what one failure alone does not show because the next try succeeds.
 */
#ifndef GREENSTK_VM_INJECT_H
#define GREENSTK_VM_INJECT_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INJECT_PAGES "/sys/kernel/debug/fail_page_alloc/"

static __thread int inject_fd = -1;	/* of the thread's switch */

static inline void inject_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		perror(path);
	close(fd);
}

static inline void inject_number(const char *file, long value)
{
	char path[96], text[24];

	snprintf(path, sizeof(path), INJECT_PAGES "%s", file);
	snprintf(text, sizeof(text), "%ld", value);
	inject_write(path, text);
}

static inline bool inject_available(void)
{
	return !access(INJECT_PAGES "times", R_OK | W_OK);
}

/* Every kind of allocation may fail: waiting or not, highmem, single pages. No log. */
static inline void inject_everything(void)
{
	inject_write("/sys/kernel/debug/failslab/ignore-gfp-wait", "0");
	inject_write("/sys/kernel/debug/failslab/verbose", "0");
	inject_write("/sys/kernel/debug/fail_usercopy/verbose", "0");
	inject_number("verbose", 0);
	inject_number("ignore-gfp-wait", 0);
	inject_number("ignore-gfp-highmem", 0);
	inject_number("min-order", 0);
}

/*
 * The calling thread's page allocations fail, after the first @spare of them, @times
 * times in a row (-1: until inject_stop). @atomic: only those that may not wait.
 * Other kernels: nothing.
 */
static inline void inject_pages(long spare, long times, bool atomic)
{
	if (!inject_available())
		return;
	inject_number("verbose", 0);
	inject_number("ignore-gfp-wait", atomic);
	inject_number("ignore-gfp-highmem", 0);
	inject_number("min-order", 0);
	inject_number("task-filter", 1);
	inject_number("interval", 1);
	inject_number("probability", 100);
	inject_number("space", spare + 1);
	inject_number("times", times);
	/* Kept open: to open it once more would need memory that cannot be had. */
	if (inject_fd < 0)
		inject_fd = open("/proc/thread-self/make-it-fail", O_WRONLY | O_CLOEXEC);
	if (pwrite(inject_fd, "1", 1, 0) != 1)
		perror("make-it-fail");
}

/* Return: did one fail? (Of a run with @times > 0.) */
static inline bool inject_stop(long times)
{
	char text[24] = "";
	int fd;

	if (inject_fd < 0)
		return false;
	if (pwrite(inject_fd, "0", 1, 0) != 1)
		perror("make-it-fail");
	fd = open(INJECT_PAGES "times", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	inject_number("probability", 0);
	return atol(text) != times;
}

#endif
