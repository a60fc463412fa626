// SPDX-License-Identifier: MIT
/* A worker that does not get back from a task: what it holds is taken over by the others, and told. */
#include <semaphore.h>
#include <sys/socket.h>

#include "report_test.h"

static _Atomic bool stuck, enough;
static sem_t let_go;
static bool keep_busy; /* the other worker has work all the time: it is never idle */
static gstk_timer *timer;
static gstk_chan *ran;

#define REPORT_MS 200u /* also on a busy machine it is where it stays by then */

/* The kernel's, not ours: the worker's thread sleeps with the task on it. */
static void sleep_with_the_worker(void)
{
	atomic_store(&stuck, true);
	CHECK_EQ(sem_wait(&let_go), 0);
	atomic_store(&enough, true);
}

/* By a task: what is stuck stays so until its report is there. */
static void wait_for_report(void)
{
	while (!was_told())
		gstk_sleep(MS);
}

static void *child(void *arg)
{
	uint64_t me = (uint64_t)(uintptr_t)arg;

	CHECK_EQ(gstk_chan_send(ran, &me), 0);
	return NULL;
}

/* On worker 1: arms a timer in its wheel, fills its queues and its next-to-run slot, and is stuck. */
static void *culprit(void *arg)
{
	CHECK_EQ(gstk_timer_set(timer, gstk_now() + 30 * MS, 0), 0);
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(gstk_go(child, (void *)(uintptr_t)i), 0);
	sleep_with_the_worker();
	return NULL;
}

static void *busy(void *arg)
{
	while (!atomic_load(&enough))
		gstk_yield();
	return NULL;
}

static gstk_task *pinned(gstk_fn fn, unsigned int worker, const char *name)
{
	struct gstk_spawn_opts opts = { .size = sizeof(opts), .flags = GSTK_PINNED, .worker = worker, .name = name };
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, NULL, &opts), 0);
	return t;
}

static void *reader(void *arg)
{
	char c;

	CHECK_EQ(gstk_read((int)(intptr_t)arg, &c, 1), 1);
	return NULL;
}

static void *writer_thread(void *arg)
{
	while (!atomic_load(&stuck))
		usleep(1000);
	usleep(30000);
	CHECK_EQ(write((int)(intptr_t)arg, "x", 1), 1);
	return NULL;
}

/* The main task runs on worker 0, pinned helpers keep it busy or not. */
static void *taken_over(void *arg)
{
	struct gstk_stats s = { .size = sizeof(s) };
	gstk_task *b = NULL, *c, *r;
	pthread_t thread;
	uint64_t v;
	int fds[2];

	CHECK_EQ(gstk_timer_create(&timer), 0);
	CHECK_EQ(gstk_chan_create(&ran, sizeof(uint64_t), 8), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	r = start(reader, (void *)(intptr_t)fds[0]);
	settle();
	CHECK_EQ(pthread_create(&thread, NULL, writer_thread, (void *)(intptr_t)fds[1]), 0);
	if (keep_busy)
		b = pinned(busy, 0, "busy");
	c = pinned(culprit, 1, "culprit");
	for (int i = 0; i < 4; i++)
		CHECK_EQ(gstk_chan_recv(ran, &v), 0);
	CHECK_EQ(gstk_chan_recv(gstk_timer_chan(timer), &v), 0);
	finish(r);
	wait_for_report();
	CHECK_EQ(sem_post(&let_go), 0); /* not before all of that was done without its worker */
	finish(c);
	if (b)
		finish(b);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(gstk_timer_destroy(timer), 0);
	CHECK_EQ(gstk_stats(&s), 0);
	CHECK(s.stuck_workers >= 1);
	CHECK(s.stuck_max_ns >= REPORT_MS * MS);
	return NULL;
}

/* The main task must not be the one that the culprit's worker runs: it is pinned to worker 0. */
static void *host(void *arg)
{
	finish(pinned(taken_over, 0, "host"));
	return NULL;
}

static void run_two_workers(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .stuck_report_ns = REPORT_MS * MS };

	alarm(60);
	CHECK_EQ(sem_init(&let_go, 0, 0), 0);
	CHECK_EQ(gstk_main(host, NULL, NULL, &config), 0);
}

