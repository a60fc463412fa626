// SPDX-License-Identifier: MIT
/* For tests of what tasks wait for: run a function as the main task, check inside tasks. */
#ifndef WAIT_TEST_H
#define WAIT_TEST_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <greenstk.h>
#include "kselftest_harness.h"

/* Not the harness's: its failure jumps, and a task has a stack of its own. */
#define CHECK(x)                                                                       \
	do {                                                                           \
		if (!(x)) {                                                            \
			fprintf(stderr, "# %s:%d: not true: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                       \
		}                                                                      \
	} while (0)
#define CHECK_EQ(a, b)                                                                 \
	do {                                                                           \
		long long a_ = (long long)(a), b_ = (long long)(b);                    \
		if (a_ != b_) {                                                        \
			fprintf(stderr, "# %s:%d: %s is %lld, %s is %lld\n", __FILE__, __LINE__, #a, a_, #b, b_); \
			abort();                                                       \
		}                                                                      \
	} while (0)

#define MS 1000000ull

static inline void *body_(void *arg)
{
	((void (*)(void))arg)();
	return NULL;
}

/* Run fn() as the main task. The tests' variants come by environment: windows, forced eviction. */
static inline void with_workers(unsigned int workers, void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = workers };

	alarm(120);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

static inline gstk_task *start(gstk_fn fn, void *arg)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, arg, NULL), 0);
	return t;
}

static inline long finish(gstk_task *t)
{
	void *r;

	CHECK_EQ(gstk_join(t, &r), 0);
	return (long)r;
}

/* How much slower things are in this variant, for what is bounded by time. */
static inline unsigned long slowness(void)
{
	const char *v = getenv("GREENSTK_TEST_VARIANT");

	return v && strstr(v, "valgrind") ? 20 : EMULATED() || (v && !strcmp(v, "vm")) ? 10 : v && strstr(v, "san") ? 5 : 1;
}

/* Another thread of the process runs, or waits for a CPU or a page. */
static inline bool others_run(void)
{
	DIR *d = opendir("/proc/self/task");
	char name[280], line[512], *state;
	bool any = false;
	struct dirent *e;
	ssize_t n;
	int fd;

	CHECK(d);
	while (!any && (e = readdir(d))) {
		if (e->d_name[0] == '.' || atol(e->d_name) == syscall(SYS_gettid))
			continue;
		snprintf(name, sizeof(name), "/proc/self/task/%s/stat", e->d_name);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
		if (fd >= 0)
			close(fd);
		line[n > 0 ? n : 0] = 0;
		state = strrchr(line, ')');
		any = state && (state[2] == 'R' || state[2] == 'D');
	}
	closedir(d);
	return any;
}

static inline uint64_t cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

/*
 * Let the others get to where they wait, also on a machine that does ten other things; not for ever, as some compute.
 * Who gets no CPU does not compute: such time does not count, up to five seconds.
 */
static inline void settle(void)
{
	uint64_t until, used;

	for (int i = 0; i < 20; i++)
		gstk_yield();
	gstk_sleep(2 * MS * slowness());
	until = gstk_now() + 200 * MS;
	used = cpu_time();
	while (others_run() && (gstk_now() < until || (cpu_time() - used < 200 * MS && gstk_now() < until + 4800 * MS)))
		gstk_sleep(MS);
}

static inline unsigned long scaled(unsigned long n)
{
	const char *v = getenv("GREENSTK_TEST_VARIANT");

	if (!v || !strcmp(v, "plain"))
		return n;
	return n / (strstr(v, "valgrind") || EMULATED() ? 50 : 10) + 1;
}

static inline uint32_t rnd(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	return *s ^= *s << 5;
}

/* Tests by name, each in two shapes: one worker, and two. */
#define WAIT_TEST(name)                                  \
	static void name(void);                          \
	TEST(name##_with_one_worker) { with_workers(1, name); }  \
	TEST(name##_with_two_workers) { with_workers(2, name); } \
	static void name(void)

#endif
