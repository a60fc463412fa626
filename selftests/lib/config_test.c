// SPDX-License-Identifier: MIT
/* Configuration: what makes no sense is refused with a line that says what would. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "report_test.h"

static struct gstk_config config;
static int err;

static void init(void)
{
	err = gstk_init(&config);
	if (!err)
		gstk_shutdown(GSTK_SHUTDOWN_CANCEL, GSTK_NEVER);
	_exit(-err);
}

/* -errno of gstk_init() with config; what it said is in report[]. */
static int try_init(void)
{
	int status;

	config.size = config.size ? config.size : sizeof(config);
	status = in_child(init);
	config = (struct gstk_config){ 0 };
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
}

#define REFUSED(field, value, says) \
	do { \
		config.field = (value); \
		EXPECT_EQ(-EINVAL, try_init()); \
		EXPECT_TRUE(reported(says)); \
	} while (0)

TEST(absurd_values_are_refused_by_name)
{
	unsetenv("GREENSTK_WINDOWS"); /* which would win */
	unsetenv("GREENSTK_IMAGE_BYTES");
	REFUSED(size, 4, "gstk_config.size");
	REFUSED(flags, 1u << 31, "flags");
	REFUSED(workers, 100000, "workers");
	REFUSED(windows, (size_t)1 << 40, "windows");
	REFUSED(window_size, 300000, "window_size");
	REFUSED(window_size, 128 << 10, "window_size");
	REFUSED(max_tasks, (size_t)1 << 40, "max_tasks");
	REFUSED(image_bytes, ((size_t)64 << 30) + 1, "image_bytes"); /* offsets of 32 bits, in units of 16 bytes */
	REFUSED(main_stack, (size_t)1 << 40, "main_stack");
	REFUSED(blocking_threads, 1u << 20, "blocking_threads");
	REFUSED(dump_signal, SIGKILL, "dump_signal");
	REFUSED(dump_signal, SIGSEGV, "dump_signal");
	REFUSED(dump_signal, 32, "dump_signal"); /* libc has that one itself */
	REFUSED(dump_signal, 1000, "dump_signal");
}

TEST(the_version_has_three_numbers)
{
	unsigned int v[3];
	char more;

	EXPECT_EQ(3, sscanf(gstk_version(), "%u.%u.%u%c", &v[0], &v[1], &v[2], &more));
}

TEST(a_variable_that_is_misspelt_is_told_and_what_is_none_of_ours_is_not)
{
	setenv("GREENSTK_WORKER", "3", 1);
	setenv("GREENSTK_IMAGEBYTES", "1m", 1);
	setenv("GREENSTK_BACK_ENT", "copy", 1);
	setenv("GREENSTK_PACK_IDLE", "1000", 1);
	setenv("GREENSTK_STUCK_REPORT", "1000", 1);
	setenv("GREENSTK_STUCK", "1", 1);
	setenv("GREENSTK_", "", 1);
	setenv("GREENSTK_MY_OWN", "x", 1);
	setenv("GREENSTK_A_NAME_THAT_IS_LONGER_THAN_ANY_OF_THEM_IS", "x", 1);
	EXPECT_EQ(0, try_init());
	EXPECT_TRUE(reported("there is no variable GREENSTK_WORKER; is GREENSTK_WORKERS meant?"));
	EXPECT_TRUE(reported("no variable GREENSTK_IMAGEBYTES; is GREENSTK_IMAGE_BYTES meant?"));
	EXPECT_TRUE(reported("no variable GREENSTK_BACK_ENT; is GREENSTK_BACKEND meant?"));
	EXPECT_TRUE(reported("no variable GREENSTK_PACK_IDLE; is GREENSTK_PACK_IDLE_NS meant?"));
	EXPECT_TRUE(reported("no variable GREENSTK_STUCK_REPORT; is GREENSTK_STUCK_REPORT_NS meant?"));
	EXPECT_TRUE(silent_about("GREENSTK_STUCK; "));
	EXPECT_TRUE(silent_about("GREENSTK_; "));
	EXPECT_TRUE(silent_about("MY_OWN"));
	EXPECT_TRUE(silent_about("A_NAME"));
	EXPECT_TRUE(silent_about("GREENSTK_TEST_VARIANT"));
}

