// SPDX-License-Identifier: MIT
/* gstk-sim against what can be worked out by hand. */
#include <math.h>
#include "report_test.h"

static char out[8192];

/* Runs the tool; its exit status. The test's own directory is .../test/lib, the tool's .../bin. */
static int sim(const char *args)
{
	char path[4096 + 600], *slash;
	ssize_t n = readlink("/proc/self/exe", path, 4096);
	FILE *f;

	CHECK(n > 0);
	path[n] = 0;
	for (int i = 0; i < 3; i++)
		if ((slash = strrchr(path, '/')))
			*slash = 0;
	strcat(path, "/bin/gstk-sim ");
	strcat(path, args);
	strcat(path, " 2>&1");
	f = popen(path, "r");
	CHECK(f);
	out[0] = '\n';
	out[1 + fread(out + 1, 1, sizeof(out) - 2, f)] = 0;
	return WEXITSTATUS(pclose(f));
}

static double value(const char *name)
{
	char want[64];
	const char *p;

	snprintf(want, sizeof(want), "\n%s ", name);
	p = strstr(out, want);
	return p ? strtod(p + strlen(want), NULL) : NAN;
}

#define NEAR(expected, name, part) \
	EXPECT_GE((expected) * (part) + 1e-9, fabs(value(name) - (expected))) TH_LOG("%s is %g\n%s", name, value(name), out)

#define SKIP_WITHOUT_TOOL() \
	do { \
		if (sim("--help")) \
			SKIP(return, "build/bin/gstk-sim is not built"); \
	} while (0)

TEST(few_tasks_stay_in_their_windows)
{
	SKIP_WITHOUT_TOOL();
	ASSERT_EQ(0, sim("--tasks 10 --windows 100 --class 1:10:900")) TH_LOG("%s", out);
	EXPECT_EQ(0, value("bytes.copied"));
	EXPECT_EQ(100, value("wakes.resident"));
	EXPECT_EQ(0, value("evictions"));
	NEAR(1000 * 10 / 10.5, "wakes", 0.05); /* whole milliseconds, at least one */
	NEAR(4096 + 64, "bytes", 1e-6);
}

/* 999 of 1000 are out of the one window; all are packed when 30 of the 60 seconds are over. */
TEST(what_sleeps_is_packed_after_its_time)
{
	SKIP_WITHOUT_TOOL();
	ASSERT_EQ(0, sim("--tasks 1000 --windows 1 --class 1:1e11:900")) TH_LOG("%s", out);
	NEAR(900 / 2 * 0.999, "bytes.copied", 0.01);
	NEAR(900 * 0.4 / 2 * 0.999, "bytes.packed", 0.01);
	NEAR(999 / 60.0, "packs", 1e-3);
	EXPECT_EQ(0, value("unpacks"));
}

/* Trimmed in 8 batches, moved in 16 after ten seconds, for they fit the budget. */
TEST(long_stacks_are_remapped_in_batches)
{
	SKIP_WITHOUT_TOOL();
	ASSERT_EQ(0, sim("--tasks 1000 --windows 1000 --class 1:1e11:65536 --remap 8192:600:40 --pack-idle 1e6")) TH_LOG("%s", out);
	NEAR(1000 / 60.0, "evictions.remapped", 1e-3);
	NEAR((8 + 16) / 60.0, "flushes", 1e-3);
	NEAR(65536 * 50 / 60.0, "bytes.remapped", 0.01);
	NEAR(65536 * 10 / 60.0, "bytes.resident", 0.01);
}

TEST(the_sample_stands_for_the_whole)
{
	double small, large;

	SKIP_WITHOUT_TOOL();
	ASSERT_EQ(0, sim("--tasks 20000 --windows 1311 --budget 1342k --class 1:50:900 --class 9:20000:900")) TH_LOG("%s", out);
	small = value("bytes");
	ASSERT_EQ(0, sim("--tasks 1e8 --windows 6555000 --budget 6870000k --class 1:50:900 --class 9:20000:900")) TH_LOG("%s", out);
	large = value("bytes");
	EXPECT_GE(small * 0.02, fabs(small - large)) TH_LOG("%g %g", small, large);
}

