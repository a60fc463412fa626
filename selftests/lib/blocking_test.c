// SPDX-License-Identifier: MIT
/* gstk_blocking(): calls that block a thread run beside each other, and end as they should. */
#include <semaphore.h>
#include "report_test.h"
#include "wait/blocking.h"

/* blocking_matrix.mk: what the library asks for goes through here. */
static _Atomic int threads_left = -1; /* so many more can be had; below 0: any */
int __real_pthread_create(pthread_t *th, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *th, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

int __wrap_pthread_create(pthread_t *th, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	if (threads_left >= 0 && threads_left-- <= 0) {
		threads_left = 0;
		return EAGAIN;
	}
	return __real_pthread_create(th, a, fn, arg);
}

static void with_threads(unsigned int threads, void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .blocking_threads = threads };

	alarm(120);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

static struct gstk_stats now_(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s;
}

/* ---- beside each other ---- */

enum { CROWD = 300 };

static _Atomic int at_once, most, calls;
static sem_t gate;

static int enter(void)
{
	int n = ++at_once, m = most;

	while (m < n && !atomic_compare_exchange_weak(&most, &m, n))
		;
	return n;
}

/* Returns only when all are in here. */
static void *meets_all(void *arg)
{
	enter();
	while (most < CROWD)
		usleep(1000);
	at_once--;
	return arg;
}

static void *blocks(void *arg)
{
	void *r;

	CHECK_EQ(gstk_blocking((void *(*)(void *))arg, (void *)5L, &r), 0);
	return r;
}

static void crowd(void)
{
	static gstk_task *t[CROWD];

	for (int i = 0; i < CROWD; i++)
		t[i] = start(blocks, (void *)meets_all);
	for (int i = 0; i < CROWD; i++)
		CHECK_EQ(finish(t[i]), 5);
	CHECK_EQ(now_().blocking_calls, CROWD);
	CHECK(now_().blocking_threads >= CROWD);
}

/* With fewer at a time this would never end. */
TEST(hundreds_of_calls_on_two_workers_all_run_at_the_same_time)
{
	with_threads(0, crowd);
}

static void *naps(void *arg)
{
	enter();
	usleep(2000);
	at_once--;
	return NULL;
}

static void *waits_at_the_gate(void *arg)
{
	enter();
	while (sem_wait(&gate))
		;
	at_once--;
	return NULL;
}

static void bounded(void)
{
	gstk_task *t[60];

	sem_init(&gate, 0, 0);
	for (int i = 0; i < 60; i++)
		t[i] = start(blocks, (void *)waits_at_the_gate);
	while (now_().blocking_queued_max < 57 || most < 3)
		gstk_sleep(MS);
	for (int i = 0; i < 60; i++)
		sem_post(&gate);
	for (int i = 0; i < 60; i++)
		finish(t[i]);
	CHECK_EQ(most, 3);
	CHECK_EQ(now_().blocking_threads, 3);
}

TEST(no_more_run_at_a_time_than_the_configuration_says)
{
	with_threads(3, bounded);
}

static int order[20], nr_order;

static void *notes(void *arg)
{
	order[nr_order++] = (int)(long)arg;
	return NULL;
}

static void *held(void *arg)
{
	calls++;
	while (sem_wait(&gate))
		;
	return arg;
}

static void *holds(void *arg)
{
	void *r = NULL;
	long err = gstk_blocking(held, arg, &r);

	return (void *)(err ? err : (long)r);
}

/* The pool's only thread is taken. */
static gstk_task *hold(void)
{
	gstk_task *t;

	sem_init(&gate, 0, 0);
	calls = 0;
	t = start(holds, (void *)9L);
	while (!calls)
		gstk_yield();
	return t;
}

static void let_go(gstk_task *t)
{
	sem_post(&gate);
	CHECK_EQ(finish(t), 9);
}

static void *notes_in_turn(void *arg)
{
	CHECK_EQ(gstk_blocking(notes, arg, NULL), 0);
	return NULL;
}

static void in_order(void)
{
	gstk_task *h = hold(), *t[20];

	for (long i = 0; i < 20; i++) {
		t[i] = start(notes_in_turn, (void *)i);
		settle();
		while (now_().blocking_queued_max < (uint64_t)i + 1)
			gstk_sleep(MS);
	}
	let_go(h);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(order[i], i);
}

TEST(calls_that_queue_begin_in_the_order_they_came)
{
	with_threads(1, in_order);
}

/* ---- what the caller gets ---- */

/* Calls: a compiler keeps the address of errno across a park, and that is another thread's then. */
static __attribute__((noinline)) int get_errno(void)
{
	return errno;
}

static __attribute__((noinline)) void set_errno(int err)
{
	errno = err;
}

static void *fails_with_enoent(void *arg)
{
	CHECK_EQ(errno, EDOM);
	CHECK(!gstk_self());
	CHECK_EQ(gstk_worker(), -1);
	errno = ENOENT;
	return arg;
}

static void *outside(void *arg)
{
	CHECK_EQ(gstk_blocking(fails_with_enoent, arg, &arg), 0); /* a thread without a task */
	return arg;
}

static void *calls_with_errno(void *arg)
{
	void *r;

	set_errno(EDOM);
	CHECK_EQ(gstk_blocking(fails_with_enoent, (void *)3L, &r), 0);
	CHECK_EQ(get_errno(), ENOENT);
	CHECK_EQ((long)r, 3);
	set_errno(EDOM);
	CHECK_EQ(gstk_blocking(outside, (void *)4L, &r), 0);
	CHECK_EQ(get_errno(), ENOENT);
	CHECK_EQ((long)r, 4);
	CHECK_EQ(gstk_blocking(NULL, NULL, NULL), -EINVAL);
	return NULL;
}

WAIT_TEST(results_and_errno_come_back)
{
	finish(start(calls_with_errno, NULL));
	calls_with_errno(NULL);
}

TEST(without_a_task_the_function_is_simply_called)
{
	void *r;

	errno = EDOM;
	EXPECT_EQ(0, gstk_blocking(fails_with_enoent, (void *)3L, &r));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(3, (long)r);
}

struct sum {
	int n[500];
	long sum;
};

static void *adds(void *arg)
{
	struct sum *s = arg;

	usleep(1000);
	for (int i = 0; i < 500; i++)
		s->sum += s->n[i];
	return NULL;
}

static void *adds_on_its_stack(void *arg)
{
	struct sum s = { .sum = 1 };

	for (int i = 0; i < 500; i++)
		s.n[i] = (int)(long)arg;
	CHECK_EQ(gstk_blocking(adds, &s, NULL), arg ? -EINVAL : 0);
	CHECK_EQ(gstk_blocking_copy(adds, &s, sizeof(s), NULL), 0);
	CHECK_EQ(s.sum, 1 + 500 * (long)arg);
	CHECK_EQ(gstk_blocking_copy(adds, &s, sizeof(s), NULL), 0);
	CHECK_EQ(s.sum, 1 + 1000 * (long)arg);
	return NULL;
}

/* Many, so that windows are shared and stacks move while the functions run. */
WAIT_TEST(arguments_on_a_stack_that_may_move_are_copied_both_ways)
{
	gstk_task *t[30];

	for (long i = 0; i < 30; i++)
		t[i] = start(adds_on_its_stack, (void *)(i + 1));
	for (int i = 0; i < 30; i++)
		finish(t[i]);
	adds_on_its_stack(NULL); /* private: nothing is copied or refused */
}

/* ---- ends that come early ---- */

static void *times_out(void *arg)
{
	return (void *)(long)gstk_blocking_until(held, NULL, NULL, gstk_now() + 5 * MS);
}

static void withdrawn(void)
{
	gstk_task *h = hold(), *t, *u;

	t = start(holds, NULL);
	u = start(times_out, NULL);
	settle();
	CHECK_EQ(gstk_cancel(t), 0);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(finish(u), -ETIMEDOUT);
	CHECK_EQ(gstk_blocking_until(held, NULL, NULL, gstk_now() - 1), -ETIMEDOUT);
	let_go(h);
	CHECK_EQ(calls, 1);
	calls_with_errno(NULL); /* the thread goes on with what comes */
	CHECK_EQ(calls, 1);
}

TEST(a_call_that_queues_and_is_cancelled_or_late_never_begins)
{
	with_threads(1, withdrawn);
}

static _Atomic uint64_t late; /* the deadline of the call made last */

static void *held_then_sleeps(void *arg)
{
	uint64_t patience = 20 * MS;
	void *r = NULL;
	int err;

	do { /* until it begins in time */
		late = gstk_now() + patience;
		err = gstk_blocking_until(held, (void *)9L, &r, late);
		patience *= 2;
	} while (err == -ETIMEDOUT);
	CHECK_EQ(err, 0);
	CHECK_EQ((long)r, 9);
	return (void *)(long)gstk_sleep(1);
}

static void begun(void)
{
	gstk_task *t, *u;

	sem_init(&gate, 0, 0);
	t = start(held_then_sleeps, NULL);
	while (calls < 1)
		gstk_yield();
	u = start(held_then_sleeps, NULL);
	while (calls < 2)
		gstk_yield();
	CHECK_EQ(gstk_cancel(t), 0);
	while (gstk_now() < late)
		gstk_sleep(MS);
	settle();
	CHECK_EQ(gstk_join_until(t, NULL, gstk_now()), -ETIMEDOUT);
	CHECK_EQ(gstk_join_until(u, NULL, gstk_now()), -ETIMEDOUT);
	sem_post(&gate);
	sem_post(&gate);
	CHECK_EQ(finish(t), -ECANCELED);
	CHECK_EQ(finish(u), 0);
}

TEST(a_call_that_has_begun_is_waited_for_and_succeeds)
{
	with_threads(0, begun);
}

static _Atomic long ran;

static void *counts(void *arg)
{
	ran++;
	if ((long)arg % 4 == 0)
		usleep(50);
	return arg;
}

static void *counts_again_and_again(void *arg)
{
	uint32_t seed = (uint32_t)(long)arg * 2654435761u | 1;
	long ok = 0;

	for (int i = 0; i < 100; i++) {
		uint32_t r = rnd(&seed);
		void *result = NULL;
		int err = gstk_blocking_until(counts, (void *)(long)r, &result,
					      r % 3 ? GSTK_NEVER : gstk_now() + r % 200000);

		CHECK(err == 0 || err == -ETIMEDOUT || err == -ECANCELED);
		if (err == -ECANCELED)
			gstk_cancel_clear();
		if (!err)
			CHECK_EQ((long)result, (long)r);
		ok += !err;
	}
	return (void *)ok;
}

/* Each call that succeeds has run once, and no other has. */
static void storm(void)
{
	long ok = 0, nr = (long)scaled(200);
	gstk_task *t[200];

	for (long i = 0; i < nr; i++)
		t[i] = start(counts_again_and_again, (void *)(i + 1));
	for (int round = 0; round < 20; round++) {
		for (long i = 0; i < nr; i += 7)
			CHECK_EQ(gstk_cancel(t[i]), 0);
		gstk_sleep(MS);
	}
	for (long i = 0; i < nr; i++)
		ok += finish(t[i]);
	CHECK_EQ(ran, ok);
	CHECK(ok > nr);
}

TEST(calls_cancels_and_deadlines_lose_and_double_nothing)
{
	with_threads(4, storm);
}

/* ---- the life of the pool ---- */

static void *naps_long(void *arg)
{
	calls++;
	usleep(100000);
	return NULL;
}

static void leaves_them(void)
{
	for (int i = 0; i < 10; i++)
		start(blocks, (void *)naps_long);
	while (calls < 10)
		gstk_yield();
}

TEST(shutdown_waits_for_calls_that_have_begun)
{
	for (int life = 0; life < 5; life++) {
		calls = 0;
		with_threads(0, leaves_them);
		EXPECT_EQ(10, calls);
	}
}

TEST(a_shutdown_that_has_no_time_leaves_them_running)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };
	gstk_task *t;

	alarm(120);
	sem_init(&gate, 0, 0);
	ASSERT_EQ(0, gstk_init(&config));
	t = start(holds, (void *)9L);
	while (!calls)
		usleep(1000);
	EXPECT_EQ(-ETIMEDOUT, gstk_shutdown(GSTK_SHUTDOWN_CANCEL, gstk_now() + 10 * MS));
	sem_post(&gate);
	EXPECT_EQ(9, finish(t));
	EXPECT_EQ(0, gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER));
}

