// SPDX-License-Identifier: MIT
/* Ends of a process: killed at any time, dumping core with its stacks in all places, slow to shut down. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "report_test.h"

enum { TASKS = 3000 };
static gstk_sem never;
static _Atomic uint32_t parked;

static void *waits(void *arg)
{
	unsigned char mark[400];

	memset(mark, (int)(long)arg, sizeof(mark));
	parked++;
	gstk_sem_wait(&never);
	CHECK_EQ(mark[17], (unsigned char)(long)arg);
	return NULL;
}

/* Its stacks are in windows, copied and packed. */
static void fill(void)
{
	struct gstk_config config = {
		.size = sizeof(config), .workers = 2, .windows = 1024, .evict_idle_ns = 10 * MS, .pack_idle_ns = 20 * MS,
	};
	struct gstk_stats s = { .size = sizeof(s) };

	never = (gstk_sem)GSTK_SEM_INIT(0);
	parked = 0;
	CHECK_EQ(gstk_init(&config), 0);
	for (long i = 0; i < TASKS; i++)
		CHECK_EQ(gstk_spawn(NULL, waits, (void *)i, NULL), 0);
	do {
		usleep(1000);
		CHECK_EQ(gstk_stats(&s), 0);
	} while (parked < TASKS || !s.tasks_packed);
}

/* ---- core ---- */

static char dir[64];

static void dump_core(void)
{
	struct rlimit all;

	CHECK_EQ(getrlimit(RLIMIT_CORE, &all), 0);
	all.rlim_cur = all.rlim_max < 1u << 30 ? all.rlim_max : 1u << 30; /* a wrong one must not fill the disk */
	if (chdir(dir) || setrlimit(RLIMIT_CORE, &all))
		_exit(99);
	fill();
	abort();
}

/* Bytes on disk of the only file in dir; 0: none. */
static uint64_t core_bytes(char *path, size_t size)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	uint64_t bytes = 0;

	CHECK(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			snprintf(path, size, "%s/%.40s", dir, e->d_name);
			CHECK_EQ(stat(path, &st), 0);
			bytes = (uint64_t)st.st_blocks * 512;
		}
	closedir(d);
	return bytes;
}

static bool cores_go_to_the_directory(void)
{
	char pattern[200] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, pattern, sizeof(pattern) - 1) : -1;

	if (fd >= 0)
		close(fd);
	return n > 0 && pattern[0] != '|' && !strchr(pattern, '/');
}

TEST(a_core_holds_what_was_touched_and_not_the_windows)
{
	char path[128] = "", magic[4] = "";
	uint64_t bytes;
	int status, fd;
	pid_t pid;

	if (EMULATED())
		SKIP(return, "the core is written by the emulator");
	if (!cores_go_to_the_directory())
		SKIP(return, "core_pattern sends cores elsewhere");
	if (UNDER_ASAN || UNDER_TSAN)
		SKIP(return, "a sanitizer's shadow would be in it");
	snprintf(dir, sizeof(dir), "/tmp/gstk-end-%d", getpid());
	ASSERT_EQ(0, mkdir(dir, 0700));
	pid = fork(); /* in_child() allows no cores */
	if (!pid) {
		alarm(60);
		dump_core();
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	bytes = core_bytes(path, sizeof(path));
	if (bytes) {
		fd = open(path, O_RDONLY);
		EXPECT_EQ(4, read(fd, magic, 4));
		close(fd);
		unlink(path);
	}
	rmdir(dir);
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) TH_LOG("%#x", status);
	if (!WCOREDUMP(status))
		SKIP(return, "no cores here (ulimit -H -c)");
	EXPECT_EQ(0, memcmp(magic, "\177ELF", 4));
	EXPECT_LT(0, bytes);
	EXPECT_GT(64u << 20, bytes) TH_LOG("%llu bytes; 1024 windows alone reserve 256 MiB", (unsigned long long)bytes);
}

/* ---- kill -9 ---- */

static void *echo(void *arg)
{
	int p[2];
	char c;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	while (gstk_write(p[0], "x", 1) == 1 && gstk_read(p[1], &c, 1) == 1)
		gstk_yield();
	return NULL;
}

static void work_for_ever(void)
{
	fill();
	for (int i = 0; i < 8; i++)
		CHECK_EQ(gstk_spawn(NULL, echo, NULL, NULL), 0);
	for (;;)
		gstk_sem_post(&never, 1), usleep(50);
}

static uint64_t committed_kib(void)
{
	char line[200];
	uint64_t v = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "Shmem:", 6))
			v = strtoull(line + 6, NULL, 10);
	fclose(f);
	return v;
}

TEST(a_kill_at_any_time_ends_all_threads_and_leaves_nothing)
{
	uint64_t before = committed_kib();
	uint32_t seed = (uint32_t)getpid() | 1;

	TH_LOG("seed %u", seed);
	for (unsigned long i = 0; i < scaled(20) + 3; i++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			alarm(60);
			work_for_ever();
		}
		usleep(1000 * (20 + rnd(&seed) % 200));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) TH_LOG("%#x", status);
		ASSERT_EQ(-1, kill(pid, 0));
	}
	EXPECT_GT(before + 65536, committed_kib());
}

/* ---- slow ---- */

static void *takes_its_time(void *arg)
{
	gstk_sem_wait(&never);
	gstk_cancel_clear();
	while (!was_told()) {
		gstk_sleep(10 * MS);
		gstk_cancel_clear(); /* each report cancels again */
	}
	return NULL;
}

static void end_slowly(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	never = (gstk_sem)GSTK_SEM_INIT(0);
	CHECK_EQ(gstk_init(&config), 0);
	CHECK_EQ(gstk_spawn(NULL, takes_its_time, NULL, NULL), 0);
	usleep(50000);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_CANCEL, gstk_now() + 100 * MS), -ETIMEDOUT);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
}

TEST(a_shutdown_that_takes_long_says_what_it_waits_for)
{
	ASSERT_EQ(in_child_until((const char *const[]){ "waiting for 1 tasks", NULL }, end_slowly), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("greenstk: shutdown: waiting for 1 tasks; gstk-info --tasks "));
}

TEST_HARNESS_MAIN
