// SPDX-License-Identifier: MIT
/* What a call refuses it refuses with a line that says what is wrong and what to do instead. */
#include <sys/resource.h>
#include "report_test.h"
#include "seccomp_test.h"

#define SPAWN(...) gstk_spawn(NULL, nothing, NULL, GSTK_OPTS(gstk_spawn_opts, __VA_ARGS__))

static void *nothing(void *arg)
{
	return arg;
}

static int nothing_scoped(void *arg)
{
	return 0;
}

static unsigned int lines(void)
{
	unsigned int n = 0;

	for (const char *p = report; (p = strchr(p, '\n')); p++)
		n++;
	/* Said once, where the kernel has no guards that split no mapping. */
	return n - !!strstr(report, " windows instead of ");
}

static void wrong_spawns(void)
{
	struct gstk_spawn_opts unset = { .name = "unset" };
	char big[1000] = "";

	errno = ENOTTY;
	CHECK_EQ(gstk_spawn(NULL, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(gstk_spawn(NULL, nothing, NULL, &unset), -EINVAL);
	CHECK_EQ(SPAWN(.flags = 1u << 30), -EINVAL);
	CHECK_EQ(SPAWN(.flags = GSTK_PRIVATE | GSTK_SHARED), -EINVAL);
	CHECK_EQ(SPAWN(.flags = GSTK_PINNED | GSTK_NATIVE), -EINVAL);
	CHECK_EQ(SPAWN(.flags = GSTK_PINNED, .worker = 1), -EINVAL);
	CHECK_EQ(SPAWN(.stack_size = (size_t)1 << 40), -EINVAL);
	CHECK_EQ(SPAWN(.block_size = 8), -EINVAL);
	CHECK_EQ(SPAWN(.block = big, .block_size = sizeof(big), .stack_size = 2000), -EINVAL);
	CHECK_EQ(SPAWN(.block = big, .block_size = (size_t)1 << 32, .stack_size = (size_t)1 << 34), -EINVAL);
	CHECK_EQ(errno, ENOTTY); /* no channel of errors, so left alone */
}

static void spawn_wrong(void) { with_workers(1, wrong_spawns); }

TEST(a_spawn_that_is_refused_says_what_to_do)
{
	ASSERT_EQ(0, in_child(spawn_wrong));
	EXPECT_TRUE(reported("greenstk: gstk_spawn: the function is NULL; give what the task is to run\n"));
	EXPECT_TRUE(reported("options of 0 bytes; set .size to sizeof(struct gstk_spawn_opts)"));
	EXPECT_TRUE(reported("unknown flags 0x40000000; use those of enum gstk_task_flag"));
	EXPECT_TRUE(reported("GSTK_PRIVATE and GSTK_SHARED at once"));
	EXPECT_TRUE(reported("GSTK_PINNED and GSTK_NATIVE at once"));
	EXPECT_TRUE(reported("no worker 1 to pin to: there are 1, counted from 0; gstk_config.workers or GREENSTK_WORKERS"));
	EXPECT_TRUE(reported("a stack of 1099511627776 bytes; at most 17179869184: put what is so big on the heap"));
	EXPECT_TRUE(reported(".block_size is 8 and .block NULL; give both, or neither"));
	EXPECT_TRUE(reported("an argument block of 1000 bytes on a stack of 2000; at most a quarter"));
	EXPECT_EQ(10, lines());
}

static void wrong_scopes(void)
{
	struct gstk_spawn_opts unset = { .name = "unset" };
	gstk_scope *s;

	CHECK_EQ(gstk_scope_begin(&s, GSTK_NEVER), 0);
	CHECK_EQ(gstk_scope_spawn(NULL, nothing_scoped, NULL, NULL), -EINVAL);
	CHECK_EQ(gstk_scope_spawn(s, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(gstk_scope_spawn(s, nothing_scoped, NULL, &unset), -EINVAL);
	CHECK_EQ(gstk_scope_spawn(s, nothing_scoped, NULL, GSTK_OPTS(gstk_spawn_opts, .block_size = 8)), -EINVAL);
	CHECK_EQ(gstk_scope_end(s), 0);
}

static void scope_wrong(void) { with_workers(1, wrong_scopes); }

TEST(a_scope_does_too)
{
	ASSERT_EQ(0, in_child(scope_wrong));
	EXPECT_TRUE(reported("greenstk: gstk_scope_spawn: the scope is NULL; gstk_scope_begin() makes one\n"));
	EXPECT_TRUE(reported("greenstk: gstk_scope_spawn: the function is NULL; give what the task is to run\n"));
	EXPECT_TRUE(reported("gstk_scope_spawn: options of 0 bytes; set .size"));
	EXPECT_TRUE(reported("gstk_scope_spawn: an argument block of 8 bytes at "));
	EXPECT_EQ(4, lines());
}

static void wrong_addresses(void)
{
	char path[200] = "unix:";

	memset(path + 5, 'x', 150);
	CHECK_EQ(gstk_dial(NULL, GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("localhost:6379", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("127.0.0.1", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("127.0.0.1:", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("127.0.0.1:65536", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("127.0.0.1:-1", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("[::g]:1", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_dial("unix:", GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_listen(path, 0), -EINVAL);
}

static void addresses_wrong(void) { with_workers(1, wrong_addresses); }

TEST(an_address_that_is_refused_is_shown_with_what_is_wrong)
{
	ASSERT_EQ(0, in_child(addresses_wrong));
	EXPECT_TRUE(reported("greenstk: gstk_dial: \"(NULL)\" is no address; write 127.0.0.1:6379, [::1]:6379 or unix:/run/socket\n"));
	EXPECT_TRUE(reported("\"localhost:6379\" has a host that is no numeric address; names are not looked up, use getaddrinfo()"));
	EXPECT_TRUE(reported("\"127.0.0.1\" has no port;"));
	EXPECT_TRUE(reported("\"127.0.0.1:\" has no port;"));
	EXPECT_TRUE(reported("\"127.0.0.1:65536\" has no port from 0 to 65535"));
	EXPECT_TRUE(reported("\"127.0.0.1:-1\" has no port from 0 to 65535"));
	EXPECT_TRUE(reported("\"[::g]:1\" has a host that is no numeric address"));
	EXPECT_TRUE(reported("\"unix:\" has no path"));
	EXPECT_TRUE(reported("gstk_listen: \"unix:xxxx"));
	EXPECT_TRUE(reported(" has a longer path than a Unix socket may have"));
	EXPECT_EQ(9, lines());
}

static void many_wrong_addresses(void)
{
	char address[600];

	memset(address, 'a', sizeof(address));
	address[sizeof(address) - 1] = 0;
	for (int i = 0; i < 200; i++)
		CHECK_EQ(gstk_dial(address, GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_scope_error(NULL), -EINVAL); /* of another kind */
}

static void many_addresses(void) { with_workers(1, many_wrong_addresses); }

TEST(who_sends_bad_addresses_for_ever_fills_no_log)
{
	ASSERT_EQ(0, in_child(many_addresses));
	EXPECT_EQ(52, lines());
	EXPECT_TRUE(reported("greenstk: such as this are not reported any more\n"));
	EXPECT_TRUE(reported("gstk_scope_error: the scope is NULL"));
}

/* Through a pointer, so that the compiler neither inlines nor warns. */
static int fall_for_ever(int depth);
static int (*volatile deeper)(int) = fall_for_ever;

static __attribute__((noinline)) int fall_for_ever(int depth)
{
	volatile char bytes[200];

	bytes[depth % 200] = 1;
	return deeper(depth + 1) + bytes[depth % 200];
}

static gstk_task *faller;

static void *falls(void *arg)
{
	fprintf(stderr, "faller %p\n", (void *)gstk_self());
	return (void *)(long)fall_for_ever(0);
}

static void spawn_unnamed(void)
{
	CHECK_EQ(gstk_spawn(&faller, falls, NULL, NULL), 0);
	gstk_join(faller, NULL);
}

static void unnamed(void) { with_workers(1, spawn_unnamed); }

TEST(an_overflow_of_a_task_without_a_name_shows_its_handle)
{
	char want[100], *at;
	void *handle;

	if (UNDER_ASAN || UNDER_TSAN)
		SKIP(return, "the sanitizer has the signal");
	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(unnamed)));
	at = strstr(report, "faller ");
	ASSERT_NE(NULL, at);
	ASSERT_EQ(1, sscanf(at, "faller %p", &handle));
	snprintf(want, sizeof(want), ", gstk_task 0x%012lx)\n", (unsigned long)handle);
	EXPECT_TRUE(reported("stack overflow in task "));
	EXPECT_TRUE(reported(" \"task\": "));
	EXPECT_TRUE(reported(want));
}

static void wait_for_ever(void)
{
	gstk_chan *never;
	int v;

	CHECK_EQ(gstk_chan_create(&never, sizeof(v), 0), 0);
	for (int i = 0; i < 3; i++) /* idle again each time, and asked again */
		CHECK_EQ(gstk_chan_recv_until(never, &v, gstk_now() + 20 * MS), -ETIMEDOUT);
	gstk_chan_recv(never, &v);
}

static void *no_more_descriptors(void *arg)
{
	struct rlimit none = { 0, 0 };

	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	wait_for_ever();
	return NULL;
}

static void blind(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };

	(alarm)((unsigned int)(2 * slowness())); /* how it ends: no limit, to which patience would be added */
	gstk_main(no_more_descriptors, NULL, NULL, &config);
}

TEST(who_cannot_look_for_deadlocks_says_so_once)
{
	int status = in_child(blind);
	const char *what = "greenstk: all tasks wait, perhaps for ever; whether a thread is left to wake one cannot be "
			   "seen: /proc/self/task: Too many open files\n", *first;

	ASSERT_EQ(SIGALRM, WTERMSIG(status));
	ASSERT_TRUE(reported(what));
	first = strstr(report, what);
	EXPECT_EQ(NULL, strstr(first + 1, what));
}

static void *no_proc(void *arg)
{
	CHECK_EQ(chroot("/usr"), 0);
	wait_for_ever();
	return NULL;
}

static void without_proc(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };

	(alarm)((unsigned int)(2 * slowness()));
	gstk_main(no_proc, NULL, NULL, &config);
}

TEST(without_proc_it_says_what_to_mount)
{
	if (geteuid())
		SKIP(return, "chroot is for root");
	ASSERT_EQ(SIGALRM, WTERMSIG(in_child(without_proc)));
	EXPECT_TRUE(reported("/proc/self/task: No such file or directory; mount /proc to have deadlocks reported\n"));
}

static void filtered(void)
{
	refuse(SYS_eventfd2, EPERM);
	CHECK_EQ(gstk_init(NULL), -EPERM);
}

TEST(a_filter_of_system_calls_that_forbids_polling_is_named)
{
	if (EMULATED())
		SKIP(return, "the emulator has no system call filters");
	ASSERT_EQ(0, in_child(filtered));
	EXPECT_TRUE(reported("cannot poll descriptors: eventfd: Operation not permitted (a filter of system calls forbids it"));
}

TEST_HARNESS_MAIN