static void *shuts_down(void *arg)
{
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), -EDEADLK);
	return NULL;
}

static void from_inside(void)
{
	CHECK_EQ(gstk_blocking(shuts_down, NULL, NULL), 0);
}

TEST(a_function_of_the_pool_cannot_shut_the_runtime_down)
{
	with_threads(0, from_inside);
}

static void threads_end(void)
{
	gstk__blocking_idle_ns = 20 * MS;
	for (int i = 0; i < 5; i++)
		start(blocks, (void *)naps);
	for (int waited = 0; !now_().blocking_calls || now_().blocking_threads; waited++) {
		CHECK(waited < 60000);
		gstk_sleep(MS);
	}
	calls_with_errno(NULL); /* and begin again */
	CHECK(now_().blocking_calls >= 7);
}

TEST(threads_without_work_end)
{
	with_threads(0, threads_end);
}

static void none_to_be_had(void)
{
	gstk_task *t[20];

	threads_left = 0;
	CHECK_EQ(gstk_blocking(held, NULL, NULL), -EAGAIN);
	CHECK_EQ(calls, 0);
	threads_left = 1;
	for (int i = 0; i < 20; i++)
		t[i] = start(blocks, (void *)naps);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	CHECK_EQ(now_().blocking_threads, 1);
	CHECK_EQ(threads_left, 0);
}

