// SPDX-License-Identifier: MIT
/* What is said of stackless tasks: dumps, deadlocks, stuck workers, and what poll functions do wrong. */
#include "dump_text.h"
#include "future_test.h"
#include "report_test.h"

static gstk_chan *chan;
static gstk_mutex mutex;

static void says(const char *what)
{
	if (strstr(text, what))
		return;
	fprintf(stderr, "# \"%s\" is not in:\n%.4000s\n", what, text);
	abort();
}

FUTURE(receiver, int, NULL)
{
	return gstk_await_recv(f, chan, NULL, GSTK_NEVER);
}

FUTURE(locker, int, NULL)
{
	return gstk_await_mutex(f, &mutex, GSTK_NEVER);
}

FUTURE(dumper, int, NULL)
{
	dump(true); /* of itself, among others */
	return gstk_future_done(f, NULL);
}

FUTURE(quick, int, NULL)
{
	return gstk_future_done(f, NULL);
}

static const struct gstk_future_type nameless = { sizeof(nameless), NULL, sizeof(int), receiver_poll, NULL };

WAIT_TEST(a_dump_says_what_they_wait_for)
{
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&chan, 0, 0), 0);
	CHECK_EQ(gstk_mutex_lock(&mutex), 0);
	CHECK_EQ(gstk_future_spawn(NULL, &receiver, NULL), 0);
	CHECK_EQ(gstk_future_spawn(NULL, &locker, NULL), 0);
	CHECK_EQ(gstk_future_spawn(NULL, &nameless, NULL), 0);
	CHECK_EQ(gstk_future_spawn(&t, &quick, NULL), 0);
	settle();
	dump(true);
	says("\"receiver\" waiting for chan recv, stackless, for ");
	says("\"locker\" waiting for mutex 0x");
	says("\"future\" waiting for chan recv, stackless, for ");
	says("\"quick\" ended");
	says("; 3 stackless\n");
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(gstk_future_spawn(&t, &dumper, NULL), 0);
	finish(t);
	says("\"dumper\" running on worker ");
	says("dumper_poll+0x");
	_exit(0); /* the receivers would begin to wait again */
}

struct bounce {
	int line;
	long left;
	gstk_chan *in, *out;
};

