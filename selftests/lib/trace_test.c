// SPDX-License-Identifier: MIT
/* GREENSTK_TRACE: what a trace says, and what happens when it cannot be written. */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "wait_test.h"

#define ROUNDS 200
#define NR_FLOOD 30000 /* turns of each of four: more records than a ring, a buffer and a pipe have room for */

static gstk_chan *there, *back;

static void *trace_pong_body(void *arg)
{
	void *msg;

	while (!gstk_chan_recv(there, &msg)) {
		gstk_yield(); /* evicted each time, so it switches */
		CHECK_EQ(gstk_chan_send(back, &msg), 0);
	}
	return NULL;
}

static void *sleeper_body(void *arg)
{
	CHECK_EQ(gstk_sleep(2 * MS), 0);
	gstk_yield();
	return NULL;
}

static int trace_scope_body(void *arg)
{
	gstk_yield();
	return 0;
}

static void *trace_native_body(void *arg)
{
	return NULL;
}

/* What they run is behind functions of the library. */
static void by_way_of_the_library(void)
{
	gstk_scope *s;
	gstk_task *t;

	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_spawn(s, trace_scope_body, NULL, NULL), 0);
	CHECK_EQ(gstk_scope_spawn(s, trace_scope_body, NULL, GSTK_OPTS(gstk_spawn_opts, .name = "in a scope")), 0);
	CHECK_EQ(gstk_scope_end(s), 0);
	CHECK_EQ(gstk_spawn(&t, trace_native_body, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_NATIVE)), 0);
	finish(t);
}

static gstk_task *named(const char *name, gstk_fn fn)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, NULL, &(struct gstk_spawn_opts){ .size = sizeof(struct gstk_spawn_opts),
		.name = name }), 0);
	return t;
}

static void workload(void)
{
	gstk_task *pong, *sleeper = named("a \"sleeper\"", sleeper_body);
	void *msg = NULL;

	CHECK_EQ(gstk_chan_create(&there, sizeof(msg), 0), 0);
	CHECK_EQ(gstk_chan_create(&back, sizeof(msg), 0), 0);
	pong = start(trace_pong_body, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQ(gstk_chan_send(there, &msg), 0);
		CHECK_EQ(gstk_chan_recv(back, &msg), 0);
	}
	gstk_chan_close(there);
	finish(pong);
	finish(sleeper);
	by_way_of_the_library();
}

static void *flood_body(void *arg)
{
	for (int i = 0; i < NR_FLOOD; i++)
		gstk_yield();
	return NULL;
}

/* All wait for ever. */
static void stuck(void)
{
	void *msg;

	CHECK_EQ(gstk_chan_create(&there, sizeof(msg), 0), 0);
	CHECK_EQ(gstk_chan_recv(there, &msg), 0);
}

static void flood(void)
{
	gstk_task *t[4];

	for (int i = 0; i < 4; i++)
		t[i] = start(flood_body, NULL);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	CHECK_EQ(write(3, "!", 1), 1);
}

/* The traced process. */
__attribute__((constructor)) static void traced(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .flags = GSTK_FORCE_PACK };
	const char *what = getenv("TRACE_CHILD");

	if (!what)
		return;
	alarm(120);
	if (!strcmp(what, "flood")) { /* one worker: there is always somebody to yield to */
		config.flags = 0;
		config.workers = 1;
	}
	_exit(gstk_main(body_, (void *)(what[0] == 'f' ? flood : what[0] == 's' ? stuck : workload), NULL, &config) ? 2 : 0);
}

static char out[1 << 16];

