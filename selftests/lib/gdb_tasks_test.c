// SPDX-License-Identifier: MIT
/* The gdb script: tasks and their frames, wherever the stacks are, in a live program and in a core. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "wait_test.h"

#define NR_ALIKE 8 /* images of one call chain: later ones are packed against an earlier one */

static gstk_chan *gate;
static _Atomic int waiting;

__attribute__((noinline)) void gdb_tasks_marker(void)
{
	if (!strcmp(getenv("GDB_TASKS_CHILD"), "core"))
		abort();
	__asm__ volatile ("" : : : "memory");
}

static __attribute__((noinline)) int gdb_wait_inner(void *buffer)
{
	void *msg = buffer;

	waiting++;
	CHECK_EQ(gstk_chan_recv(gate, &msg), -EPIPE);
	return 1;
}

static __attribute__((noinline)) int gdb_wait_outer(void *buffer)
{
	return gdb_wait_inner(buffer) + 1;
}

/* Zeroes: packed by the codec alone. */
static void *gdb_plain_body(void *arg)
{
	char buffer[2048] = "";

	return (void *)(intptr_t)gdb_wait_outer(buffer);
}

/* Nothing to gain: stays an image. */
static void *gdb_random_body(void *arg)
{
	uint64_t buffer[512], x = 88172645463325252ull;

	for (int i = 0; i < 512; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buffer[i] = x;
	}
	return (void *)(intptr_t)gdb_wait_outer(buffer);
}

/* Text: by the codec, and then by zstd. */
static void *gdb_text_body(void *arg)
{
	char buffer[8192];

	for (size_t at = 0; at < sizeof(buffer) - 64;)
		at += (size_t)snprintf(buffer + at, sizeof(buffer) - at, "%zu bottles of beer on the wall; ", at);
	return (void *)(intptr_t)gdb_wait_outer(buffer);
}

static void *gdb_on_annex(void *arg)
{
	return gdb_plain_body(arg);
}

/* Waits on a stack of gstk_call_on_stack(), while its own leaves the window. */
static void *gdb_annex_body(void *arg)
{
	void *r;

	CHECK_EQ(gstk_call_on_stack(100000, gdb_on_annex, arg, &r), 0);
	return r;
}

static void *gdb_annexes_body(void *arg)
{
	void *r;

	CHECK_EQ(gstk_call_on_stack(100000, gdb_annex_body, arg, &r), 0);
	return r;
}

static void spawn_named(const char *name, gstk_fn fn, uint32_t flags)
{
	CHECK_EQ(gstk_spawn(NULL, fn, NULL, &(struct gstk_spawn_opts){ .size = sizeof(struct gstk_spawn_opts),
		.name = name, .flags = flags }), 0);
}

static void debuggee_main(void)
{
	CHECK_EQ(gstk_chan_create(&gate, sizeof(void *), 0), 0);
	for (int i = 0; i < NR_ALIKE; i++)
		spawn_named("alike", gdb_plain_body, 0);
	spawn_named("random", gdb_random_body, 0);
	spawn_named("text", gdb_text_body, 0);
	spawn_named("private", gdb_plain_body, GSTK_PRIVATE);
	spawn_named("on annex", gdb_annex_body, 0);
	spawn_named("on two", gdb_annexes_body, 0);
	while (waiting < NR_ALIKE + 5)
		gstk_yield();
	gstk_yield();
	gdb_tasks_marker();
	gstk_chan_close(gate);
}

/* The debugged process: small ranges, so that a core of it is small. */
__attribute__((constructor)) static void debuggee(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 16, .max_tasks = 1000,
				      .image_bytes = 16 << 20, .flags = GSTK_FORCE_PACK };

	if (!getenv("GDB_TASKS_CHILD"))
		return;
	_exit(gstk_main(body_, (void *)debuggee_main, NULL, &config) ? 2 : 0);
}

static char out[1 << 18];

static const char *run_gdb(const char *args)
{
	char command[4096];
	size_t len;
	FILE *gdb;

	snprintf(command, sizeof(command), "timeout 100 gdb -nx -batch -iex 'set debuginfod enabled off'"
		 " -ex 'set confirm off' %s 2>&1", args);
	gdb = popen(command, "r");
	CHECK(gdb);
	len = fread(out, 1, sizeof(out) - 1, gdb);
	out[len] = 0;
	pclose(gdb);
	return out;
}

