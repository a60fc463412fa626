// SPDX-License-Identifier: MIT
/* Workers without work: those who are about to be woken spin, the others sleep, and no wake is lost. */
#include <sched.h>

#include "sched/worker.h"
#include "seccomp_test.h"
#include "wait_test.h"

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static gstk_chan *there, *back;
static unsigned long trips;
static uint32_t pause_max; /* turns of a loop before an answer, at random */
static bool patient;	   /* no timeouts */

static void think(uint32_t *seed)
{
	for (uint32_t n = pause_max ? rnd(seed) % pause_max : 0; n; n--)
		__asm__ volatile("");
}

static void *echo(void *arg)
{
	uint32_t seed = 77;
	uint64_t v;

	while (!gstk_chan_recv(there, &v)) {
		think(&seed);
		v++;
		CHECK_EQ(gstk_chan_send(back, &v), 0);
	}
	return NULL;
}

static void *talk(void *arg)
{
	uint32_t seed = 5;
	uint64_t v;

	for (unsigned long i = 0; i < trips; i++) {
		uint64_t sent = i;

		CHECK_EQ(gstk_chan_send(there, &sent), 0);
		think(&seed);
		if (patient || i % 3) {
			CHECK_EQ(gstk_chan_recv(back, &v), 0);
		} else {
			int err;

			while ((err = gstk_chan_recv_until(back, &v, gstk_now() + rnd(&seed) % 30000)))
				CHECK_EQ(err, -ETIMEDOUT);
		}
		CHECK_EQ(v, i + 1);
	}
	CHECK_EQ(gstk_chan_close(there), 0);
	return NULL;
}

static gstk_task *pinned(gstk_fn fn, unsigned int worker)
{
	struct gstk_spawn_opts opts = { .size = sizeof(opts), .flags = GSTK_PINNED, .worker = worker };
	gstk_task *t;

	CHECK_EQ(gstk_spawn(&t, fn, NULL, &opts), 0);
	return t;
}

static void open_channels(void)
{
	CHECK_EQ(gstk_chan_create(&there, sizeof(uint64_t), 0), 0);
	CHECK_EQ(gstk_chan_create(&back, sizeof(uint64_t), 0), 0);
}

static void pinned_pair(unsigned int first, unsigned int second)
{
	gstk_task *e, *t;

	open_channels();
	e = pinned(echo, first);
	t = pinned(talk, second);
	finish(t);
	finish(e);
	CHECK_EQ(gstk_chan_destroy(there), 0);
	CHECK_EQ(gstk_chan_destroy(back), 0);
}

/* Pauses about as long as a worker watches: it gives up just when it is given the task. */
static void a_talking_pair(void)
{
	static const uint32_t pauses[] = { 0, 1000, 20000, 120000 };

	for (size_t i = 0; i < ARRAY_SIZE(pauses); i++) {
		pause_max = pauses[i];
		trips = scaled(pauses[i] > 1000 ? 5000 : 30000);
		pinned_pair(0, 1);
	}
}

TEST(no_wake_of_a_pinned_pair_is_lost)
{
	with_workers(2, a_talking_pair);
}

static gstk_sem posts = GSTK_SEM_INIT(0);
static _Atomic unsigned long nr_got;

static void *waiter(void *arg)
{
	unsigned long got = 0;
	int err;

	while ((err = gstk_sem_wait(&posts)) != -ECANCELED) {
		CHECK_EQ(err, 0);
		got++;
		atomic_fetch_add(&nr_got, 1);
	}
	return (void *)got;
}

