// SPDX-License-Identifier: MIT
/* GREENSTK_STACKPROF and gstk-stack: figures of programs whose stacks are known. */
#include "report_test.h"

#define SHALLOW (UNDER_ASAN || UNDER_TSAN ? HELD : 2048) /* their own calls are on the same stack */
enum { ROUNDS = 5, HELD = 8192, WRITTEN = 512, BRANCH = 40960, STEP = 256 };

static gstk_chan *gate;
static char path[64];

static __attribute__((noipa)) void use(char *p, size_t bytes)
{
	memset(p, 0x5a, bytes);
}

/* Waits with a buffer of which it uses the first bytes. */
static __attribute__((noipa)) void holds_a_buffer(void)
{
	char buffer[HELD];
	long v;

	use(buffer, WRITTEN);
	CHECK_EQ(gstk_chan_recv(gate, &v), 0);
	use(buffer, 1);
}

static void *holder(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		holds_a_buffer();
	return NULL;
}

/* Needs much, and is gone when its task waits. */
static __attribute__((noipa)) void heavy_branch(void)
{
	char bytes[BRANCH];

	use(bytes, sizeof(bytes));
	use(bytes, 1);
}

static __attribute__((noipa)) void light_wait(void)
{
	long v;

	CHECK_EQ(gstk_chan_recv(gate, &v), 0);
}

/* Its task was deep before, but not since it waited last. */
static __attribute__((noipa)) void shallow_wait(void)
{
	long v;

	CHECK_EQ(gstk_chan_recv(gate, &v), 0);
}

static void *diver(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		heavy_branch();
		light_wait();
		shallow_wait();
	}
	return NULL;
}

static void main_both(void)
{
	gstk_task *t[2];

	CHECK_EQ(gstk_chan_create(&gate, sizeof(long), 0), 0);
	t[0] = start(holder, NULL);
	t[1] = start(diver, NULL);
	for (int i = 0; i < 3 * ROUNDS; i++) {
		CHECK_EQ(gstk_chan_send(gate, &(long){ i }), 0);
		gstk_yield();
	}
	finish(t[0]);
	finish(t[1]);
	gstk_chan_destroy(gate);
}

static void profiled(void)
{
	setenv("GREENSTK_STACKPROF", path, 1);
	unsetenv("GREENSTK_WINDOWS"); /* with mates nothing is known of depths */
	with_workers(1, main_both);
}

static void profiled_with_mates(void)
{
	setenv("GREENSTK_STACKPROF", path, 1);
	setenv("GREENSTK_WINDOWS", "1", 1);
	with_workers(1, main_both);
}

/* Small frames, and below them a function of libc that nobody called before: it is bound there. */
static __attribute__((noipa)) long binds_late(int more)
{
	char bytes[STEP];
	long v;

	use(bytes, sizeof(bytes));
	v = more ? binds_late(more - 1) : a64l("greenstk");
	use(bytes, 1);
	return v;
}

static void *binder(void *arg)
{
	CHECK(binds_late(BRANCH / STEP) != 1);
	light_wait();
	return NULL;
}

static void main_binder(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&gate, sizeof(long), 0), 0);
	t = start(binder, NULL);
	CHECK_EQ(gstk_chan_send(gate, &(long){ 1 }), 0);
	finish(t);
	gstk_chan_destroy(gate);
}

static void profiled_binding(void)
{
	setenv("GREENSTK_STACKPROF", path, 1);
	unsetenv("GREENSTK_WINDOWS");
	with_workers(1, main_binder);
}

static void read_all(const char *name, char *to, size_t room)
{
	FILE *f = fopen(name, "r");
	size_t n = f ? fread(to, 1, room - 1, f) : 0;

	to[n] = 0;
	if (f)
		fclose(f);
}

static char file[1 << 18];

/* What gstk-stack says of it is in report[]. */
static void run_tool(void)
{
	char svg[80];

	dup2(2, 1);
	snprintf(svg, sizeof(svg), "%s.svg", path);
	execl(GSTK_STACK, "gstk-stack", "--svg", svg, path, NULL);
	_exit(127);
}

/* A row of the table: its figures. */
static bool row(const char *at, const char *fn, unsigned long v[5])
{
	for (char *line = report; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		char place[64], function[64];
		char deepest[32];

		if (sscanf(line, "%lu %lu %lu %lu%% %31s %63s %63s", &v[0], &v[1], &v[2], &v[3], deepest, place, function) == 7 &&
		    !strncmp(place, at, strlen(at)) && !strncmp(function, fn, strlen(fn))) {
			v[4] = strtoul(deepest, NULL, 10);
			return true;
		}
	}
	fprintf(stderr, "# no row of %s in %s:\n%s\n", at, fn, report);
	return false;
}

FIXTURE(profile) { int status; };
FIXTURE_SETUP(profile)
{
	snprintf(path, sizeof(path), "/tmp/stackprof.%d", getpid());
	self->status = in_child(profiled);
}
FIXTURE_TEARDOWN(profile)
{
	char svg[80];

	snprintf(svg, sizeof(svg), "%s.svg", path);
	unlink(path);
	unlink(svg);
}

