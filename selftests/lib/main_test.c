// SPDX-License-Identifier: MIT
/* gstk_main() where there is hardly room for it, and threads of the library that somebody ends. */
#include <pthread.h>
#include <sched.h>
#include "report_test.h"

/* ---- no room ---- */

static gstk_chan *gate;

static void *waits(void *arg)
{
	gstk_chan_recv(gate, NULL);
	return NULL;
}

static void *fills_the_pool(void *arg)
{
	CHECK_EQ(gstk_chan_create(&gate, 0, 0), 0);
	while (!gstk_go(waits, NULL))
		;
	return arg;
}

TEST(the_result_comes_though_all_places_are_taken)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .max_tasks = 1024 };
	void *result = NULL;

	ASSERT_EQ(0, gstk_main(fills_the_pool, &config, &result, &config));
	EXPECT_EQ(result, (void *)&config);
}

/* Of 256 places nine in ten are used: on whichever worker they are wanted, and wherever they were used before. */
struct part {
	int nr;
	gstk_sem *filled;
};

static void *fills_a_part(void *arg)
{
	struct part *p = arg;
	gstk_task *t[180];

	for (int i = 0; i < p->nr; i++)
		CHECK_EQ(gstk_spawn(&t[i], waits, NULL, NULL), 0);
	gstk_sem_post(p->filled, 1);
	for (int i = 0; i < p->nr; i++)
		CHECK_EQ(finish(t[i]), 0);
	return NULL;
}

static void on_each_worker(void)
{
	static gstk_sem filled = GSTK_SEM_INIT(0);
	static struct part few = { 15, &filled }, many = { 180, &filled };
	gstk_task *t[4];

	for (uint32_t round = 0; round < 8; round++) {
		CHECK_EQ(gstk_chan_create(&gate, 0, 0), 0);
		for (uint32_t i = 0; i < 4; i++) {
			CHECK_EQ(gstk_spawn(&t[i], fills_a_part, i < 3 ? &few : &many, (GSTK_OPTS(gstk_spawn_opts,
				.flags = GSTK_PINNED, .worker = (i + round) % 4))), 0);
			CHECK_EQ(gstk_sem_wait(&filled), 0);
		}
		CHECK_EQ(gstk_chan_close(gate), 0);
		for (uint32_t i = 0; i < 4; i++)
			CHECK_EQ(finish(t[i]), 0);
		CHECK_EQ(gstk_chan_destroy(gate), 0);
	}
}

static void *on_four(void *arg)
{
	on_each_worker();
	return NULL;
}

TEST(workers_keep_few_places_from_each_other)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 4, .max_tasks = 256 };

	alarm(120);
	ASSERT_EQ(0, gstk_main(on_four, NULL, NULL, &config));
}

static void *sets_a_flag(void *arg)
{
	*(bool *)arg = true;
	return NULL;
}

/* The main task's stack is larger than the address space that is left. */
static void larger_than_there_is(void)
{
	const size_t stack = (size_t)1 << 34;
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .main_stack = stack };
	struct rlimit as;
	bool ran = false;
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK_EQ(fscanf(f, "%zu", &pages), 1);
	fclose(f);
	as.rlim_cur = as.rlim_max = pages * 4096 + stack;
	CHECK_EQ(setrlimit(RLIMIT_AS, &as), 0);
	CHECK_EQ(gstk_main(sets_a_flag, &ran, NULL, &config), -ENOMEM);
	CHECK(!ran);
	config.main_stack = 0;
	CHECK_EQ(gstk_main(sets_a_flag, &ran, NULL, &config), 0);
	CHECK(ran);
}

TEST(without_room_for_the_main_stack_it_says_so)
{
	if (UNDER_TSAN || UNDER_ASAN || EMULATED())
		SKIP(return, "the tool itself needs address space");
	ASSERT_EQ(0, in_child(larger_than_there_is));
	EXPECT_TRUE(reported("greenstk: no address space for the main task's stack of 17179869184 bytes; raise ulimit -v (or -d), or "));
	EXPECT_TRUE(silent_about("no window of its own"));
}

/* ---- ended threads ---- */

static void *ends_its_thread(void *arg)
{
	pthread_exit(NULL);
}

static void a_task_does(void)
{
	with_workers(2, (void (*)(void))ends_its_thread);
}

static void on_another_worker(void)
{
	CHECK_EQ(gstk_spawn(NULL, ends_its_thread, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PINNED, .worker = 1)), 0);
	gstk_sleep(GSTK_NEVER);
}

static void a_pinned_task_does(void)
{
	with_workers(2, on_another_worker);
}

static void call_it(void)
{
	gstk_blocking(ends_its_thread, NULL, NULL);
}

static void a_blocking_call_does(void)
{
	with_workers(2, call_it);
}

#define WITHOUT_SANITIZER() if (UNDER_TSAN || UNDER_ASAN) SKIP(return, "the sanitizer's own end of a thread fails on a task's stack")

TEST(a_task_that_ends_its_thread_is_told_what_to_call)
{
	int status;

	WITHOUT_SANITIZER();
	status = in_child(a_task_does);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_TRUE(reported("greenstk: a thread of the library ended: pthread_exit() or pthread_cancel() in a task; gstk_exit() ends a task\n"));
	status = in_child(a_pinned_task_does);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_TRUE(reported("in a task; gstk_exit() ends a task\n"));
	status = in_child(a_blocking_call_does);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_TRUE(reported("in a function of gstk_blocking(), which has to return\n"));
}

static void forks(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		pthread_exit(NULL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(in_a_child_of_fork_a_task_may_end_its_thread)
{
	WITHOUT_SANITIZER();
	with_workers(2, forks);
}

static void *spawns_nothing(void *arg)
{
	return arg;
}

static void *a_life(void *arg)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .flags = (uint32_t)(uintptr_t)arg };

	CHECK_EQ(gstk_init(&config), 0);
	CHECK_EQ(gstk_go(spawns_nothing, NULL), 0);
	if (arg)
		CHECK(gstk_run_once(0) >= 1);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
	pthread_exit(arg);
}

TEST(a_thread_that_is_the_librarys_no_more_may_end)
{
	void *flags[] = { NULL, (void *)(uintptr_t)GSTK_EMBEDDED };
	pthread_t t;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&t, NULL, a_life, flags[i]));
		ASSERT_EQ(0, pthread_join(t, NULL));
	}
}

/* ---- the end ---- */

static void *posts_later(void *arg)
{
	usleep(3000);
	gstk_sem_post(arg, 1);
	return NULL;
}

/* By then all workers sleep, one of them in the poller; who is woken wakes it, and ends the runtime at once. */
static void *ends_when_woken(void *arg)
{
	static gstk_sem posted = GSTK_SEM_INIT(0);
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, posts_later, &posted), 0);
	CHECK_EQ(pthread_detach(t), 0);
	CHECK_EQ(gstk_sem_wait(&posted), 0);
	return arg;
}

static void many_lives(void)
{
	/* Small, as beginning and ending is all that they do. */
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 16, .max_tasks = 1024, .image_bytes = 64 << 20 };
	int nr = EMULATED() ? 4 : 200;
	cpu_set_t one;

	/* On one CPU who was woken runs when the other one waits for it. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	for (int i = 0; i < nr; i++)
		CHECK_EQ(gstk_main(ends_when_woken, NULL, NULL, &config), 0);
}

TEST(a_worker_that_is_woken_at_the_end_hears_of_it)
{
	ASSERT_EQ(0, in_child(many_lives));
}

TEST_HARNESS_MAIN