/* Several pinned tasks of one worker, one of them watched; cancels meet the watch as well. */
static void a_crowd_on_one_worker(void)
{
	enum { CROWD = 5 };
	gstk_task *t[CROWD];
	unsigned long n = scaled(20000), got = 0;
	uint32_t seed = 9;

	for (int i = 0; i < CROWD; i++)
		t[i] = pinned(waiter, 1);
	pause_max = 3000;
	for (unsigned long i = 0; i < n; i++) {
		CHECK_EQ(gstk_sem_post(&posts, 1), 0);
		think(&seed);
	}
	while (atomic_load(&nr_got) < n)
		gstk_sleep(MS);
	for (int i = 0; i < CROWD; i++)
		CHECK_EQ(gstk_cancel(t[i]), 0);
	for (int i = 0; i < CROWD; i++)
		got += (unsigned long)finish(t[i]);
	CHECK_EQ(got, n);
}

TEST(watching_one_task_does_not_forget_the_others)
{
	with_workers(2, a_crowd_on_one_worker);
}

static void then_rest(void)
{
	uint64_t before, used;

	/* Busy first: they have learnt to spin. */
	trips = scaled(20000);
	pause_max = 0;
	pinned_pair(3, 6);
	gstk_sleep(50 * MS);
	before = cpu_ns();
	gstk_sleep(1000 * MS);
	used = cpu_ns() - before;
	fprintf(stderr, "# %llu us of CPU in an idle second\n", (unsigned long long)used / 1000);
	CHECK(used < 20 * MS * slowness());
}

TEST(eight_idle_workers_use_no_cpu_once_the_talk_is_over)
{
	with_workers(8, then_rest);
}

static void *foreign(void *arg)
{
	return talk(NULL);
}

static void threads_and_tasks(unsigned int workers)
{
	struct gstk_config config = { .size = sizeof(config), .workers = workers };
	static const uint32_t pauses[] = { 0, 1000, 20000, 120000 };
	uint64_t before, used;
	pthread_t thread;

	alarm(120);
	CHECK_EQ(gstk_init(&config), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pauses); i++) {
		gstk_task *e;

		pause_max = pauses[i];
		trips = scaled(pauses[i] > 1000 ? 3000 : 10000);
		open_channels();
		e = start(echo, NULL);
		CHECK_EQ(pthread_create(&thread, NULL, foreign, NULL), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		finish(e);
		CHECK_EQ(gstk_chan_destroy(there), 0);
		CHECK_EQ(gstk_chan_destroy(back), 0);
	}
	before = cpu_ns();
	usleep(300000);
	used = cpu_ns() - before;
	CHECK(used < 10 * MS * slowness());
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
}

TEST(no_wake_between_a_thread_and_a_task_is_lost_with_one_worker)
{
	threads_and_tasks(1);
}

TEST(no_wake_between_a_thread_and_a_task_is_lost_with_three_workers)
{
	threads_and_tasks(3);
}

static void on_one_cpu(void)
{
	/* Who spins here keeps the one it waits for from the CPU. */
	trips = scaled(5000);
	pause_max = 0;
	patient = true;
	pinned_pair(0, 1);
	CHECK(!gstk__may_spin());
}

TEST(workers_that_share_a_cpu_do_not_spin)
{
	cpu_set_t all, one;

	ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	with_workers(2, on_one_cpu);
}

static uint64_t polls(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st.polls;
}

static void sleeps_a_while(void)
{
	uint64_t before = polls();

	for (int i = 0; i < 10; i++)
		CHECK_EQ(gstk_sleep(20 * MS), 0);
	CHECK(polls() - before < 500);
}

/* Filters of containers that are older than the call say EPERM. */
static void without_epoll_pwait2(int err)
{
	refuse(SYS_epoll_pwait2, err);
	with_workers(1, sleeps_a_while);
}

TEST(where_epoll_pwait2_is_refused_nobody_spins)
{
	if (EMULATED())
		SKIP(return, "the emulator has no system call filters");
	without_epoll_pwait2(EPERM);
}

TEST(where_there_is_no_epoll_pwait2_nobody_spins)
{
	if (EMULATED())
		SKIP(return, "the emulator has no system call filters");
	without_epoll_pwait2(ENOSYS);
}

TEST_HARNESS_MAIN