TEST(without_threads_a_call_fails_and_with_one_all_wait_for_that)
{
	with_threads(0, none_to_be_had);
}

static void *maybe(void *arg)
{
	int err = gstk_blocking(naps, NULL, NULL);

	CHECK(err == 0 || err == -EAGAIN);
	return NULL;
}

/* Whoever relies on a thread that another one starts, which fails. */
static void starts_that_fail(void)
{
	for (unsigned long round = 0; round < scaled(300); round++) {
		gstk_task *t[8];

		threads_left = 0;
		for (int i = 0; i < 8; i++)
			t[i] = start(maybe, NULL);
		for (int i = 0; i < 8; i++)
			finish(t[i]);
	}
}

TEST(nobody_is_forgotten_when_a_thread_cannot_be_started)
{
	with_threads(1, starts_that_fail);
}

/* ---- what else looks at tasks ---- */

static void only_calls(void)
{
	gstk_task *t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(blocks, (void *)naps_long);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
}

static void fine(void) { with_threads(2, only_calls); }

TEST(tasks_in_such_calls_are_in_no_deadlock)
{
	EXPECT_EQ(0, in_child(fine)) TH_LOG("%s", report);
	EXPECT_TRUE(silent_about("deadlock"));
}

static void then_stuck(void)
{
	gstk_sem never = GSTK_SEM_INIT(0);

	only_calls();
	withdrawn(); /* nor do calls that never began */
	gstk_sem_wait(&never);
}