/* Run a command; what it prints (stderr too) into out. Its exit status. */
static int run(const char *command)
{
	char with[4096];
	size_t len;
	FILE *f;
	int status;

	snprintf(with, sizeof(with), "(%s) 2>&1", command);
	f = popen(with, "r");
	CHECK(f);
	len = fread(out, 1, sizeof(out) - 1, f);
	out[len] = 0;
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* How often the checked trace has it. */
static long has(const char *what)
{
	char line[128], *at;

	snprintf(line, sizeof(line), "\n%s ", what);
	at = strstr(out, line);
	return at ? atol(at + strlen(line)) : 0;
}

static void find_self(struct __test_metadata *_metadata, char *self, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", self, bytes - 1);

	ASSERT_LT(0, n);
	self[n] = 0;
}

FIXTURE(trace) {
	char self[256], dir[64], command[1024];
};

FIXTURE_SETUP(trace)
{
	find_self(_metadata, self->self, sizeof(self->self));
	strcpy(self->dir, "/tmp/greenstk-trace-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
}

FIXTURE_TEARDOWN(trace)
{
	snprintf(self->command, sizeof(self->command), "rm -r %s", self->dir);
	EXPECT_EQ(0, run(self->command));
}

TEST_F(trace, has_every_run_of_every_task)
{
	snprintf(self->command, sizeof(self->command), "GREENSTK_TRACE=%s/%%p.json TRACE_CHILD=1 exec %s", self->dir,
		 self->self);
	ASSERT_EQ(0, run(self->command)) TH_LOG("%s", out);
	EXPECT_STREQ("", out);
	snprintf(self->command, sizeof(self->command), "echo; ls %s | grep -c '^[0-9][0-9]*.json$'; exec python3 %s %s/*.json",
		 self->dir, GSTK_TRACE_CHECK, self->dir);
	ASSERT_EQ(0, run(self->command)) TH_LOG("%s", out);
	EXPECT_LT(ROUNDS, has("run"));
	EXPECT_LT(0, has("name:main"));
	/* Whoever comes first waits. */
	EXPECT_LE(2 * ROUNDS, has("until:chan_send") + has("until:chan_recv")) TH_LOG("%s", out);
	/* Unnamed: by its function. What JSON would not take is replaced. */
	EXPECT_LT(0, has("name:trace_pong_body")) TH_LOG("%s", out);
	EXPECT_LT(0, has("name:a_?sleeper?")) TH_LOG("%s", out);
	EXPECT_LT(0, has("name:trace_scope_body")) TH_LOG("%s", out);
	EXPECT_LT(0, has("name:in_a_scope")) TH_LOG("%s", out);
	EXPECT_LT(0, has("name:trace_native_body")) TH_LOG("%s", out);
	EXPECT_EQ(1, has("until:sleep"));
	EXPECT_LE(ROUNDS, has("until:yield"));
	EXPECT_LE(3, has("until:end"));
	EXPECT_LT(ROUNDS, has("wake"));
	EXPECT_LT(ROUNDS / 2, has("arrow")) TH_LOG("%s", out);
	EXPECT_LT(0, has("evict"));
	EXPECT_LT(0, has("restore"));
	EXPECT_LT(0, has("pack"));
	EXPECT_LT(0, has("counter:stacks"));
}

TEST_F(trace, a_file_that_cannot_be_written_costs_a_line_and_not_the_program)
{
	snprintf(self->command, sizeof(self->command), "GREENSTK_TRACE=%s/none/t.json TRACE_CHILD=1 exec %s", self->dir,
		 self->self);
	EXPECT_EQ(0, run(self->command));
	EXPECT_NE(NULL, strstr(out, "none/t.json: No such file or directory; nothing is traced\n")) TH_LOG("%s", out);
	EXPECT_EQ(strchr(out, '\n'), strrchr(out, '\n')) TH_LOG("%s", out);
	snprintf(self->command, sizeof(self->command), "GREENSTK_TRACE=/dev/full TRACE_CHILD=1 exec %s", self->self);
	EXPECT_EQ(0, run(self->command));
	EXPECT_NE(NULL, strstr(out, "/dev/full: No space left on device; what follows is not traced\n")) TH_LOG("%s", out);
	EXPECT_EQ(strchr(out, '\n'), strrchr(out, '\n')) TH_LOG("%s", out);
}

TEST_F(trace, a_deadlock_is_reported_all_the_same)
{
	const char *v = getenv("GREENSTK_TEST_VARIANT");

	if (v && !strcmp(v, "tsan"))
		SKIP(return, "the sanitizer's own thread might wake tasks, so that no deadlock is sure");
	snprintf(self->command, sizeof(self->command), "GREENSTK_TRACE=%s/t.json TRACE_CHILD=stuck exec %s", self->dir,
		 self->self);
	run(self->command);
	EXPECT_NE(NULL, strstr(out, "greenstk: deadlock: all 1 tasks wait")) TH_LOG("%s", out);
}

/* A pipe that nobody reads: the program goes on all the same, and what is written is whole. */
TEST_F(trace, what_cannot_be_written_in_time_is_dropped_and_counted)
{
	int fifo, done[2], log, status;
	char path[128], buf[4096], c;
	struct pollfd p;
	ssize_t n;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/fifo", self->dir);
	ASSERT_EQ(0, mkfifo(path, 0600));
	fifo = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, fifo);
	ASSERT_EQ(0, pipe(done));
	pid = fork();
	if (!pid) {
		snprintf(path, sizeof(path), "%s/log", self->dir);
		log = open(path, O_WRONLY | O_CREAT, 0600);
		snprintf(path, sizeof(path), "%s/fifo", self->dir);
		if (dup2(done[1], 3) == 3 && dup2(log, 2) == 2 && !setenv("GREENSTK_TRACE", path, 1) &&
		    !setenv("TRACE_CHILD", "flood", 1))
			execl(self->self, self->self, NULL);
		_exit(3);
	}
	close(done[1]);
	ASSERT_EQ(1, read(done[0], &c, 1)); /* all tasks have run */
	snprintf(path, sizeof(path), "%s/t.json", self->dir);
	log = open(path, O_WRONLY | O_CREAT, 0600);
	for (p = (struct pollfd){ .fd = fifo, .events = POLLIN }; poll(&p, 1, 100000) > 0 && (n = read(fifo, buf, sizeof(buf))) > 0;)
		ASSERT_EQ(n, write(log, buf, (size_t)n));
	close(log);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status));
	snprintf(self->command, sizeof(self->command), "cat %s/log", self->dir);
	EXPECT_EQ(0, run(self->command));
	EXPECT_NE(NULL, strstr(out, "records were dropped")) TH_LOG("%s", out);
	snprintf(self->command, sizeof(self->command), "echo; exec python3 %s %s/t.json", GSTK_TRACE_CHECK, self->dir);
	ASSERT_EQ(0, run(self->command)) TH_LOG("%s", out);
	EXPECT_LT(0, has("run"));
	EXPECT_LT(0, has("counter:dropped_records"));
}

TEST_HARNESS_MAIN
