// SPDX-License-Identifier: MIT
/* The report of a program in which all tasks wait for ever; and programs that only look like it. */
#include "report_test.h"
#include <fcntl.h>

static gstk_mutex a, b;
static gstk_chan *chan;

static _Atomic int have_locked;

/* Each has one when both go on, however late the other started. */
static void wait_for_both(void)
{
	for (have_locked++; have_locked < 2;)
		gstk_sleep(MS);
}

static __attribute__((noinline)) void *lock_a_then_b(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&a), 0);
	wait_for_both();
	CHECK_EQ(gstk_mutex_lock(&b), 0);
	return NULL;
}

static __attribute__((noinline)) void *lock_b_then_a(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&b), 0);
	wait_for_both();
	CHECK_EQ(gstk_mutex_lock(&a), 0);
	return NULL;
}

static void *receive(void *arg)
{
	int v;

	return (void *)(long)gstk_chan_recv(chan, &v);
}

static gstk_task *named(const char *name, gstk_fn fn)
{
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, NULL, &(struct gstk_spawn_opts){ .size = sizeof(struct gstk_spawn_opts),
		.name = name }), 0);
	return t;
}

static void cross(void)
{
	gstk_task *t = named("abba", lock_a_then_b);

	named("baab", lock_b_then_a);
	CHECK_EQ(gstk_chan_create(&chan, sizeof(int), 0), 0);
	named("listener", receive);
	gstk_join(t, NULL);
}

static void crowd(void)
{
	gstk_task *t = NULL;

	CHECK_EQ(gstk_chan_create(&chan, sizeof(int), 0), 0);
	for (int i = 0; i < 250; i++)
		t = named("crowd", receive);
	gstk_join(t, NULL);
}

/* GREENSTK_DEBUG=locks would be faster. */
static void cross_by(unsigned int workers)
{
	unsetenv("GREENSTK_DEBUG");
	with_workers(workers, cross);
}

/* The threads of the kernel that did something for the ring stay for seconds. */
static void open_and_cross(void)
{
	int fd = gstk_file_open(AT_FDCWD, "/dev/null", O_RDONLY, 0);

	CHECK(fd >= 0);
	close(fd);
	cross();
}

static void cross_with_kernels(void)
{
	unsetenv("GREENSTK_DEBUG");
	setenv("GREENSTK_FILES", "uring", 1);
	with_workers(2, open_and_cross);
}

static void cross_1(void) { cross_by(1); }
static void cross_4(void) { cross_by(4); }
static void crowd_2(void) { with_workers(2, crowd); }