static const char *const culprit_told[] = { "\"culprit\" for ", NULL };

/* Whose thread has lost its CPU just before the call is reported from outside of it, and once: not each time. */
static int seen_in_call(const char *const *words, void (*fn)(void))
{
	int status, again = 20;

	do
		status = in_child_until(words, fn);
	while (!status && !strstr(report, "in system call ") && !access("/proc/self/syscall", R_OK) && --again);
	return status;
}

TEST(an_idle_worker_takes_over_queues_timers_and_sockets)
{
	ASSERT_EQ(seen_in_call(culprit_told, run_two_workers), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("greenstk: worker 1 does not get back from task"));
	ASSERT_TRUE(reported("\"culprit\" for "));
	if (!access("/proc/self/syscall", R_OK))
		ASSERT_TRUE(reported("in system call "));
}

TEST(a_busy_worker_takes_over_queues_timers_and_sockets)
{
	keep_busy = true;
	ASSERT_EQ(in_child_until(culprit_told, run_two_workers), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("\"culprit\" for "));
}

/* ---- after all have slept, and nobody looked ---- */

static void *spawns_and_sticks(void *arg)
{
	CHECK_EQ(gstk_go(child, arg), 0); /* alone in its worker's line: mostly that wakes nobody */
	sleep_with_the_worker();
	return child(arg);
}

static void *from_outside(void *arg)
{
	usleep(200000); /* both workers sleep for as long as nothing happens */
	CHECK_EQ(gstk_go(spawns_and_sticks, NULL), 0);
	return NULL;
}

static void *waits_for_child(void *arg)
{
	pthread_t thread;
	uint64_t v;

	CHECK_EQ(gstk_chan_create(&ran, sizeof(uint64_t), 1), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, from_outside, NULL), 0);
		CHECK_EQ(gstk_chan_recv(ran, &v), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		wait_for_report();
		CHECK_EQ(sem_post(&let_go), 0);
		CHECK_EQ(gstk_chan_recv(ran, &v), 0);
	}
	return NULL;
}

static void run_asleep(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .stuck_report_ns = REPORT_MS * MS };

	alarm(60);
	CHECK_EQ(sem_init(&let_go, 0, 0), 0);
	CHECK_EQ(gstk_main(waits_for_child, NULL, NULL, &config), 0);
}

TEST(a_worker_that_is_woken_when_all_slept_is_noticed)
{
	const char *windows = getenv("GREENSTK_WINDOWS");

	if (windows && atoi(windows) == 1)
		SKIP(return, "who shares the window of the stuck one has to wait");
	ASSERT_EQ(in_child_until((const char *const[]){ " does not get back from task ", NULL }, run_asleep), 0)
		TH_LOG("%s", report);
	ASSERT_TRUE(reported(" does not get back from task "));
}

/* ---- where it is ---- */

static _Atomic uint64_t turns;

static __attribute__((noinline)) void compute_for_long(void)
{
	while (!atomic_load_explicit(&enough, memory_order_relaxed))
		atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
	__asm__ volatile("");
}

static void *computes(void *arg)
{
	compute_for_long();
	__asm__ volatile("");
	return NULL;
}

static __attribute__((noinline)) void call_for_long(void)
{
	until_told();
	__asm__ volatile("");
}

static void *calls(void *arg)
{
	call_for_long();
	__asm__ volatile("");
	return NULL;
}

static gstk_fn stuck_in;

static void *watcher(void *arg)
{
	gstk_task *t = pinned(stuck_in, 1, "lost");

	wait_for_report();
	atomic_store(&enough, true);
	finish(t);
	return NULL;
}

static void *watch(void *arg)
{
	finish(pinned(watcher, 0, "watcher"));
	return NULL;
}