FUTURE(bouncer, struct bounce, NULL)
{
	struct bounce *b = state_;

	GSTK_FUTURE_BEGIN(b->line);
	for (; b->left; b->left--) {
		GSTK_AWAIT(b->line, gstk_await_send(f, b->out, NULL, GSTK_NEVER));
		GSTK_AWAIT(b->line, gstk_await_recv(f, b->in, NULL, GSTK_NEVER));
	}
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static _Atomic bool stop;

static void *dumps(void *arg)
{
	while (!stop) {
		dump(true);
		says("greenstk: tasks of process");
	}
	return NULL;
}

/* A dump takes those that wait for itself for a moment: wakes come while it has them. */
WAIT_TEST(dumps_disturb_nobody)
{
	gstk_chan *a, *b;
	gstk_task *t[2];
	pthread_t thread;

	stop = false;
	CHECK_EQ(gstk_chan_create(&a, 0, 1), 0);
	CHECK_EQ(gstk_chan_create(&b, 0, 1), 0);
	CHECK_EQ(pthread_create(&thread, NULL, dumps, NULL), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(gstk_future_spawn(&t[i], &bouncer, &(struct bounce){ .left = (long)scaled(100000),
			.in = i ? a : b, .out = i ? b : a }), 0);
	for (unsigned long i = 0; i < scaled(10000); i++) { /* come and go meanwhile */
		gstk_task *q;

		CHECK_EQ(gstk_future_spawn(&q, &quick, NULL), 0);
		finish(q);
	}
	for (int i = 0; i < 2; i++)
		finish(t[i]);
	stop = true;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(gstk_chan_destroy(a), 0);
	CHECK_EQ(gstk_chan_destroy(b), 0);
}

static void all_wait(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_chan_create(&chan, 0, 0), 0);
	CHECK_EQ(gstk_future_spawn(&t, &receiver, NULL), 0);
	gstk_join(t, NULL);
}

/* What is in a frame of the poll function would be gone when the wait is over. */
FUTURE(points_at_its_stack, int, NULL)
{
	struct gstk_case one = { .chan = chan, .op = GSTK_CASE_RECV };
	uint64_t v;

	switch ((*(int *)state_)++) {
	case 0:
		return gstk_await_recv(f, chan, &v, GSTK_NEVER);
	case 1:
		CHECK_EQ(gstk_await_result(f), -EINVAL);
		return gstk_await_select(f, &one, 1, GSTK_NEVER);
	default:
		CHECK_EQ(gstk_await_result(f), -EINVAL);
		return gstk_future_done(f, ptr(7));
	}
}

static void pointing(void)
{
	CHECK_EQ(gstk_chan_create(&chan, sizeof(uint64_t), 0), 0);
	CHECK_EQ(finish(future(&points_at_its_stack, NULL)), 7);
}

static void pointing_1(void)
{
	with_workers(1, pointing);
}

TEST(what_lies_on_the_stack_of_a_poll_function_is_refused)
{
	ASSERT_EQ(0, in_child(pointing_1)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("gstk_await_recv: the element on the stack of the poll function"));
	EXPECT_TRUE(reported("gstk_await_select: the cases on the stack of the poll function"));
}

static void all_wait_2(void)
{
	with_workers(2, all_wait);
}

TEST(a_deadlock_report_includes_them)
{
	int status;

	if (UNDER_TSAN || EMULATED())
		SKIP(return, "the sanitizer's or emulator's own thread might wake a task");
	status = in_child(all_wait_2);
	ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("%s", report);
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	EXPECT_TRUE(reported("greenstk: deadlock: all 2 tasks wait"));
	EXPECT_TRUE(reported("\"receiver\" waiting for chan recv, stackless"));
	EXPECT_TRUE(reported("\"main\" waiting for join"));
}

FUTURE(forgets, int, NULL)
{
	return GSTK_PENDING;
}

FUTURE(exits, int, NULL)
{
	gstk_exit(NULL);
	return gstk_future_done(f, NULL);
}

FUTURE(forks, int, NULL)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		return gstk_future_done(f, NULL); /* it should have called _exit() */
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	return gstk_future_done(f, NULL);
}

static _Atomic bool enough;

FUTURE(computes, int, NULL)
{
	while (!atomic_load(&enough))
		;
	return gstk_future_done(f, NULL);
}

FUTURE(returns_nonsense, int, NULL)
{
	(void)gstk_await_yield(f);
	return (enum gstk_progress)5;
}

static const struct gstk_future_type *what;

static void run_it(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_future_spawn(&t, what, NULL), 0);
	finish(t);
}

static void run_1(void)
{
	with_workers(1, run_it);
}

static int run(const struct gstk_future_type *type)
{
	what = type;
	return in_child(run_1);
}

TEST(one_that_waits_for_nothing_is_reported)
{
	EXPECT_EQ(SIGABRT, WTERMSIG(run(&forgets)));
	EXPECT_TRUE(reported("\"forgets\" returned GSTK_PENDING, but had called no gstk_await_...()"));
}

TEST(one_that_returns_nonsense_is_reported)
{
	EXPECT_EQ(SIGABRT, WTERMSIG(run(&returns_nonsense)));
	EXPECT_TRUE(reported("\"returns_nonsense\" returned 5; it is to return what gstk_future_done()"));
}

