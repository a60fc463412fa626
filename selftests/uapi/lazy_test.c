// SPDX-License-Identifier: MIT
/* RECLAIM: NOW frees what lies below a stack, LAZY when memory is short. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

FIXTURE(reclaim)
{
	struct object o;
};

FIXTURE_SETUP(reclaim)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = 256 }));
}

FIXTURE_TEARDOWN(reclaim)
{
	object_close(&self->o);
}

static int lazy(struct object *o, unsigned int window, size_t keep)
{
	struct greenstk_reclaim e = { .window = window, .keep_bytes = keep };
	int err = batch(o, GREENSTK_RECLAIM, &e, 1, sizeof(e), GREENSTK_RECLAIM_LAZY, NULL);

	return err ? err : e.result;
}

TEST_F(reclaim, now_frees_what_is_below_and_keeps_what_is_above)
{
	char *base = window_base(&self->o, 5);
	uint64_t freed;

	paint(base, 20 * PAGE, 1);
	ASSERT_EQ(0, reclaim(&self->o, 5, 4 * PAGE - 100, &freed));
	EXPECT_EQ(16, freed);
	EXPECT_EQ(4, stat_of(&self->o).pages);
	EXPECT_EQ(0, painted(base, 4 * PAGE, 1));
	EXPECT_TRUE(all_zero(base - 20 * PAGE, 16 * PAGE));
	ASSERT_EQ(0, reclaim(&self->o, 5, 0, &freed));
	EXPECT_EQ(20, freed);
	EXPECT_EQ(0, stat_of(&self->o).pages);
	ASSERT_EQ(0, reclaim(&self->o, 5, 0, &freed));
	EXPECT_EQ(0, freed);
}

TEST_F(reclaim, a_batch_takes_one_flush)
{
	struct greenstk_reclaim e[64] = { 0 };
	struct greenstk_stat before;
	char path[8] = "";
	uint64_t rss;
	uint32_t i, done;

	for (i = 0; i < 64; i++) {
		paint(window_base(&self->o, i * 4), 17 * PAGE, i);
		e[i].window = i * 4;
		e[i].keep_bytes = PAGE;
	}
	rss = rss_pages();
	before = stat_of(&self->o);
	ASSERT_EQ(0, batch(&self->o, GREENSTK_RECLAIM, e, 64, sizeof(*e), 0, &done));
	EXPECT_EQ(64, done);
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(16, e[i].freed_pages);
		EXPECT_EQ(0, painted(window_base(&self->o, i * 4), PAGE, i));
	}
	EXPECT_GE(rss - rss_pages(), 64 * 16 - 160);
	if (read_param("move_path", path, sizeof(path)) && strcmp(path, "3"))
		EXPECT_EQ(before.flushes + 1, stat_of(&self->o).flushes);
}

TEST_F(reclaim, arguments_are_checked_entry_by_entry)
{
	uint64_t freed;

	EXPECT_EQ(-EINVAL, reclaim(&self->o, 256, 0, &freed));
	EXPECT_EQ(-EINVAL, reclaim(&self->o, 0, self->o.s.window_bytes, &freed));
	EXPECT_EQ(-EINVAL, lazy(&self->o, 256, 0));
	EXPECT_EQ(0, reclaim(&self->o, 0, self->o.s.window_bytes - self->o.s.guard_bytes, &freed));
}

TEST_F(reclaim, a_lazy_window_can_be_claimed)
{
	char *base = window_base(&self->o, 1);
	uint64_t handle;

	paint(base, 8 * PAGE, 1);
	ASSERT_EQ(0, lazy(&self->o, 1, 2 * PAGE));
	EXPECT_EQ(GREENSTK_WORD_IDLE, self->o.words[1]);
	ASSERT_EQ(0, park(&self->o, 1, 2 * PAGE, &handle));
	EXPECT_EQ(GREENSTK_WORD_BUSY, self->o.words[1]);
	ASSERT_EQ(0, resume(&self->o, 1, handle, EAGER));
	EXPECT_EQ(0, painted(base, 2 * PAGE, 1));
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	write(fd, "2", 1);
	close(fd);
}

TEST_F(reclaim, the_shrinker_takes_idle_windows_only)
{
	uint32_t i;

	for (i = 0; i < 256; i++) {
		paint(window_base(&self->o, i), 10 * PAGE, i);
		ASSERT_EQ(0, lazy(&self->o, i, 2 * PAGE));
	}
	/* These run again, without a word to the kernel. */
	for (i = 0; i < 256; i += 2)
		self->o.words[i] = GREENSTK_WORD_BUSY;
	for (i = 0; i < 20 && stat_of(&self->o).reclaimed_lazy < 128 * 8; i++)
		drop_caches();
	EXPECT_EQ(128 * 8, stat_of(&self->o).reclaimed_lazy);
	for (i = 0; i < 256; i++) {
		EXPECT_EQ(GREENSTK_WORD_BUSY, self->o.words[i]);
		ASSERT_EQ(0, painted(window_base(&self->o, i), (i & 1 ? 2 : 10) * PAGE, i));
		if (i & 1)
			EXPECT_TRUE(all_zero(window_base(&self->o, i) - 10 * PAGE, 8 * PAGE));
	}
}