TEST(the_environment_wins_and_is_checked_too)
{
	setenv("GREENSTK_DUMP_SIGNAL", "-1", 1);
	config.dump_signal = 1000;
	EXPECT_EQ(0, try_init());
	setenv("GREENSTK_DUMP_SIGNAL", "9", 1);
	EXPECT_EQ(-EINVAL, try_init());
	EXPECT_TRUE(reported("dump_signal"));
	setenv("GREENSTK_DUMP_SIGNAL", "SIGUSR1", 1);
	EXPECT_EQ(0, try_init());
	setenv("GREENSTK_DUMP_SIGNAL", "KILL", 1);
	EXPECT_EQ(-EINVAL, try_init());
	EXPECT_TRUE(reported("dump_signal"));
	setenv("GREENSTK_DUMP_SIGNAL", "SIGNAL", 1);
	EXPECT_EQ(-EINVAL, try_init());
	EXPECT_TRUE(reported("GREENSTK_DUMP_SIGNAL=SIGNAL is no signal"));
	unsetenv("GREENSTK_DUMP_SIGNAL");
	setenv("GREENSTK_MAX_TASKS", "many", 1);
	EXPECT_EQ(-EINVAL, try_init());
	EXPECT_TRUE(reported("GREENSTK_MAX_TASKS"));
	setenv("GREENSTK_MAX_TASKS", "-3", 1);
	EXPECT_EQ(-EINVAL, try_init());
	setenv("GREENSTK_MAX_TASKS", "4K", 1);
	EXPECT_EQ(0, try_init());
	unsetenv("GREENSTK_MAX_TASKS");
}

/* What does not fit must not come out as something else that does. */
TEST(numbers_too_large_for_their_field_are_refused)
{
	static const char *const absurd[][2] = {
		{ "GREENSTK_WORKERS", "4294967297" }, { "GREENSTK_WORKERS", "4G" },
		{ "GREENSTK_BLOCKING_THREADS", "4294967297" }, { "GREENSTK_WINDOWS", "17179869184G" },
		{ "GREENSTK_WINDOWS", "18446744073709551616" }, { "GREENSTK_EVICT_IDLE_NS", " -5" },
		{ "GREENSTK_NO_SWEEP", "2" },
	};

	for (unsigned int i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
		setenv(absurd[i][0], absurd[i][1], 1);
		EXPECT_EQ(-EINVAL, try_init()) TH_LOG("%s=%s", absurd[i][0], absurd[i][1]);
		EXPECT_TRUE(reported(absurd[i][0]));
		unsetenv(absurd[i][0]);
	}
}

static void *sleeps(void *arg)
{
	return (void *)(long)gstk_sleep_until(GSTK_NEVER);
}

static void too_many(void)
{
	config.max_tasks = 100;
	CHECK_EQ(gstk_init(&config), 0);
	for (int i = 0; i < 150; i++)
		err = gstk_spawn(NULL, sleeps, NULL, NULL);
	CHECK_EQ(err, -ENOMEM);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_CANCEL, GSTK_NEVER), 0);
}

TEST(who_spawns_more_than_max_tasks_is_told_once)
{
	const char *line;

	unsetenv("GREENSTK_MAX_TASKS");
	config.size = sizeof(config);
	ASSERT_EQ(0, in_child(too_many)) TH_LOG("%s", report);
	line = strstr(report, "all 100 places for tasks are taken (-ENOMEM)");
	ASSERT_NE(NULL, line) TH_LOG("%s", report);
	EXPECT_EQ(NULL, strstr(strchr(line, '\n'), "places for tasks"));
	EXPECT_TRUE(reported("more: gstk_config.max_tasks or GREENSTK_MAX_TASKS\n"));
}

static void print_info(void)
{
	CHECK_EQ(gstk_info(2), 0);
}

static void smallest(void)
{
	setenv("GREENSTK_WINDOW_SIZE", "256K", 1);
	with_workers(1, print_info);
}

TEST(a_guard_has_64_KiB_in_the_smallest_window_too)
{
	ASSERT_EQ(0, in_child(smallest)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("config.guard_bytes 65536"));
}

static void info_by_device(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(f) / sizeof(*f), f };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
	with_workers(1, print_info);
}

/* It says the same as the line of the backend, which takes it from there. */
TEST(userfaultfd_by_its_device_is_there)
{
	int dev = EMULATED() ? -1 : open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	if (dev < 0)
		SKIP(return, "no filters of system calls, or /dev/userfaultfd cannot be opened");
	close(dev);
	ASSERT_EQ(0, in_child(info_by_device)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("kernel.userfaultfd yes"));
}

TEST_HARNESS_MAIN