static void wrong_types(void)
{
	struct gstk_future_type type = quick;

	CHECK_EQ(gstk_future_spawn(NULL, NULL, NULL), -EINVAL);
	type.size = 3;
	CHECK_EQ(gstk_future_spawn(NULL, &type, NULL), -EINVAL);
	type = quick;
	type.poll = NULL;
	CHECK_EQ(gstk_future_spawn(NULL, &type, NULL), -EINVAL);
	type = quick;
	type.state_size = SIZE_MAX;
	CHECK_EQ(gstk_future_spawn(NULL, &type, NULL), -EINVAL);
}

TEST(a_type_that_is_refused_says_what_to_do)
{
	ASSERT_EQ(0, in_child(wrong_types)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("the type is NULL; give"));
	EXPECT_TRUE(reported("a type of 3 bytes; set .size"));
	EXPECT_TRUE(reported(".poll is NULL; give"));
	EXPECT_TRUE(reported(" bytes; at most 1073741824: keep a pointer"));
}

TEST(gstk_exit_in_a_poll_function_is_reported)
{
	EXPECT_EQ(SIGABRT, WTERMSIG(run(&exits)));
	EXPECT_TRUE(reported("gstk_exit() in a poll function; it returns gstk_future_done()"));
}

TEST(the_child_of_a_fork_does_not_come_back)
{
	EXPECT_EQ(0, run(&forks));
	EXPECT_TRUE(reported("a poll function returned in a child of fork()"));
}

static void stick(void)
{
	gstk_task *t;

	CHECK_EQ(gstk_future_spawn(&t, &computes, NULL), 0);
	while (gstk_join_until(t, NULL, gstk_now() + MS))
		atomic_store(&enough, was_told());
}

static void stick_2(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .stuck_report_ns = 50 * MS };

	CHECK_EQ(gstk_main(body_, (void *)stick, NULL, &config), 0);
}

TEST(a_worker_that_is_stuck_in_one_is_reported)
{
	/* The thread sanitizer delivers signals late, when other frames are there. */
	EXPECT_EQ(0, in_child_until((const char *const[]){ "\"computes\" for", UNDER_TSAN ? NULL : "computes_poll+0x", NULL },
				    stick_2)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("does not get back from task"));
	EXPECT_TRUE(reported("\"computes\" for"));
	if (!UNDER_TSAN) {
		EXPECT_TRUE(reported("computes_poll+0x"));
	}
}

/* Two locks, taken by poll functions the one way and the other: the places are these functions. */
static gstk_mutex first = GSTK_MUTEX_INIT, second = GSTK_MUTEX_INIT;

struct taker {
	int line;
	bool other_way;
};

FUTURE(taker, struct taker, NULL)
{
	struct taker *s = state_;

	GSTK_FUTURE_BEGIN(s->line);
	GSTK_AWAIT(s->line, gstk_await_mutex(f, s->other_way ? &second : &first, GSTK_NEVER));
	GSTK_AWAIT(s->line, gstk_await_mutex(f, s->other_way ? &first : &second, GSTK_NEVER));
	gstk_mutex_unlock(&first);
	gstk_mutex_unlock(&second);
	return gstk_future_done(f, NULL);
	GSTK_FUTURE_END;
}

static void takes_both_ways(void)
{
	finish(future(&taker, &(struct taker){ 0 }));
	finish(future(&taker, &(struct taker){ .other_way = true }));
}

static void watched_takers(void)
{
	setenv("GREENSTK_DEBUG", "locks", 1);
	with_workers(1, takes_both_ways);
}

TEST(places_of_locks_are_poll_functions)
{
	ASSERT_EQ(SIGABRT, WTERMSIG(in_child(watched_takers)));
	EXPECT_TRUE(reported("locks are taken in a circle"));
	EXPECT_TRUE(reported("\"taker\" held lock 0x"));
	EXPECT_TRUE(reported(", taken at taker_poll+0x"));
	EXPECT_TRUE(silent_about("mutex_begin"));
	EXPECT_TRUE(silent_about("mutex_end"));
}

TEST_HARNESS_MAIN