struct sayer {
	struct object *o;
	volatile bool stop;
	int bad;
};

/* Says of windows that they are idle, whether or not the shrinker has them. */
static void *say_idle(void *arg)
{
	struct greenstk_reclaim e[64];
	struct sayer *s = arg;
	uint32_t i, done;

	for (i = 0; i < 64; i++)
		e[i] = (struct greenstk_reclaim){ .window = i, .keep_bytes = PAGE };
	while (!s->stop) {
		s->bad |= batch(s->o, GREENSTK_RECLAIM, e, 64, sizeof(*e), GREENSTK_RECLAIM_LAZY, &done);
		s->bad |= done != 64;
	}
	return NULL;
}

TEST_F_TIMEOUT(reclaim, what_the_shrinker_has_may_be_said_to_be_idle_again, 120)
{
	struct sayer s = { .o = &self->o };
	pthread_t thread;
	uint32_t i;

	for (i = 0; i < 64; i++)
		paint(window_base(&self->o, i), 2 * PAGE, i);
	ASSERT_EQ(0, pthread_create(&thread, NULL, say_idle, &s));
	for (i = 0; i < 200; i++) {
		*(volatile char *)(window_base(&self->o, i % 64) - 2 * PAGE) = 1;
		drop_caches();
	}
	s.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, s.bad);
	EXPECT_GE(stat_of(&self->o).reclaimed_lazy, 64);
	for (i = 0; i < 64; i++) {
		EXPECT_NE(GREENSTK_WORD_RECLAIMING, self->o.words[i]);
		EXPECT_EQ(0, painted(window_base(&self->o, i), PAGE, i));
	}
}

static bool put_string(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

/* In a memcg of 24 MiB: 16 MiB of lazy pages, then 16 MiB of others. */
static int fill_memcg(void *arg)
{
	struct object o;
	char pid[32];
	uint32_t i;

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!put_string("/tmp/cg/gsk/cgroup.procs", pid))
		return 2;
	if (object_open(&o, (struct object_opts){ .nr_windows = 1024 }))
		return 3;
	for (i = 0; i < 512; i++) {
		paint(window_base(&o, i), 9 * PAGE, i);
		if (arg && lazy(&o, i, PAGE))
			return 4;
	}
	for (i = 512; i < 1024; i++)
		paint(window_base(&o, i), 8 * PAGE, i);
	for (i = 0; i < 512; i++)
		if (painted(window_base(&o, i), PAGE, i))
			return 5;
	return stat_of(&o).reclaimed_lazy ? 0 : 6;
}

TEST(a_memcg_at_its_limit_reclaims_lazy_pages_and_kills_nobody)
{
	mkdir("/tmp/cg", 0755);
	if (mount("none", "/tmp/cg", "cgroup2", 0, NULL))
		SKIP(return, "no cgroup2");
	if (!put_string("/tmp/cg/cgroup.subtree_control", "+memory"))
		SKIP(goto out, "no memory controller");
	mkdir("/tmp/cg/gsk", 0755);
	ASSERT_TRUE(put_string("/tmp/cg/gsk/memory.max", "25165824"));
	EXPECT_EQ(0, in_child(fill_memcg, (void *)1));
	/* The same without lazy pages does not fit. */
	EXPECT_EQ(128 + SIGKILL, in_child(fill_memcg, NULL));
	rmdir("/tmp/cg/gsk");
out:
	umount("/tmp/cg");
}

TEST_HARNESS_MAIN