/* The part of the output that is about @name: a line, and frames. */
static char *part_of(const char *name)
{
	static char part[8192];
	char want[64], *at, *end;

	snprintf(want, sizeof(want), "  \"%s\"  ", name);
	at = strstr(out, "== bt\n");
	at = at ? strstr(at, want) : NULL;
	if (!at)
		return NULL;
	for (end = strchr(at, '\n'); end && end[1] == '#'; end = strchr(end + 1, '\n'))
		;
	snprintf(part, sizeof(part), "%.*s", end ? (int)(end - at) : 8000, at);
	return part;
}

static bool shows(const char *name, const char *what)
{
	const char *part = part_of(name);

	if (part && strstr(part, what))
		return true;
	fprintf(stderr, "# no \"%s\" for %s in:\n%s\n", what, name, part ? part : out);
	return false;
}

/* Innermost first, and the outermost is the first frame of a task. */
static bool has_frames(const char *name, const char *body)
{
	const char *frames[] = { "gdb_wait_inner", "gdb_wait_outer", body, "gstk__task_start", NULL };
	const char *part = part_of(name), *at = part;

	for (int i = 0; frames[i]; i++) {
		at = at ? strstr(at, frames[i]) : NULL;
		if (!at) {
			fprintf(stderr, "# no frame %s for %s in:\n%s\n", frames[i], name, part ? part : out);
			return false;
		}
	}
	return !strchr(at, '\n');
}

#define LOOK " -ex 'source " GSTK_GDB_SCRIPT "' -ex 'echo == list\\n' -ex 'info gstk-tasks' -ex 'echo == bt\\n'" \
	" -ex 'gstk-bt all'"

static void check_tasks(struct __test_metadata *_metadata)
{
	char *list = strstr(out, "== list\n"), *at = list;
	int alike = 0;

	ASSERT_NE(NULL, list) TH_LOG("%s", out);
	EXPECT_NE(NULL, strstr(list, "14 tasks\n")) TH_LOG("%s", list);
	for (at = strstr(out, "== bt\n"); at && (at = strstr(at, "  \"alike\"  waiting for chan recv, ")); at++)
		alike += !!strstr(strndupa(at, strcspn(at, "\n")), ", packed ");
	EXPECT_EQ(NR_ALIKE, alike) TH_LOG("%s", out);
	EXPECT_TRUE(shows("alike", "waiting for chan recv"));
	EXPECT_TRUE(shows("random", ", copied "));
	EXPECT_TRUE(shows("text", ", packed "));
	EXPECT_TRUE(shows("private", ", resident "));
	EXPECT_TRUE(shows("main", "running on worker 0"));
	EXPECT_TRUE(shows("main", "gdb_tasks_marker"));
	EXPECT_TRUE(shows("main", "debuggee_main"));
	EXPECT_TRUE(has_frames("random", "gdb_random_body"));
	EXPECT_TRUE(has_frames("text", "gdb_text_body"));
	EXPECT_TRUE(has_frames("private", "gdb_plain_body"));
	EXPECT_TRUE(has_frames("alike", "gdb_plain_body"));
	EXPECT_TRUE(shows("on annex", " of gstk_call_on_stack()"));
	EXPECT_TRUE(has_frames("on annex", "gdb_annex_body"));
	EXPECT_TRUE(has_frames("on two", "gdb_annexes_body"));
	/* Every one of those, also the ones that are coded against another. */
	alike = 0;
	for (at = strstr(out, "== bt\n"); at && (at = strstr(at, "in gdb_plain_body")); at++)
		alike++;
	EXPECT_EQ(NR_ALIKE + 3, alike);
	EXPECT_EQ(NULL, strstr(out, "cannot be read")) TH_LOG("%s", out);
}

static bool no_debugger(void)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");

	return (variant && (strstr(variant, "san") || strstr(variant, "valgrind"))) ||
	       system("command -v gdb >/dev/null");
}

TEST(gdb_shows_tasks_wherever_their_stacks_are)
{
	char self[256] = "", args[4096];

	if (no_debugger())
		SKIP(return, "no debugger here, or not in this variant");
	ASSERT_LT(0, readlink("/proc/self/exe", self, sizeof(self) - 1));
	snprintf(args, sizeof(args), " -ex 'set environment GDB_TASKS_CHILD live' -ex 'break gdb_tasks_marker' -ex run" LOOK
		 " -ex delete -ex continue %s", self);
	run_gdb(args);
	if (strstr(out, "ptrace: Operation not permitted"))
		SKIP(return, "ptrace is not allowed here");
	check_tasks(_metadata);
	/* It was only looked at: it ends as it would have. */
	EXPECT_NE(NULL, strstr(out, "exited normally")) TH_LOG("%s", out);
}

