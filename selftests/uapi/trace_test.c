// SPDX-License-Identifier: MIT
/* Trace events say what happened; debugfs shows a line of counters for each object. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../skip_setup.h"
#include "object.h"

#define EVENTS "/sys/kernel/tracing/events/greenstk"

static char text[1 << 20];

static bool read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, at = 0;

	if (fd < 0)
		return false;
	while ((n = read(fd, text + at, sizeof(text) - 1 - at)) > 0)
		at += n;
	text[at] = '\0';
	close(fd);
	return !n;
}

static bool write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

	close(fd);
	return ok;
}

FIXTURE(trace)
{
	struct object o;
	bool mounted;
};

FIXTURE_SETUP(trace)
{
	if (access("/sys/kernel/tracing/trace", F_OK))
		self->mounted = !mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	self->o.fd = -1;
	self->o.map = self->o.grave = MAP_FAILED;
	if (access("/sys/kernel/tracing/trace", F_OK))
		SKIP_SETUP("no tracefs");
	ASSERT_TRUE(write_file(EVENTS "/enable", "1"));
	ASSERT_TRUE(write_file("/sys/kernel/tracing/trace", ""));
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ 0 }));
}

FIXTURE_TEARDOWN(trace)
{
	if (!access("/sys/kernel/tracing/trace", F_OK))
		write_file(EVENTS "/enable", "0");
	object_close(&self->o);
	if (self->mounted)
		umount("/sys/kernel/tracing");
}

/* Does a line of this event of this object hold all the words? */
static bool traced(const char *event, const char *words)
{
	char owner[32], *line, *next;

	snprintf(owner, sizeof(owner), "owner=%d ", getpid());
	if (!read_file("/sys/kernel/tracing/trace"))
		return false;
	for (line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (strstr(line, event) && strstr(line, owner) && strstr(line, words))
			return true;
	}
	return false;
}

TEST_F(trace, a_switch_and_its_faults_are_traced)
{
	uint64_t handle;
	char words[64];

	paint(window_base(&self->o, 3), 5 * PAGE, 1);
	snprintf(words, sizeof(words), "address=0x%lx",
		 (unsigned long)window_base(&self->o, 3) - 5 * PAGE);
	EXPECT_TRUE(traced("greenstk_fault: ", words));
	ASSERT_EQ(0, park(&self->o, 3, 5 * PAGE, &handle));
	EXPECT_TRUE(traced("greenstk_switch: ", "entries=1 done=1 parked=5 resumed=0 dead=0"));
	ASSERT_EQ(0, resume(&self->o, 4, handle, EAGER));
	EXPECT_TRUE(traced("greenstk_switch: ", "entries=1 done=1 parked=0 resumed=5 dead=0"));
	EXPECT_FALSE(traced("greenstk_switch: ", "parked=6"));
}

TEST_F(trace, a_reclaim_is_traced)
{
	uint64_t freed;

	paint(window_base(&self->o, 0), 7 * PAGE, 1);
	ASSERT_EQ(0, reclaim(&self->o, 0, 3 * PAGE, &freed));
	EXPECT_TRUE(traced("greenstk_reclaim: ", "lazy=0 windows=1 pages=4"));
}

static int nothing(void *unused)
{
	return 0;
}

TEST_F(trace, a_fork_is_traced)
{
	ASSERT_EQ(0, in_child(nothing, NULL));
	/* This test does not run on a window: the child got no stack. */
	EXPECT_TRUE(traced("greenstk_fork: ", "window=0 pages=0 err=0"));
}

TEST_F(trace, a_question_to_the_pager_is_traced)
{
	struct greenstk_pager p = { .size = sizeof(p), .bytes = self->o.s.park_bytes };
	struct greenstk_cold c = { .bytes = PAGE };
	uint64_t handle;
	char old[8];

	ASSERT_TRUE(read_param("pager", old, sizeof(old)));
	ASSERT_TRUE(write_param("pager", "1"));
	paint(window_base(&self->o, 0), PAGE, 1);
	ASSERT_EQ(0, park(&self->o, 0, PAGE, &handle));
	c.handle = handle;
	ASSERT_EQ(0, batch(&self->o, GREENSTK_COLD, &c, 1, sizeof(c), 0, NULL));
	ASSERT_EQ(0, c.result);
	/* Nobody answers there: the question is refused, but not before it was traced. */
	p.addr = (uintptr_t)self->o.map;
	ASSERT_EQ(0, ioctl(self->o.fd, GREENSTK_PAGER, &p));
	ASSERT_EQ(0, resume(&self->o, 0, handle, EAGER));
	EXPECT_EQ(SIGBUS, touch_signal(window_base(&self->o, 0) - 1, false));
	EXPECT_TRUE(traced("greenstk_pager: ", "page="));
	ASSERT_TRUE(write_param("pager", old));
}

TEST(debugfs_has_a_line_for_each_object)
{
	const char *path = "/sys/kernel/debug/greenstk/objects";
	bool mounted = false;
	struct object o;
	char words[64];
	uint64_t handle;

	if (access("/sys/kernel/debug/greenstk", F_OK))
		mounted = !mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (access(path, F_OK))
		SKIP(return, "no debugfs");
	ASSERT_EQ(0, object_open(&o, (struct object_opts){ .nr_windows = 17 }));
	paint(window_base(&o, 0), 3 * PAGE, 1);
	ASSERT_EQ(0, park(&o, 0, 3 * PAGE, &handle));
	snprintf(words, sizeof(words), "pid=%d state=mapped windows=17 pages=3 ", getpid());
	ASSERT_TRUE(read_file(path));
	EXPECT_NE(NULL, strstr(text, words));
	EXPECT_NE(NULL, strstr(text, " handles=1 "));
	EXPECT_NE(NULL, strstr(text, " pages_parked=3 "));
	object_close(&o);
	ASSERT_TRUE(read_file(path));
	EXPECT_EQ(NULL, strstr(text, words));
	if (mounted)
		umount("/sys/kernel/debug");
}

TEST_HARNESS_MAIN
