// SPDX-License-Identifier: MIT
/* The end of a crowd whose stacks are packed: all clean up, memory stays bounded, progress is shown. */
#include <fcntl.h>
#include "report_test.h"

static unsigned long crowd;
static _Atomic unsigned long parked, cleaned, canceled;
static gstk_sem never;

static void clean(void *arg)
{
	atomic_fetch_add_explicit(&cleaned, 1, memory_order_relaxed);
}

static __attribute__((noinline)) long wait_deep(unsigned char *mark, unsigned long i)
{
	unsigned char text[300];
	long r;

	snprintf((char *)text, sizeof(text), "task %lu of a crowd", i);
	memset(mark, (int)(i % 251), 100);
	atomic_fetch_add_explicit(&parked, 1, memory_order_relaxed);
	r = gstk_sem_wait(&never);
	for (int k = 0; k < 100; k++)
		CHECK_EQ(mark[k], i % 251);
	CHECK_EQ(strtoul((char *)text + 5, NULL, 10), i);
	return r;
}

static void *member(void *arg)
{
	unsigned char mark[100];

	CHECK_EQ(gstk_cleanup_push(clean, NULL), 0);
	if (wait_deep(mark, (unsigned long)arg) == -ECANCELED)
		atomic_fetch_add_explicit(&canceled, 1, memory_order_relaxed);
	return NULL;
}

static struct gstk_stats stats(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s;
}

static unsigned long status_kib(const char *field)
{
	char line[200];
	unsigned long v = 0;
	FILE *f = fopen("/proc/self/status", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			v = strtoul(line + strlen(field), NULL, 10);
	fclose(f);
	return v;
}

static void reset_peak(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY);

	CHECK(fd >= 0 && write(fd, "5", 1) == 1);
	close(fd);
}

/* The crowd as a runtime in another process sees its end. */
static void end_of_a_crowd(void)
{
	struct gstk_config config = {
		.size = sizeof(config), .workers = 2, .max_tasks = crowd + 1000,
		.evict_idle_ns = 20 * MS, .pack_idle_ns = 100 * MS,
	};
	unsigned long before, peak;
	uint64_t t0;

	never = (gstk_sem)GSTK_SEM_INIT(0);
	CHECK_EQ(gstk_init(&config), 0);
	for (unsigned long i = 0; i < crowd; i++)
		CHECK_EQ(gstk_spawn(NULL, member, (void *)i, NULL), 0);
	t0 = gstk_now();
	while (parked < crowd || stats().tasks_packed < crowd / 10 * 9) {
		CHECK(gstk_now() - t0 < 90000 * MS);
		usleep(20000);
	}
	before = status_kib("VmRSS:");
	reset_peak();
	t0 = gstk_now();
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_CANCEL, GSTK_NEVER), 0);
	peak = status_kib("VmHWM:");
	fprintf(stderr, "# %lu packed tasks ended in %llu ms, memory before %lu KiB, at most %lu KiB\n", crowd,
		(unsigned long long)((gstk_now() - t0) / MS), before, peak);
	CHECK_EQ(canceled, crowd);
	CHECK_EQ(cleaned, crowd);
	/* 65,536 windows that are used again, with a page or so each (256 MiB), not a stack for each task. */
	CHECK(peak < before + before / 2 + (300 << 10));
	/* It takes longer than a few seconds: it must have said so. */
	if (gstk_now() - t0 > 4000 * MS)
		fprintf(stderr, "# long\n");
}

FIXTURE(end) { int unused; };
FIXTURE_SETUP(end) { }
FIXTURE_TEARDOWN(end) { }

TEST_F_TIMEOUT(end, a_crowd_of_packed_tasks_is_cancelled_in_bounded_memory, 150)
{
	if (UNDER_TSAN)
		SKIP(return, "a fiber a task is too many for the thread sanitizer");
	crowd = scaled(1000000);
	if (crowd < 100000)
		crowd = 20000;
	ASSERT_EQ(in_child(end_of_a_crowd), 0) TH_LOG("%s", report);
	TH_LOG("%s", strstr(report, "# "));
	if (strstr(report, "# long"))
		EXPECT_TRUE(reported("greenstk: shutdown: waiting for "));
}

TEST_HARNESS_MAIN
