// SPDX-License-Identifier: MIT
/* gstk_info(): what it names; and that the policy follows what the machine measured. */
#include <sys/resource.h>
#include "report_test.h"
#include "park/calibrate.h"
#include "park/copy.h"
#include "park/policy.h"

static void print_info(void)
{
	CHECK_EQ(gstk_info(2), 0);
}

static void info(void) { with_workers(2, print_info); }

static long long value(const char *name)
{
	char want[64];
	const char *p;

	snprintf(want, sizeof(want), "\n%s ", name);
	p = strstr(report, want);
	return p ? strtoll(p + strlen(want), NULL, 10) : -1;
}

TEST(info_names_configuration_calibration_features_and_limits)
{
	static const char *const names[] = { "config.workers 2", "config.windows ", "kernel.guard_install ",
		"kernel.process_madvise ", "kernel.membarrier ", "kernel.psi ", "kernel.userfaultfd ", "kernel.greenstk ",
		"limit.nofile ", "limit.max_map_count ", "limit.as ", "limit.memory ", "policy.memory_percent ", "policy.evict_cost_ns ", "stats.spawns ", "config.blocking_threads 512",
		"stats.blocking_calls " };

	ASSERT_EQ(0, in_child(info)) TH_LOG("%s", report);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++)
		EXPECT_TRUE(reported(names[i]));
	EXPECT_LT(0, value("calibration.fault_ns"));
	EXPECT_LT(0, value("calibration.discard_many_ns"));
	EXPECT_EQ(value("policy.trim_cost_ns"), value("calibration.fault_ns") + value("calibration.discard_many_ns"));
}

/* ---- of a running process ---- */

static _Atomic bool told_enough;

static void *named(void *arg)
{
	while (!told_enough)
		gstk_sleep(MS);
	return NULL;
}

/* What the tool says of this very process goes to stderr, which is what reported() looks at. */
static void *asks_about_itself(void *arg)
{
	char command[200];
	gstk_task *t;
	int status;

	CHECK_EQ(gstk_spawn(&t, named, NULL, GSTK_OPTS(gstk_spawn_opts, .name = "bellwether")), 0);
	settle();
	snprintf(command, sizeof(command), "%s %d 1>&2 && %s --tasks %d 1>&2", getenv("GSTK_INFO"), getpid(),
		 getenv("GSTK_INFO"), getpid());
	/* Not system(), which ignores SIGQUIT meanwhile. */
	status = pclose(popen(command, "r"));
	told_enough = true;
	finish(t);
	return (void *)(long)status;
}

static void run_asked(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };
	void *status;

	CHECK_EQ(gstk_main(asks_about_itself, NULL, &status, &config), 0);
	CHECK_EQ((long)status, 0);
}

/* The test's own directory is .../test/lib, the tool's .../bin. */
static bool find_tool(void)
{
	char path[4096 + 32], *slash;
	ssize_t n = readlink("/proc/self/exe", path, 4096);

	CHECK(n > 0);
	path[n] = 0;
	for (int i = 0; i < 3; i++)
		if ((slash = strrchr(path, '/')))
			*slash = 0;
	strcat(path, "/bin/gstk-info");
	setenv("GSTK_INFO", path, 1);
	return !access(path, X_OK);
}

TEST(a_running_process_tells_its_counters_and_tasks)
{
	if (!find_tool())
		SKIP(return, "build/bin/gstk-info is not built");
	ASSERT_EQ(0, in_child(run_asked)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("config.workers 2"));
	EXPECT_TRUE(reported("stats.bytes_resident "));
	EXPECT_TRUE(reported("\"bellwether\""));
	EXPECT_TRUE(reported("named+"));
}

TEST(a_process_without_a_runtime_is_not_harmed)
{
	char command[100];
	pid_t pid;

	if (!find_tool())
		SKIP(return, "build/bin/gstk-info is not built");
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	snprintf(command, sizeof(command), "%s %d 2>&1 | grep -q 'no greenstk runtime'", getenv("GSTK_INFO"), pid);
	EXPECT_EQ(0, system(command));
	EXPECT_EQ(0, kill(pid, 0));
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
}

static void little(void)
{
	struct rlimit rl = { 200, 200 };

	setrlimit(RLIMIT_NOFILE, &rl);
	info();
}

TEST(a_limit_that_binds_is_shown_with_what_to_do)
{
	ASSERT_EQ(0, in_child(little)) TH_LOG("%s", report);
	EXPECT_EQ(200, value("limit.nofile"));
	EXPECT_TRUE(reported("ulimit -n"));
}

TEST(calibration_is_quick_and_plausible)
{
	struct gstk__calibration c, best = { .took_ns = UINT32_MAX };

	gstk__copy_init();
	for (int i = 0; i < 10; i++) {
		gstk__calibrate(&c);
		if (c.took_ns < best.took_ns)
			best = c;
	}
	EXPECT_LT(0, best.copy_hot_ns_per_kib);
	EXPECT_LT(0, best.fault_ns);
	if (!getenv("GREENSTK_TEST_VARIANT") || !strcmp(getenv("GREENSTK_TEST_VARIANT"), "plain")) {
		EXPECT_GT(5000000, best.took_ns);
		EXPECT_GE(best.copy_cold_ns_per_kib, best.copy_hot_ns_per_kib);
		EXPECT_GT(100000, best.fault_ns);
	}
}

TEST(a_stack_is_not_moved_sooner_than_a_thousand_times_the_cost)
{
	struct gstk__climate c = { .evict_idle_ms = 8, .cold_idle_ms = 80, .pack_idle_ms = 30000, .resident_bytes = 2,
		.resident_budget = 1, .min_residents = 1, .residents = 1000, .pressure = 50 };
	struct gstk__stack_facts f = { .resident = true, .may_move = true, .trimmed = true, .used = 900, .idle_ms = 5 };

	EXPECT_EQ(GSTK__EVICT, gstk__policy(&c, &f).action);
	c.evict_ns = 6000; /* 6 us: not before 6 ms */
	EXPECT_EQ(GSTK__KEEP, gstk__policy(&c, &f).action);
	EXPECT_EQ(1, gstk__policy_next(&c, &f));
	f.idle_ms = 6;
	EXPECT_EQ(GSTK__EVICT, gstk__policy(&c, &f).action);
	/* Trims, too. */
	c.residents = 0;
	f.trimmed = false;
	f.idle_ms = 150;
	EXPECT_EQ(GSTK__TRIM, gstk__policy(&c, &f).action);
	c.trim_ns = 200000;
	EXPECT_EQ(GSTK__KEEP, gstk__policy(&c, &f).action);
	EXPECT_EQ(50, gstk__policy_next(&c, &f));
}

static void nowhere_to_write(void)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	CHECK(full >= 0);
	CHECK_EQ(gstk_info(-1), -EBADF);
	CHECK_EQ(gstk_info(full), -ENOSPC);
	CHECK_EQ(gstk_dump(-1, true), -EBADF);
	CHECK_EQ(gstk_dump(full, true), -ENOSPC);
	close(full);
}

TEST(what_cannot_be_written_is_an_error)
{
	with_workers(1, nowhere_to_write);
}

TEST_HARNESS_MAIN