static unsigned int count(const char *what)
{
	unsigned int n = 0;

	for (const char *p = report; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* The line of each names the number of the other as the holder. */
static bool hold_each_other(const char *one, const char *other)
{
	const char *const name[2] = { one, other };
	unsigned long of[2], held_by[2];

	for (int i = 0; i < 2; i++) {
		const char *line = strstr(report, name[i]), *by = line ? strstr(line, ", held by task ") : NULL;

		if (!by || memchr(line, '\n', (size_t)(by - line)))
			return false;
		for (line -= 2; line > report && line[-1] != ' '; line--)
			; /* task 3 "name" */
		of[i] = strtoul(line, NULL, 10);
		held_by[i] = strtoul(by + 15, NULL, 10);
	}
	return of[0] == held_by[1] && of[1] == held_by[0] && of[0] != of[1];
}

static void expect_cross(struct __test_metadata *_metadata, void (*fn)(void))
{
	int status = in_child(fn);

	ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("%s", report);
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	EXPECT_TRUE(reported("greenstk: deadlock: all 4 tasks wait"));
	EXPECT_TRUE(reported("\"abba\" waiting for mutex"));
	EXPECT_TRUE(reported("\"baab\" waiting for mutex"));
	EXPECT_TRUE(hold_each_other("\"abba\"", "\"baab\"")) TH_LOG("%s", report);
	EXPECT_TRUE(reported("\"listener\" waiting for chan recv"));
	EXPECT_TRUE(reported("\"main\" waiting for join"));
	EXPECT_TRUE(reported("lock_a_then_b+0x"));
	EXPECT_TRUE(reported("lock_b_then_a+0x"));
	EXPECT_EQ(1, count("greenstk: deadlock"));
}

/* The thread sanitizer has a thread of its own, so nobody can know there. */
#define NOT_UNDER_TSAN() if (UNDER_TSAN) SKIP(return, "the sanitizer's own thread might wake a task")

TEST(crossed_locks_are_reported_with_one_worker)
{
	NOT_UNDER_TSAN();
	expect_cross(_metadata, cross_1);
}

TEST(crossed_locks_are_reported_with_four_workers)
{
	NOT_UNDER_TSAN();
	expect_cross(_metadata, cross_4);
}

TEST(threads_of_the_kernel_hide_no_deadlock)
{
	NOT_UNDER_TSAN();
	expect_cross(_metadata, cross_with_kernels);
}

TEST(many_tasks_are_grouped)
{
	NOT_UNDER_TSAN();
	EXPECT_EQ(SIGABRT, WTERMSIG(in_child(crowd_2)));
	EXPECT_TRUE(reported("greenstk: deadlock: all 251 tasks wait"));
	EXPECT_TRUE(reported("greenstk: 250 tasks \"crowd\" wait for chan recv"));
	EXPECT_TRUE(reported("greenstk: 1 tasks \"main\" wait for join"));
	EXPECT_EQ(20, count("\"crowd\" waiting"));
	EXPECT_EQ(3, count(" receive+0x"));
}

/* ---- no deadlock ---- */

static void *send_later(void *arg)
{
	int v = 1;

	if (arg)
		CHECK_EQ(pthread_setname_np(pthread_self(), arg), 0);
	usleep(100000);
	CHECK_EQ(gstk_chan_send(chan, &v), 0);
	return NULL;
}

static void thread_will_send(char *name)
{
	pthread_t other;

	CHECK_EQ(gstk_chan_create(&chan, sizeof(int), 0), 0);
	pthread_create(&other, NULL, send_later, name);
	CHECK_EQ(finish(named("listener", receive)), 0);
	pthread_join(other, NULL);
}

static void some_thread_will_send(void) { thread_will_send(NULL); }
static void namesake_will_send(void) { thread_will_send("iou-wrk-1) S 1"); }
static void fine(void) { with_workers(2, some_thread_will_send); }
static void namesake(void) { with_workers(2, namesake_will_send); }

static void a_timer_will_fire(void)
{
	gstk_sleep(200 * MS);
}

static void timers(void) { with_workers(2, a_timer_will_fire); }

TEST(a_thread_of_the_application_may_still_send)
{
	EXPECT_EQ(0, in_child(fine)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("deadlock"));
}

TEST(a_thread_with_the_name_of_the_kernels_may_send_too)
{
	EXPECT_EQ(0, in_child(namesake)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("deadlock"));
}

TEST(a_sleep_is_no_deadlock)
{
	EXPECT_EQ(0, in_child(timers)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("deadlock"));
}

static void leaves_ten(void)
{
	CHECK_EQ(gstk_chan_create(&chan, sizeof(int), 0), 0);
	for (int i = 0; i < 10; i++)
		start(receive, NULL);
	gstk_sleep(MS);
}

static void lives(void)
{
	for (unsigned long life = 0; life < scaled(400); life++)
		with_workers(2, leaves_ten);
}

/* When the main task ends, the worker that waits for that still sleeps. */
TEST(what_the_main_task_leaves_behind_is_in_no_deadlock)
{
	EXPECT_EQ(0, in_child(lives)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("deadlock"));
}

/* The report is made once, and the program goes on waiting. */
static void main_stuck(void)
{
	alarm(2);
	cross();
}

static void goes_on(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .flags = GSTK_DEADLOCK_CONTINUE };

	gstk_main(body_, (void *)main_stuck, NULL, &config);
}

TEST(with_deadlock_continue_it_is_reported_once_and_goes_on)
{
	NOT_UNDER_TSAN();
	EXPECT_EQ(SIGALRM, WTERMSIG(in_child(goes_on)));
	EXPECT_EQ(1, count("greenstk: deadlock"));
	EXPECT_TRUE(reported("going on"));
}

TEST_HARNESS_MAIN