/* A wake every 1.5 s, evicted after one: with hysteresis each learns it once or twice. */
TEST(a_trace_is_played_and_bounces_are_few)
{
	double without, with;
	char path[] = "/tmp/gstk-sim-test-XXXXXX", args[200];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	ASSERT_NE(NULL, f);
	fprintf(f, "[\n");
	for (int task = 1; task <= 1000; task++)
		for (int i = 0; i < 40; i++)
			fprintf(f, "{\"pid\":1,\"tid\":1,\"ts\":%d.000,\"ph\":\"X\",\"cat\":\"run\",\"name\":\"a\",\"dur\":9.000,"
				"\"args\":{\"task\":%d,\"until\":\"sleep\",\"stack\":900}},\n", i * 1500000 + task * 1499, task);
	fclose(f);
	snprintf(args, sizeof(args), "--budget 3M --windows 1000 --seconds 60 --trace %s", path);
	SKIP_WITHOUT_TOOL();
	ASSERT_EQ(0, sim(args)) TH_LOG("%s", out);
	with = value("bounces");
	NEAR(1000 / 1.5, "wakes", 0.05);
	strcat(args, " --no-hysteresis");
	ASSERT_EQ(0, sim(args)) TH_LOG("%s", out);
	without = value("bounces");
	NEAR(1000 / 1.5, "bounces", 0.1);
	EXPECT_GE(without / 10, with) TH_LOG("%g %g", without, with);
	/* As many more on paper. */
	snprintf(args, sizeof(args), "--budget 300M --windows 100000 --tasks 1e5 --seconds 60 --trace %s", path);
	ASSERT_EQ(0, sim(args)) TH_LOG("%s", out);
	EXPECT_GE(with * 100 * 0.02, fabs(value("bounces") - with * 100));
	unlink(path);
}

TEST(flushes_interrupt_the_other_workers)
{
	SKIP_WITHOUT_TOOL();
	ASSERT_EQ(0, sim("--tasks 1000 --windows 1000 --class 1:1e11:900 --workers 5")) TH_LOG("%s", out);
	EXPECT_LT(0, value("flushes"));
	NEAR(4 * value("flushes"), "ipis", 1e-5);
	EXPECT_LT(0, value("decided.moved_cold"));
}

TEST(nonsense_is_refused)
{
	SKIP_WITHOUT_TOOL();
	EXPECT_EQ(2, sim(""));
	EXPECT_EQ(2, sim("--class 1:2"));
	EXPECT_EQ(2, sim("--class 1:0:900"));
	EXPECT_EQ(2, sim("--class 1:10:10"));
	EXPECT_EQ(2, sim("--class 1:10:900 --tasks many"));
	EXPECT_EQ(2, sim("--class 1:10:900 --remap 5"));
	EXPECT_EQ(2, sim("--dump /nowhere"));
	EXPECT_EQ(2, sim("--dump - </dev/null"));
	EXPECT_EQ(2, sim("--trace - </dev/null"));
	EXPECT_EQ(2, sim("--trace /nowhere"));
	EXPECT_EQ(2, sim("--trace /nowhere --class 1:10:900"));
}

TEST(a_dump_gives_the_classes)
{
	SKIP_WITHOUT_TOOL();
	ASSERT_EQ(0, sim("--windows 1 --dump - <<'EOF'\n"
			 "greenstk: tasks of process 1\n"
			 "task 1 \"a\" waiting for chan recv, copied 900 bytes, window 1 shared, for 12000000 ms\n"
			 "task 2 \"b\" waiting for sleep, copied 900 bytes, window 1 shared, for long\n"
			 "task 3 \"c\" running on worker 0, resident, window 1 shared\n"
			 "EOF\n")) TH_LOG("%s", out);
	NEAR((4096 + 900) / 2.0, "bytes.copied", 1.0);
	EXPECT_GT(3, value("wakes"));
}

TEST_HARNESS_MAIN