static void stuck(void) { with_threads(1, then_stuck); }

TEST(threads_of_the_pool_hide_no_deadlock)
{
	if (UNDER_TSAN || EMULATED())
		SKIP(return, "the sanitizer's, or the emulator's, own thread might wake a task");
	EXPECT_EQ(SIGABRT, WTERMSIG(in_child(stuck)));
	EXPECT_TRUE(reported("greenstk: deadlock: all 1 tasks wait"));
}

static void shown(void)
{
	gstk_task *t = hold();

	CHECK_EQ(gstk_dump(2, true), 0);
	let_go(t);
}

static void show(void) { with_threads(1, shown); }

TEST(a_dump_says_that_a_task_waits_for_such_a_call)
{
	ASSERT_EQ(0, in_child(show)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("waiting for blocking call"));
	EXPECT_TRUE(reported("holds+"));
}

static void *forks(void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid && !arg)
		return NULL; /* into the runtime, of which there is nothing here */
	if (!pid) {
		CHECK_EQ(gstk_blocking(fails_with_enoent, arg, NULL), 0); /* direct */
		_exit(7);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return (void *)(long)status;
}

static void fork_inside(void)
{
	void *r;

	set_errno(EDOM);
	CHECK_EQ(gstk_blocking(forks, (void *)1L, &r), 0);
	CHECK_EQ(WEXITSTATUS((long)r), 7);
	CHECK_EQ(gstk_blocking(forks, NULL, &r), 0);
	CHECK_EQ(WTERMSIG((long)r), SIGABRT);
}

static void fork_there(void) { with_threads(1, fork_inside); }

TEST(a_child_of_fork_inside_a_function_has_no_way_back)
{
	ASSERT_EQ(0, in_child(fork_there)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("returned in a child of fork()"));
}

TEST_HARNESS_MAIN
