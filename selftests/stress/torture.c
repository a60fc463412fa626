// SPDX-License-Identifier: MIT
/*
 * Stacks of 128 bytes to 1 MiB go through all tiers at random while their tasks park, read and write sockets
 * from old frames, and look at every byte that they had. Each case has 1, 2 and 8 workers and each backend; it
 * begins and ends runtimes of random shapes until its time is over, and until every way was gone. At the end of
 * each nothing may be left.
 *
 *	GREENSTK_SEED=		repeats the choices, not the schedule
 *	GREENSTK_TORTURE_MS=	for each case; 1500
 *	GREENSTK_KO=		the module's file, which is unloaded and loaded again
 */
#include "torture.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host/host.h"
#include "host/uffd.h"
#include "kselftest_harness.h"

#define PAGE 4096u
#define MS   1000000ull

struct left {
	uint64_t rss, mapped;
	int fds, threads;
};

static int entries(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += *e->d_name != '.';
	if (d)
		closedir(d);
	return n;
}

static struct left what_is_there(void)
{
	struct left l = { .fds = entries("/proc/self/fd"), .threads = entries("/proc/self/task") };
	unsigned long size = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &size, &rss) == 2)
		l = (struct left){ (uint64_t)rss * PAGE, (uint64_t)size * PAGE, l.fds, l.threads };
	if (f)
		fclose(f);
	return l;
}

static uint64_t case_ns(void)
{
	const char *s = getenv("GREENSTK_TORTURE_MS");

	return (s && *s ? strtoull(s, NULL, 0) : 1500) * MS;
}

