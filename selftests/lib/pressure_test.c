// SPDX-License-Identifier: MIT
/* Who is short of memory: the control group that the process is in, where there is one. */
#include <sys/stat.h>
#include "host/pressure.h"
#include "park/sweep.h"
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

static void enter(const char *name)
{
	char procs[160];
	FILE *f;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", name);
	f = fopen(procs, "we");
	CHECK(f && fprintf(f, "%d", getpid()) > 0 && !fclose(f));
}

static void in_the_group(void)
{
	enter(group);
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

/* Somebody moves it to the group at the top, and takes the other one away. */
static void move_out(void)
{
	char top[128], now[GSTK__PRESSURE_PATH];

	snprintf(top, sizeof(top), "%.*s", (int)(strrchr(group, '/') - group), group);
	enter(top);
	CHECK(!rmdir(group));
	for (int i = 0; i < 1000 && !is_open(gstk__pressure_file(now)); i++)
		gstk_sleep(10 * MS);
	CHECK(is_open(gstk__pressure_file(now)));
	CHECK(strcmp(gstk__pressure_file(now), file));
}

static void in_the_group_for_a_while(void)
{
	enter(group);
	with_workers(1, move_out);
}

TEST(when_the_group_is_gone_that_of_the_next_one_counts)
{
	int status;

	if (!have_group()) {
		rmdir(group);
		SKIP(return, "no control groups with pressure files that may be made here");
	}
	status = in_child(in_the_group_for_a_while);
	rmdir(group);
	ASSERT_EQ(0, status) TH_LOG("%s", report);
}

/* ---- how near its limit is, in a tree of our own ---- */

static char tree[] = "/tmp/greenstk-test-XXXXXX";

/* Of the group, "" for the one at the top; NULL: no such file. */
static void put(const char *of, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s/%s", tree, of, name);
	if (!text) {
		unlink(path);
		return;
	}
	f = fopen(path, "we");
	CHECK(f && fputs(text, f) >= 0 && !fclose(f));
}

static void make_groups(const char *of)
{
	char path[512];

	for (const char *end = of; *end;) {
		end += 1 + strcspn(end + 1, "/");
		snprintf(path, sizeof(path), "%s%.*s", tree, (int)(end - of), of);
		CHECK(!mkdir(path, 0755) || errno == EEXIST);
	}
}

static void clear_groups(const char *of)
{
	static const char *const names[] = { "memory.max", "memory.high", "memory.current", "memory.stat", "memory.pressure" };
	char at[400], path[512];

	for (snprintf(at, sizeof(at), "%s", of);;) {
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			put(at, names[i], NULL);
		snprintf(path, sizeof(path), "%s%s", tree, at);
		CHECK(!rmdir(path));
		if (!*at)
			break;
		*strrchr(at, '/') = 0;
	}
}

static struct gstk__memory_limit limit_of(const char *of)
{
	struct gstk__memory_limit l = { .bytes = UINT64_MAX };

	gstk__memory_limit_of(tree, of, &l);
	return l;
}

TEST(the_limit_of_a_group_is_the_lower_of_two_and_what_can_be_dropped_does_not_count)
{
	struct gstk__memory_limit l;

	ASSERT_TRUE(mkdtemp(tree));
	make_groups("/a");
	EXPECT_EQ(UINT64_MAX, limit_of("/a").bytes);
	EXPECT_EQ(UINT64_MAX, limit_of("/gone").bytes);
	put("/a", "memory.current", "790000\n");
	EXPECT_EQ(UINT64_MAX, limit_of("/a").bytes);
	put("/a", "memory.max", "max\n");
	put("/a", "memory.high", "max\n");
	l = limit_of("/a");
	EXPECT_EQ(UINT64_MAX, l.bytes);
	EXPECT_EQ(0, l.filled);
	put("/a", "memory.max", "1000000\n");
	l = limit_of("/a");
	EXPECT_EQ(1000000, l.bytes);
	EXPECT_EQ(79, l.filled);
	EXPECT_TRUE(!strncmp(l.group, tree, strlen(tree)) && !strcmp(l.group + strlen(tree), "/a"));
	put("/a", "memory.high", "900000\n");
	l = limit_of("/a");
	EXPECT_EQ(900000, l.bytes);
	EXPECT_EQ(87, l.filled); /* nothing is known of what it is */
	put("/a", "memory.stat", "anon 500000\nfile 300000\nshmem 50000\ninactive_anon 9\nactive_anon 9\ninactive_file 150000\n"
	    "active_file 90000\nunevictable 5\nslab_reclaimable 10000\nslab_unreclaimable 7\n");
	EXPECT_EQ(60, limit_of("/a").filled);
	put("/a", "memory.current", "240000\n"); /* far from it: nobody asks what of it can go */
	EXPECT_EQ(26, limit_of("/a").filled);
	put("/a", "memory.stat", "anon 1\ninactive_file 999999999\n");
	put("/a", "memory.current", "880000\n");
	EXPECT_EQ(0, limit_of("/a").filled);
	put("/a", "memory.stat", NULL);
	put("/a", "memory.current", "1500000\n"); /* memory.high may be passed */
	EXPECT_EQ(100, limit_of("/a").filled);
	put("/a", "memory.high", "0\n");
	EXPECT_EQ(100, limit_of("/a").filled);
	put("/a", "memory.current", NULL);
	EXPECT_EQ(UINT64_MAX, limit_of("/a").bytes);
	clear_groups("/a");
}

TEST(of_the_groups_that_a_group_is_in_the_nearest_limit_counts)
{
	strcpy(tree + strlen(tree) - 6, "XXXXXX");
	ASSERT_TRUE(mkdtemp(tree));
	make_groups("/a/b/c");
	put("/a/b/c", "memory.max", "1000\n");
	put("/a/b/c", "memory.current", "500\n");
	EXPECT_EQ(50, limit_of("/a/b/c").filled);
	put("/a/b", "memory.max", "max\n");
	put("/a/b", "memory.current", "900\n");
	put("/a", "memory.max", "2000\n");
	put("/a", "memory.current", "1900\n");
	EXPECT_EQ(95, limit_of("/a/b/c").filled);
	EXPECT_EQ(2000, limit_of("/a/b/c").bytes);
	EXPECT_EQ(UINT64_MAX, limit_of("").bytes);
	put("", "memory.max", "10000\n"); /* in a namespace of its own it is at the top */
	put("", "memory.current", "9900\n");
	EXPECT_EQ(99, limit_of("/a/b/c").filled);
	EXPECT_EQ(99, limit_of("/").filled);
	EXPECT_EQ(strlen(tree), strlen(limit_of("/a").group));
	clear_groups("/a/b/c");
}

#define NR 200

static char own_group[400];
static gstk_sem go_on = GSTK_SEM_INIT(0);

static void find_own_group(void)
{
	char line[384];
	FILE *f = fopen("/proc/self/cgroup", "re");

	own_group[0] = 0;
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::/", 4) && line[4] != '\n')
			snprintf(own_group, sizeof(own_group), "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
	if (f)
		fclose(f);
}

static void *waits(void *arg)
{
	CHECK_EQ(gstk_sem_wait(&go_on), 0);
	return NULL;
}

/* They would stay for 40 s, ten times as long as evict_idle; half a second is left of it. */
static void many_wait(void)
{
	struct gstk_stats st = { .size = sizeof(st) };
	struct gstk__climate c = { 0 };
	gstk_task *t[NR];

	for (int i = 0; i < NR; i++)
		t[i] = start(waits, NULL);
	for (int i = 0; i < 3000 && st.moved_pressure < NR - 70; i++) {
		gstk_sleep(10 * MS);
		CHECK_EQ(gstk_stats(&st), 0);
	}
	gstk_info(2);
	CHECK(st.moved_pressure >= NR - 70);
	CHECK_EQ(st.moved_cold + st.moved_budget, 0);
	put(own_group, "memory.current", "100000\n");
	for (int i = 0; i < 3000 && c.filled != 10; i++) {
		gstk_sleep(10 * MS);
		gstk__sweep_climate(&c);
	}
	gstk_info(2);
	gstk_sem_post(&go_on, NR);
	for (int i = 0; i < NR; i++)
		CHECK_EQ(finish(t[i]), 0);
}

static void nearly_full(void)
{
	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP", "DEBUG" };
	struct gstk_config c = { .size = sizeof(c), .workers = 1, .backend = GSTK_BACKEND_COPY, .evict_idle_ns = 4000 * MS,
		.resident_budget = 1 << 30 };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	gstk__cgroup_mount[0] = tree;
	gstk__cgroup_mount[1] = "/nowhere";
	alarm(120);
	CHECK_EQ(gstk_main(body_, (void *)many_wait, NULL, &c), 0);
}

TEST(near_the_limit_of_the_group_stacks_go_sooner)
{
	int status;

	find_own_group();
	strcpy(tree + strlen(tree) - 6, "XXXXXX");
	ASSERT_TRUE(mkdtemp(tree));
	make_groups(own_group);
	put(own_group, "memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	put(own_group, "memory.max", "1000000\n");
	put(own_group, "memory.current", "999000\n");
	put(own_group, "memory.stat", "anon 900000\ninactive_file 10000\nactive_file 20000\n");
	status = in_child(nearly_full);
	clear_groups(own_group);
	ASSERT_EQ(0, status) TH_LOG("%s", report);
	EXPECT_TRUE(reported("limit.memory 1000000 (96 % in use): memory.max or memory.high of /tmp/greenstk-test-"));
	EXPECT_TRUE(reported("\npolicy.memory_percent 96\n"));
	EXPECT_TRUE(reported("\nlimit.memory 1000000 (10 % in use)"));
	EXPECT_TRUE(reported("\npolicy.memory_percent 10\n"));
}

TEST_HARNESS_MAIN