static void run_stuck(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .stuck_report_ns = REPORT_MS * MS };

	alarm(60);
	CHECK_EQ(gstk_main(watch, NULL, NULL, &config), 0);
}

static const char *const frames_told[] = { "\"lost\" for ", " gstk__task_start+", NULL };

TEST(a_task_that_computes_shows_its_frames)
{
	if (access("/proc/self/syscall", R_OK) || EMULATED())
		SKIP(return, "no /proc/PID/syscall in this kernel, or an emulator's");
	if (UNDER_TSAN)
		SKIP(return, "it delivers signals late, when other frames are there");
	stuck_in = computes;
	ASSERT_EQ(in_child_until(frames_told, run_stuck), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("\"lost\" for "));
	ASSERT_TRUE(reported("compute_for_long+"));
	ASSERT_TRUE(reported(" computes+"));
	ASSERT_TRUE(reported("gstk__task_start+"));
}

static const char *const call_told[] = { "in system call ", "is at", NULL };

TEST(a_task_in_a_system_call_shows_its_frames_and_is_not_disturbed)
{
	if (access("/proc/self/syscall", R_OK) || EMULATED())
		SKIP(return, "no /proc/PID/syscall in this kernel");
	stuck_in = calls;
	ASSERT_EQ(seen_in_call(UNDER_ASAN ? call_told : frames_told, run_stuck), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("in system call "));
	ASSERT_TRUE(reported("is at"));
	if (UNDER_ASAN)
		return; /* its read() is unwound by a frame pointer, which the kernel does not tell */
	ASSERT_TRUE(reported("call_for_long+"));
	ASSERT_TRUE(reported(" calls+"));
	ASSERT_TRUE(reported("gstk__task_start+"));
}

static void on_urg(int sig)
{
	_exit(9);
}

static void run_stuck_with_handler(void)
{
	signal(SIGURG, on_urg);
	run_stuck();
}

TEST(an_application_that_handles_urgent_data_keeps_its_signal)
{
	stuck_in = computes;
	ASSERT_EQ(in_child_until((const char *const[]){ "\"lost\" for ", NULL }, run_stuck_with_handler), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("\"lost\" for "));
	ASSERT_TRUE(silent_about("is at"));
}

/* ---- nobody is left to look ---- */

static void *only_one(void *arg)
{
	gstk_task *t;
	struct gstk_spawn_opts opts = { .size = sizeof(opts), .name = "lost" };

	CHECK_EQ(gstk_spawn(&t, calls, NULL, &opts), 0);
	finish(t);
	return NULL;
}

static void run_alone(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .stuck_report_ns = REPORT_MS * MS };

	alarm(60);
	CHECK_EQ(gstk_main(only_one, NULL, NULL, &config), 0);
}

TEST(the_only_worker_is_reported)
{
	ASSERT_EQ(in_child_until((const char *const[]){ "\"lost\" for ", NULL }, run_alone), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("\"lost\" for "));
	ASSERT_TRUE(reported("no other worker is free"));
}

static void *both(void *arg)
{
	gstk_task *a = pinned(calls, 0, "lost"), *b = pinned(calls, 1, "found");

	finish(a);
	finish(b);
	return NULL;
}

static void run_both(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .stuck_report_ns = REPORT_MS * MS };

	alarm(60);
	CHECK_EQ(gstk_main(both, NULL, NULL, &config), 0);
}

TEST(workers_that_are_all_stuck_are_reported)
{
	ASSERT_EQ(in_child_until((const char *const[]){ "\"lost\" for ", "\"found\" for ", NULL }, run_both), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("\"lost\" for "));
	ASSERT_TRUE(reported("\"found\" for "));
	ASSERT_TRUE(reported("no other worker is free"));
}

static _Atomic unsigned int nr_stuck;

/* The child is alone in its worker's line: mostly that wakes nobody. */
static void *spawns_and_stays(void *arg)
{
	atomic_fetch_add(&nr_stuck, 1);
	CHECK_EQ(gstk_go(child, arg), 0);
	while (!atomic_load(&enough))
		usleep(1000);
	return NULL;
}