TEST_F(profile, a_row_says_what_is_held_where_a_task_waits)
{
	unsigned long v[5];

	ASSERT_EQ(0, self->status) TH_LOG("%s", report);
	ASSERT_EQ(0, in_child(run_tool)) TH_LOG("%s", report);
	ASSERT_TRUE(row("holds_a_buffer+0x", "holder+0x0", v));
	EXPECT_LE(ROUNDS - 2, v[0]); /* some messages are there already */
	EXPECT_GE(ROUNDS, v[0]);
	EXPECT_LE(HELD, v[1]);
	EXPECT_GE(HELD + 2048, v[1]);
	EXPECT_LE(v[1], v[2]);
	/* Of all it holds, the buffer without what was written is not used. */
	EXPECT_LE(100ul * (HELD - WRITTEN - 128) / v[1], v[3] + 1);
	EXPECT_GE(100ul * (HELD - WRITTEN + 1024) / v[1], v[3]);
}

TEST_F(profile, the_deepest_is_what_was_called_since_the_last_wait)
{
	unsigned long v[5];

	ASSERT_EQ(0, in_child(run_tool)) TH_LOG("%s", report);
	ASSERT_TRUE(row("light_wait+0x", "diver+0x0", v));
	EXPECT_LE(ROUNDS - 2, v[0]);
	EXPECT_GE(ROUNDS, v[0]);
	EXPECT_GE(2048, v[2]);
	EXPECT_LE(BRANCH, v[4]);
	EXPECT_GE(BRANCH + 4096, v[4]);
	ASSERT_TRUE(row("shallow_wait+0x", "diver+0x0", v));
	EXPECT_GE(SHALLOW, v[4]); /* nor is what the profile itself needs */
	ASSERT_TRUE(row("holds_a_buffer+0x", "holder+0x0", v));
	EXPECT_GE(HELD + 4096, v[4]); /* the other one's depth is not taken for its own */
}

TEST_F(profile, advice_names_the_buffer_and_the_branch)
{
	char svg[80];

	ASSERT_EQ(0, in_child(run_tool)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("in the frame of holds_a_buffer+0x"));
	EXPECT_TRUE(reported("while it waits for chan recv at holds_a_buffer+0x"));
	EXPECT_TRUE(reported("gstk_alloc()"));
	EXPECT_TRUE(reported("of them in heavy_branch+0x"));
	EXPECT_TRUE(reported("before it waits at light_wait+0x"));
	EXPECT_TRUE(reported("gstk_call_on_stack()"));
	snprintf(svg, sizeof(svg), "%s.svg", path);
	read_all(svg, file, sizeof(file));
	EXPECT_TRUE(strstr(file, "<svg xmlns") && strstr(file, "</svg>\n"));
	EXPECT_TRUE(strstr(file, "heavy_branch+0x") && strstr(file, "url(#unused)"));
}

TEST_F(profile, the_file_has_the_spawn_site)
{
	read_all(path, file, sizeof(file));
	EXPECT_EQ(0, strncmp(file, "greenstk-stack-profile\t1\t", 25));
	EXPECT_TRUE(strstr(file, "site\tholder+0x0\tstart+0x") || strstr(file, "site\tholder+0x0\tmain_both+0x"));
}

/* The linker is told not to bind before (part.mk). What it did is no function's of the application. */
TEST(lazy_binding_is_named_with_who_called)
{
	if (UNDER_ASAN || UNDER_TSAN)
		SKIP(return, "the sanitizer's frames are larger than the dynamic linker's");
	if (getenv("LD_BIND_NOW"))
		SKIP(return, "LD_BIND_NOW is set, so all was bound before");
	snprintf(path, sizeof(path), "/tmp/stackprof.%d", getpid());
	ASSERT_EQ(0, in_child(profiled_binding)) TH_LOG("%s", report);
	ASSERT_EQ(0, in_child(run_tool)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("of them for the lazy binding of what binds_late+0x"));
	EXPECT_TRUE(reported("-z now"));
	EXPECT_FALSE(strstr(report, "in ld-linux") || strstr(report, "in _dl_"));
	unlink(path);
	strcat(path, ".svg");
	unlink(path);
}

TEST(with_mates_in_the_window_depths_are_unknown_and_the_rest_is_there)
{
	unsigned long v[5];

	snprintf(path, sizeof(path), "/tmp/stackprof.%d", getpid());
	ASSERT_EQ(0, in_child(profiled_with_mates)) TH_LOG("%s", report);
	ASSERT_EQ(0, in_child(run_tool)) TH_LOG("%s", report);
	ASSERT_TRUE(row("light_wait+0x", "diver+0x0", v));
	EXPECT_LE(1, v[0]);
	ASSERT_TRUE(row("shallow_wait+0x", "diver+0x0", v));
	EXPECT_GE(SHALLOW, v[4]); /* what a mate has there is not its own */
	unlink(path);
	strcat(path, ".svg");
	unlink(path);
}

static void not_there(void)
{
	setenv("GREENSTK_STACKPROF", "/nonexistent/profile", 1);
	with_workers(1, main_both);
}

TEST(a_file_that_cannot_be_written_costs_a_line_and_not_the_program)
{
	EXPECT_EQ(0, in_child(not_there));
	EXPECT_TRUE(reported("GREENSTK_STACKPROF=/nonexistent/profile: No such file or directory; nothing is profiled"));
}

static void no_profile(void)
{
	strcpy(path, "/dev/null");
	run_tool();
}

TEST(what_is_no_profile_is_refused)
{
	EXPECT_EQ(1, WEXITSTATUS(in_child(no_profile)));
	EXPECT_TRUE(reported("this is no stack profile"));
}

TEST_HARNESS_MAIN