/* False: this machine's cores go elsewhere. */
static bool cores_come_here(void)
{
	char pattern[256] = "";
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "r");

	if (f) {
		if (!fgets(pattern, sizeof(pattern), f))
			pattern[0] = 0;
		fclose(f);
	}
	return !strncmp(pattern, "core", 4) && !strchr(pattern, '/');
}

static void dump_core(struct __test_metadata *_metadata, const char *self, const char *dir)
{
	const struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		if (!chdir(dir) && !setrlimit(RLIMIT_CORE, &most) && !setenv("GDB_TASKS_CHILD", "core", 1))
			execl(self, self, NULL);
		_exit(1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(gdb_shows_tasks_wherever_their_stacks_are_in_a_core)
{
	char self[256] = "", args[4096], dir[] = "/tmp/greenstk-core-XXXXXX";

	if (no_debugger())
		SKIP(return, "no debugger here, or not in this variant");
	if (!cores_come_here())
		SKIP(return, "core_pattern: cores do not go to the process's folder");
	ASSERT_LT(0, readlink("/proc/self/exe", self, sizeof(self) - 1));
	ASSERT_NE(NULL, mkdtemp(dir));
	dump_core(_metadata, self, dir);
	snprintf(args, sizeof(args), LOOK " -ex 'echo == wrong\\n' -ex 'info gstk-tasks no such line'"
		 " %s %s/core*", self, dir);
	run_gdb(args);
	check_tasks(_metadata);
	EXPECT_NE(NULL, strstr(out, "== wrong\n0 tasks\n")) TH_LOG("%s", out);
	snprintf(args, sizeof(args), " -ex 'source " GSTK_GDB_SCRIPT "' -ex 'echo == bt\\n' -ex 'gstk-bt \"on two\"' %s %s/core*", self, dir);
	run_gdb(args);
	EXPECT_TRUE(has_frames("on two", "gdb_annexes_body"));
	/* A batch ends at its first error. */
	for (int i = 0; i < 3; i++) {
		static const char *const wrong[][2] = {
			{ "gstk-bt", "gstk-bt NUMBER|NAME|all" }, { "gstk-bt 999", "no task 999" },
			{ "gstk-bt nobody", "no task is called nobody" },
		};

		snprintf(args, sizeof(args), " -ex 'source " GSTK_GDB_SCRIPT "' -ex '%s' %s %s/core*", wrong[i][0], self, dir);
		run_gdb(args);
		EXPECT_NE(NULL, strstr(out, wrong[i][1])) TH_LOG("%s", out);
		EXPECT_EQ(NULL, strstr(out, "Traceback")) TH_LOG("%s", out);
	}
	snprintf(args, sizeof(args), "rm -r %s", dir);
	ASSERT_EQ(0, system(args));
}

TEST(gdb_says_what_is_missing)
{
	char self[256] = "", args[4096], stripped[] = "/tmp/greenstk-strip-XXXXXX";
	int fd;

	if (no_debugger() || system("command -v objcopy >/dev/null"))
		SKIP(return, "no debugger or no objcopy here, or not in this variant");
	run_gdb("-ex 'source " GSTK_GDB_SCRIPT "' -ex 'info gstk-tasks' /bin/true");
	EXPECT_NE(NULL, strstr(out, "no greenstk in this program")) TH_LOG("%s", out);
	ASSERT_LT(0, readlink("/proc/self/exe", self, sizeof(self) - 1));
	fd = mkstemp(stripped);
	ASSERT_LE(0, fd);
	close(fd);
	snprintf(args, sizeof(args), "objcopy -g %s %s", self, stripped);
	ASSERT_EQ(0, system(args));
	snprintf(args, sizeof(args), "-ex 'source " GSTK_GDB_SCRIPT "' -ex 'gstk-bt all' %s", stripped);
	run_gdb(args);
	unlink(stripped);
	EXPECT_NE(NULL, strstr(out, "no debug information")) TH_LOG("%s", out);
}

TEST_HARNESS_MAIN