FIXTURE(torture) {
	struct rng r;
	uint64_t seed;
	const char *missing;
};
FIXTURE_VARIANT(torture) {
	uint32_t workers, backend;
};
#define VARIANTS(name, backend_) \
	FIXTURE_VARIANT_ADD(torture, name##_1) { .workers = 1, .backend = backend_ }; \
	FIXTURE_VARIANT_ADD(torture, name##_2) { .workers = 2, .backend = backend_ }; \
	FIXTURE_VARIANT_ADD(torture, name##_8) { .workers = 8, .backend = backend_ }
#ifndef TORTURE_MODULE_ONLY /* in guests: the others do not care whose kernel it is, and take as long */
VARIANTS(copy, GSTK_BACKEND_COPY);
VARIANTS(uffd, GSTK_BACKEND_UFFD);
#endif
VARIANTS(module, GSTK_BACKEND_MODULE);

FIXTURE_SETUP(torture)
{
	static const char *const ours[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP" };
	const char *s = getenv("GREENSTK_SEED");
	char name[64];

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		snprintf(name, sizeof(name), "GREENSTK_%s", ours[i]);
		unsetenv(name);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* of who waits for it with a time limit */
	mallopt(M_ARENA_MAX, 1);	  /* each reserves 64 MiB, and is kept when its thread ends */
	self->seed = s && *s ? strtoull(s, NULL, 0) : gstk__now_ns();
	self->r.s = (self->seed + variant->workers * 31 + variant->backend) * 0x9e3779b97f4a7c15u | 1;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)seen);
	if (variant->backend == GSTK_BACKEND_MODULE && access("/dev/greenstk", R_OK | W_OK))
		self->missing = "the module is not loaded";
	if (variant->backend == GSTK_BACKEND_UFFD && gstk__uffd_open())
		self->missing = "userfaultfd is forbidden here";
	gstk__uffd_close();
}

#define NEEDS_BACKEND() \
	do { \
		if (self->missing) \
			SKIP(return, "%s", self->missing); \
	} while (0)

FIXTURE_TEARDOWN(torture)
{
	if (seen->lives || seen->holds)
		fprintf(stderr, "# seed %llu: %llu lives, %llu stacks of %llu checks, %llu evictions, %llu lazy, "
		"%llu through sockets, %llu wrong\n", (unsigned long long)self->seed, (unsigned long long)seen->lives,
		(unsigned long long)seen->holds, (unsigned long long)seen->checks, (unsigned long long)seen->evictions,
		(unsigned long long)seen->lazy_restores, (unsigned long long)seen->trips, (unsigned long long)seen->wrong);
}

/* Where a stack goes from its window first. */
static uint8_t out_of(uint32_t backend)
{
	return backend == GSTK_BACKEND_UFFD ? GSTK__TIER_DEEP
	       : backend == GSTK_BACKEND_MODULE ? GSTK__TIER_REMAPPED : GSTK__TIER_COPIED;
}

/* In guests everything takes longer: how many times. Of every way there, one worker is asked; more are for races. */
static uint32_t slower(void)
{
	const char *s = getenv("GREENSTK_PATIENCE");
	int n = s ? atoi(s) / 2 : 1;

	return n < 1 ? 1 : n < 8 ? (uint32_t)n : 8;
}

static bool went_every_way(uint32_t backend, uint32_t workers)
{
	uint8_t in = GSTK__TIER_RESIDENT, out = out_of(backend), cold = GSTK__TIER_COLD;
	uint8_t packed = backend == GSTK_BACKEND_UFFD ? GSTK__TIER_DEEP_PACKED : GSTK__TIER_PACKED;
	bool pager = backend == GSTK_BACKEND_MODULE && module_pager();

	if (workers > 1 && slower() > 1)
		return walked.edge[in][out] && walked.edge[out][in];
	return walked.edge[in][out] && walked.edge[out][in] && walked.edge[out][packed] &&
	       walked.edge[in][packed] && walked.edge[packed][in] && walked.trims && walked.looks &&
	       (!pager || (walked.edge[out][cold] && walked.edge[cold][in])) &&
	       ((!pager && backend != GSTK_BACKEND_UFFD) || seen->lazy_restores);
}

static bool failed_every_way(uint32_t backend, uint32_t workers)
{
	if (workers > 1 && slower() > 1)
		return failures.again + failures.shorter + failures.nomem;
	return walked.refused && (backend == GSTK_BACKEND_COPY || failures.again + failures.shorter) &&
	       (backend != GSTK_BACKEND_UFFD || seen->injected) && (backend != GSTK_BACKEND_MODULE || failures.moves);
}

/*
 * Lives until the time is over and there was @enough (slow machines need more time for that, but no more than
 * a hundred seconds more, in a guest more than that), after one that makes what is made once a process.
 */
static struct left lives(struct rng *r, uint32_t workers, uint32_t backend, uint64_t ns, bool failing,
			 bool (*enough)(uint32_t backend, uint32_t workers))
{
	uint64_t end = gstk__now_ns() + ns;
	struct left first;

	one_life(r, workers, backend, gstk__now_ns() + 50 * MS, false);
	first = what_is_there();
	do
		one_life(r, workers, backend, gstk__now_ns() + (50 + rnd(r) % 400) * MS * slower(), failing);
	while (gstk__now_ns() < end || (!enough(backend, workers) && gstk__now_ns() < end + 50000 * MS * (1 + slower())));
	return first;
}

#define LEFT_NOTHING(before)                                                                     \
	do {                                                                                     \
		struct left after_ = what_is_there();                                            \
		EXPECT_EQ((before).fds, after_.fds);                                             \
		EXPECT_EQ((before).threads, after_.threads);                                     \
		EXPECT_GE((before).mapped + (8u << 20), after_.mapped);                          \
		EXPECT_GE((before).rss + (16u << 20), after_.rss);                               \
	} while (0)

TEST_F_TIMEOUT(torture, stacks_keep_every_byte_through_all_tiers, 100000)
{
	struct left before;

	NEEDS_BACKEND();
	before = lives(&self->r, variant->workers, variant->backend, case_ns(), false, went_every_way);
	EXPECT_EQ(0, seen->wrong);
	LEFT_NOTHING(before);
	EXPECT_TRUE(went_every_way(variant->backend, variant->workers));
}

TEST_F_TIMEOUT(torture, no_byte_is_lost_where_memory_and_calls_fail, 100000)
{
	struct left before;

	NEEDS_BACKEND();
	before = lives(&self->r, variant->workers, variant->backend, case_ns(), true, failed_every_way);
	EXPECT_EQ(0, seen->wrong);
	LEFT_NOTHING(before);
	EXPECT_EQ(seen->injected, seen->reported);
	EXPECT_TRUE(failed_every_way(variant->backend, variant->workers));
}

/* Descriptors and mappings that outlive a process are files: there may be none at any time. */
static int files_of(int pid)
{
	char path[320], to[256];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/map_files", pid);
	for (int i = 0; i < 2; i++) {
		char *dir = strdup(path);

		d = opendir(dir);
		while (d && (e = readdir(d))) {
			ssize_t len;

			snprintf(path, sizeof(path), "%s/%.20s", dir, e->d_name);
			len = readlink(path, to, sizeof(to) - 1);
			to[len > 0 ? len : 0] = 0;
			n += !strncmp(to, "/dev/shm/", 9) || (!strncmp(to, "/tmp/", 5) && strcmp(dir + 1, "fd"));
		}
		if (d)
			closedir(d);
		free(dir);
		snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	}
	return n;
}

/* Where only the test and its children see what is there. False: not permitted. */
static bool private_folders(void)
{
	return !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("none", "/tmp", "tmpfs", 0, NULL) && !mount("none", "/dev/shm", "tmpfs", 0, NULL);
}

static int thread_named(int pid, const char *name)
{
	char path[320], comm[32];
	struct dirent *e;
	int tid = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && !tid && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", pid, e->d_name);
		f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f) && !strncmp(comm, name, strlen(name)))
			tid = atoi(e->d_name);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return tid;
}