static void *two_from_outside(void *arg)
{
	usleep(200000); /* all workers sleep for as long as nothing happens */
	CHECK_EQ(gstk_go(spawns_and_stays, NULL), 0);
	CHECK_EQ(gstk_go(spawns_and_stays, NULL), 0);
	return NULL;
}

static void *waits_for_both(void *arg)
{
	pthread_t thread;
	uint64_t v;

	CHECK_EQ(gstk_chan_create(&ran, sizeof(uint64_t), 2), 0);
	CHECK_EQ(pthread_create(&thread, NULL, two_from_outside, NULL), 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(gstk_chan_recv_until(ran, &v, gstk_now() + 20000 * MS), 0);
	CHECK_EQ(atomic_load(&nr_stuck), 2);
	atomic_store(&enough, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	return NULL;
}

static void run_two_at_once(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 3, .stuck_report_ns = REPORT_MS * MS };

	alarm(60);
	CHECK_EQ(gstk_main(waits_for_both, NULL, NULL, &config), 0);
}

TEST(two_that_are_stuck_at_once_while_the_others_sleep_are_noticed)
{
	const char *windows = getenv("GREENSTK_WINDOWS");

	if (windows && atoi(windows) < 4)
		SKIP(return, "who shares the window of a stuck one has to wait");
	ASSERT_EQ(in_child(run_two_at_once), 0) TH_LOG("%s", report);
}

/* ---- a window that is kept ---- */

static void *mate(void *arg)
{
	return arg;
}

static void *keeps_its_window(void *arg)
{
	gstk_task *t = start(mate, NULL);

	until_told();
	finish(t);
	return NULL;
}

static void *naps(void *arg)
{
	while (!atomic_load(&enough))
		gstk_sleep(MS);
	return NULL;
}

/* One window: who is spawned by the task that is stuck can only be in it. The other worker is kept looking
 * around: one that sleeps in the poller since before may not notice. */
static void run_with_mates(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 1, .stuck_report_ns = 2000 * MS };
	gstk_task *t;

	alarm(60);
	CHECK_EQ(gstk_init(&config), 0);
	CHECK_EQ(gstk_spawn(NULL, naps, NULL, &(struct gstk_spawn_opts){ .size = sizeof(struct gstk_spawn_opts), .flags = GSTK_PRIVATE }), 0);
	usleep(20000);
	CHECK_EQ(gstk_spawn(&t, keeps_its_window, NULL, NULL), 0);
	until_told();
	atomic_store(&enough, true);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
}

TEST(mates_that_wait_for_its_window_are_told)
{
	if (getenv("GREENSTK_WINDOWS") && strcmp(getenv("GREENSTK_WINDOWS"), "1"))
		SKIP(return, "it needs the only window");
	ASSERT_EQ(in_child_until((const char *const[]){ "mates wait for its window", NULL }, run_with_mates), 0) TH_LOG("%s", report);
	ASSERT_TRUE(reported("mates wait for its window"));
}

/* How many were taken for stuck while one worker sleeps, and then is looked at by the other one. */
static void *at_peace(void *arg)
{
	struct gstk_stats s = { .size = sizeof(s) };

	gstk_sleep(50 * MS);
	for (uint64_t end = gstk_now() + 50 * MS; gstk_now() < end;)
		gstk_yield();
	CHECK_EQ(gstk_stats(&s), 0);
	return (void *)(uintptr_t)s.stuck_workers;
}

TEST(idle_workers_are_not_stuck)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };
	void *nr = &config;

	alarm(60);
	for (int life = 0; life < 50 && nr; life++) /* whose thread has no CPU is stuck with its task: not each time */
		ASSERT_EQ(gstk_main(at_peace, NULL, &nr, &config), 0);
	ASSERT_EQ(nr, NULL);
}

TEST_HARNESS_MAIN
