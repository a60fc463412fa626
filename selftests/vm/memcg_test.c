// SPDX-License-Identifier: MIT
/*
 * Memory of windows and slots belongs to the cgroup of the process: charged,
 * limited, given back. A process at its limit is killed alone; lazy pages go
 * before anybody is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../skip_setup.h"
#include "object.h"

#define MIB (1UL << 20)
#define DIR "/sys/fs/cgroup/greenstk"

static bool put(const char *file, const char *value)
{
	char path[128];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), DIR "/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The number after `key` in a file of the group, or the whole file's. */
static long get(const char *file, const char *key)
{
	char path[128], buf[4096] = "", *p = buf;
	int fd;

	snprintf(path, sizeof(path), DIR "/%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, buf, sizeof(buf) - 1) < 0)
		return -1;
	close(fd);
	if (key) {
		p = strstr(buf, key);
		if (!p)
			return -1;
		p += strlen(key);
	}
	return strtol(p, NULL, 10);
}

FIXTURE(memcg)
{
	int fd;
};

FIXTURE_SETUP(memcg)
{
	mkdir(DIR, 0755);
	if (get("memory.current", NULL) < 0)
		SKIP_SETUP("no memory controller");
	ASSERT_TRUE(put("memory.max", "max"));
}

FIXTURE_TEARDOWN(memcg)
{
	int i;

	for (i = 0; i < 100 && rmdir(DIR) && errno == EBUSY; i++)
		usleep(20000);
}

static void enter(void)
{
	if (!put("cgroup.procs", "0"))
		_exit(90);
}

/* Forks into the group, runs fn there; its exit status or 128 + signal. */
static int inside(int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		enter();
		_exit(fn(arg));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What a dead process held goes back at once, up to the kernel's per-CPU stocks. */
static long settled(void)
{
	long now = 0;
	int i;

	for (i = 0; i < 50; i++) {
		now = get("memory.current", NULL);
		if (now < (long)MIB)
			break;
		usleep(100000);
	}
	return now;
}

static int charges(void *arg)
{
	const long pages = 12 * 256;
	struct object o;
	uint64_t handle[12];
	long before, touched, parked;
	int i;

	if (object_open(&o, (struct object_opts){ .nr_windows = 16, .window_bytes = 2 * MIB, .park_bytes = 64 * MIB }))
		return 1;
	before = get("memory.current", NULL);
	for (i = 0; i < 12; i++)
		paint(window_base(&o, i), MIB, i);
	touched = get("memory.current", NULL);
	if (touched - before < (long)((pages - 300) * PAGE) || touched - before > (long)((pages + 600) * PAGE))
		return fprintf(stderr, "# touching 12 MiB charged %ld\n", touched - before), 2;
	for (i = 0; i < 12; i++)
		if (park(&o, i, MIB, &handle[i]))
			return 3;
	parked = get("memory.current", NULL);
	if (labs(parked - touched) > (long)(600 * PAGE))
		return fprintf(stderr, "# parking changed the charge by %ld\n", parked - touched), 4;
	for (i = 0; i < 12; i++)
		if (drop(&o, handle[i]))
			return 5;
	if (get("memory.current", NULL) > before + (long)(700 * PAGE))
		return fprintf(stderr, "# %ld stays after the drop\n", get("memory.current", NULL) - before), 6;
	object_close(&o);
	return 0;
}

TEST_F_TIMEOUT(memcg, windows_and_slots_are_charged_and_given_back, 120)
{
	EXPECT_EQ(0, inside(charges, NULL));
	EXPECT_LT(settled(), (long)MIB);
}

static int touch_too_much(void *arg)
{
	struct object o;
	int i;

	if (object_open(&o, (struct object_opts){ .nr_windows = 64, .window_bytes = 2 * MIB }))
		return 1;
	for (i = 0; i < 64; i++)
		paint(window_base(&o, i), MIB, i);
	return 0;
}

TEST_F_TIMEOUT(memcg, touching_past_the_limit_kills_that_process_alone, 120)
{
	long kills = get("memory.events", "oom_kill ");

	ASSERT_TRUE(put("memory.max", "16M"));
	EXPECT_EQ(128 + SIGKILL, inside(touch_too_much, NULL));
	EXPECT_EQ(kills + 1, get("memory.events", "oom_kill "));
	EXPECT_LT(settled(), (long)MIB);
}

/* The fault comes from the kernel: it must end, by kill or EFAULT, not loop. */
static int read_too_much(void *arg)
{
	int zero = open("/dev/zero", O_RDONLY);
	struct object o;
	int i;

	if (zero < 0 || object_open(&o, (struct object_opts){ .nr_windows = 64, .window_bytes = 2 * MIB }))
		return 1;
	for (i = 0; i < 64; i++)
		if (read(zero, window_base(&o, i) - MIB, MIB) < 0)
			return errno == EFAULT ? 42 : 2;
	return 0;
}

TEST_F_TIMEOUT(memcg, reading_past_the_limit_ends, 120)
{
	int st;

	ASSERT_TRUE(put("memory.max", "16M"));
	st = inside(read_too_much, NULL);
	EXPECT_TRUE(st == 128 + SIGKILL || st == 42) TH_LOG("%d", st);
	EXPECT_LT(settled(), (long)MIB);
}

struct storm {
	struct object o;
	volatile bool stop;
};

static void *zap_all(void *arg)
{
	struct storm *s = arg;

	while (!s->stop) {
		madvise(s->o.map, s->o.s.map_bytes, MADV_DONTNEED);
		usleep(500);
	}
	return NULL;
}

/* Page tables come and go under SWITCH while its allocations are at the limit. */
static int switch_under_zap(void *arg)
{
	struct storm s = { .stop = false };
	long end = time(NULL) + 8;
	unsigned int i, n = 0;
	pthread_t t;

	if (object_open(&s.o, (struct object_opts){ .nr_windows = 32, .window_bytes = 2 * MIB, .park_bytes = 32 * MIB }))
		return 1;
	if (pthread_create(&t, NULL, zap_all, &s))
		return 2;
	while (time(NULL) < end) {
		struct greenstk_switch e[8];
		uint32_t done;

		for (i = 0; i < 8; i++) {
			unsigned int w = (n * 8 + i) % 32;

			paint(window_base(&s.o, w), 8 * PAGE, w);
			e[i] = (struct greenstk_switch){ .window = w, .out_bytes = 8 * PAGE };
		}
		if (batch(&s.o, GREENSTK_SWITCH, e, 8, sizeof(e[0]), 0, &done))
			continue;
		for (i = 0; i < done; i++)
			if (!e[i].result && e[i].handle_out && resume(&s.o, e[i].window, e[i].handle_out, EAGER))
				drop(&s.o, e[i].handle_out);
		n++;
	}
	s.stop = true;
	pthread_join(t, NULL);
	/* After the storm it works as ever. */
	for (i = 0; i < 32; i++) {
		uint64_t h;

		paint(window_base(&s.o, i), 8 * PAGE, 1000 + i);
		if (park(&s.o, i, 8 * PAGE, &h) || resume(&s.o, i, h, EAGER) || painted(window_base(&s.o, i), 8 * PAGE, 1000 + i))
			return 4;
	}
	object_close(&s.o);
	return n ? 0 : 3;
}

TEST_F_TIMEOUT(memcg, zapping_everything_against_switch_at_the_limit, 180)
{
	int st;

	ASSERT_TRUE(put("memory.max", "3M"));
	st = inside(switch_under_zap, NULL);
	/* Being killed at so low a limit is legal, hanging is not. */
	EXPECT_TRUE(st == 0 || st == 128 + SIGKILL) TH_LOG("%d", st);
	EXPECT_LT(settled(), (long)MIB);
}

static int lazy_then_anon(void *arg)
{
	struct greenstk_features f = { .size = sizeof(f) };
	struct greenstk_reclaim e[32] = { 0 };
	struct object o;
	uint32_t done;
	char *p;
	size_t i;

	if (object_open(&o, (struct object_opts){ .nr_windows = 32, .window_bytes = 2 * MIB }))
		return 1;
	if (ioctl(o.fd, GREENSTK_FEATURES, &f) || !(f.features & GREENSTK_FEATURE_LAZY))
		return 77;
	for (i = 0; i < 32; i++) {
		paint(window_base(&o, i), MIB, i);
		e[i] = (struct greenstk_reclaim){ .window = i, .keep_bytes = 4 * PAGE };
	}
	if (batch(&o, GREENSTK_RECLAIM, e, 32, sizeof(e[0]), GREENSTK_RECLAIM_LAZY, &done) || done != 32)
		return 2;
	for (i = 0; i < 32; i++)
		if (e[i].result)
			return fprintf(stderr, "# lazy %zu: %d\n", i, e[i].result), 3;
	/* 32 MiB are lazy, the limit is 40: 24 more need most of them back. */
	p = mmap(NULL, 24 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 24 * MIB; i += PAGE)
		p[i] = 1;
	if (!stat_of(&o).reclaimed_lazy)
		return 4;
	for (i = 0; i < 32; i++)
		if (painted(window_base(&o, i), 4 * PAGE, i))
			return 5;
	object_close(&o);
	return 0;
}

TEST_F_TIMEOUT(memcg, lazy_pages_go_before_anybody_is_killed, 180)
{
	long kills = get("memory.events", "oom_kill ");
	int st;

	ASSERT_TRUE(put("memory.max", "40M"));
	st = inside(lazy_then_anon, NULL);
	if (st == 77)
		SKIP(return, "no LAZY in this module");
	EXPECT_EQ(0, st);
	EXPECT_EQ(kills, get("memory.events", "oom_kill "));
	EXPECT_LT(settled(), (long)MIB);
}

TEST_HARNESS_MAIN