TEST_F_TIMEOUT(torture, a_process_that_is_killed_leaves_nothing, 100000)
{
	uint64_t end = gstk__now_ns() + case_ns(), kills = 0;
	bool alone;
	int inherited;

	NEEDS_BACKEND();
	alone = private_folders();
	inherited = files_of(getpid());
	while (gstk__now_ns() < end || kills < 3) {
		uint64_t lived = seen->holds, deadline = gstk__now_ns() + 60000 * MS * slower();
		int pid = fork(), status, tid, inside;

		ASSERT_LE(0, pid);
		if (!pid) {
			setpgid(0, 0);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			lives(&self->r, variant->workers, variant->backend, 100000 * MS, rnd(&self->r) % 2, went_every_way);
			_exit(0);
		}
		while (seen->holds < lived + 20 && gstk__now_ns() < deadline)
			usleep(1000);
		usleep(rnd(&self->r) % 60000);
		inside = files_of(pid);
		tid = thread_named(pid, kills % 2 ? "gstk-pager" : "gstk-");
		ASSERT_EQ(0, syscall(SYS_tgkill, pid, tid ? tid : pid, SIGKILL));
		kill(pid, SIGKILL); /* a thread that is ending takes its signal along */
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		EXPECT_LT(lived, seen->holds); /* in mid-run */
		EXPECT_EQ(inherited, inside);
		EXPECT_EQ(-1, kill(-pid, 0)); /* nobody of its group is left */
		if (alone)
			EXPECT_EQ(0, entries("/dev/shm") + entries("/tmp"));
		EXPECT_EQ(0, module_objects_left());
		kills++;
	}
	EXPECT_EQ(0, seen->wrong);
}

TEST_F_TIMEOUT(torture, a_pager_that_fails_ends_the_process_and_says_why, 100000)
{
	char said[4096] = "";
	int pipes[2], pid, status;
	size_t n = 0;
	ssize_t got;

	NEEDS_BACKEND();
	if (variant->backend != GSTK_BACKEND_UFFD && !(variant->backend == GSTK_BACKEND_MODULE && module_pager()))
		SKIP(return, "no_pager: only userfaultfd has one, and the module that was loaded with it");
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		dup2(pipes[1], 2);
		close(pipes[1]);
		faults.pager = true; /* what it reads next is an error */
		for (;;)
			one_life(&self->r, variant->workers, variant->backend, gstk__now_ns() + 1000 * MS, false);
	}
	close(pipes[1]);
	while (n < sizeof(said) - 1 && (got = read(pipes[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	EXPECT_NE(NULL, strstr(said, "greenstk: pager: userfaultfd:")) TH_LOG("%s", said);
	EXPECT_NE(NULL, strstr(said, "cannot go on"));
}

TEST_F_TIMEOUT(torture, the_module_stays_while_stacks_move_and_goes_when_they_are_gone, 100000)
{
	uint64_t end = gstk__now_ns() + case_ns(), deadline = end + 60000 * MS * slower(), tries = 0;
	int pid, status;

	if (variant->backend != GSTK_BACKEND_MODULE)
		SKIP(return, "no_module: others are not unloaded");
	NEEDS_BACKEND();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		one_life(&self->r, variant->workers, variant->backend, end + 100000 * MS, true);
		_exit(0);
	}
	while (seen->holds < 20 && gstk__now_ns() < deadline)
		usleep(1000);
	ASSERT_LE(20, seen->holds); /* in mid-run */
	for (uint64_t held = seen->holds; gstk__now_ns() < end || seen->holds < held + 20; tries++) {
		ASSERT_EQ(-EAGAIN, module_unload());
		ASSERT_GT(deadline, gstk__now_ns());
		usleep(rnd(&self->r) % 20000);
	}
	EXPECT_LT(0, tries);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, seen->wrong);
	EXPECT_EQ(0, module_objects_left());
	EXPECT_EQ(0, module_again());
}

TEST_HARNESS_MAIN
