// SPDX-License-Identifier: MIT
/* Who is short of memory: the control group that the process is in, where there is one. */
#include <sys/stat.h>
#include "report_test.h"

static char group[128], file[160];

static bool make_group(const char *mount)
{
	snprintf(group, sizeof(group), "%s/greenstk-test-%d", mount, getpid());
	snprintf(file, sizeof(file), "%s/memory.pressure", group);
	return !mkdir(group, 0755) && !access(file, R_OK);
}

static bool have_group(void)
{
	if (make_group("/sys/fs/cgroup"))
		return true;
	rmdir(group);
	return make_group("/sys/fs/cgroup/unified");
}

static bool is_open(const char *path)
{
	char link[64], to[256];
	bool found = false;

	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, to, sizeof(to) - 1);
		to[n < 0 ? 0 : n] = 0;
		found |= !strcmp(to, path);
	}
	return found;
}

static void look(void)
{
	CHECK(is_open(file));
	gstk_info(2);
}

static void in_the_group(void)
{
	char procs[160];
	FILE *f;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	f = fopen(procs, "we");
	CHECK(f && fprintf(f, "%d", getpid()) > 0 && !fclose(f));
	with_workers(1, look);
}

TEST(the_pressure_is_that_of_the_own_control_group)
{
	char line[256];
	int status;

	if (!have_group()) {
		rmdir(group);
		SKIP(return, "no control groups with pressure files that may be made here");
	}
	status = in_child(in_the_group);
	rmdir(group);
	ASSERT_EQ(0, status);
	snprintf(line, sizeof(line), ": of %s\n", file);
	EXPECT_TRUE(reported("kernel.psi some avg10="));
	EXPECT_TRUE(reported(line));
}

TEST_HARNESS_MAIN
