// SPDX-License-Identifier: MIT
/* The runtime inside another event loop; its life again and again; calls when it is not there. */
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include "report_test.h"
#include "sched/worker.h"

static const struct gstk_config embedded = { .size = sizeof(embedded), .flags = GSTK_EMBEDDED };

static _Atomic int ran;
static gstk_chan *chan;
static int pipe_fd[2];

static void *count_me(void *arg)
{
	ran++;
	return arg;
}

static void begin(void)
{
	ran = 0;
	CHECK_EQ(gstk_init(&embedded), 0);
}

static void end(void)
{
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_CANCEL, gstk_now() + 20000 * MS), 0);
}

/* The application's loop: waits for nothing but the descriptor. False after ten seconds. */
static bool outer_loop(bool (*over)(void))
{
	int outer = epoll_create1(EPOLL_CLOEXEC), fd = gstk_runtime_fd();
	struct epoll_event ev = { .events = EPOLLIN };

	CHECK(fd >= 0);
	CHECK_EQ(epoll_ctl(outer, EPOLL_CTL_ADD, fd, &ev), 0);
	while (!over()) {
		int n = epoll_wait(outer, &ev, 1, 10000);

		if (n != 1 && !(n < 0 && errno == EINTR)) { /* that is after a stop */
			close(outer);
			return false;
		}
		CHECK(gstk_run_once(0) >= 0);
	}
	close(outer);
	return true;
}

static bool readable(void)
{
	struct pollfd p = { gstk_runtime_fd(), POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

TEST(run_once_runs_what_can_run_and_returns)
{
	begin();
	EXPECT_EQ(0, gstk_run_once(0));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(gstk_spawn(NULL, count_me, NULL, NULL), 0);
	EXPECT_LE(3, gstk_run_once(0));
	EXPECT_EQ(3, ran);
	EXPECT_EQ(0, gstk_run_once(0));
	end();
}

TEST(run_once_waits_as_long_as_it_is_told)
{
	uint64_t from;

	begin();
	from = gstk_now();
	EXPECT_EQ(0, gstk_run_once(20));
	EXPECT_LE(20 * MS, gstk_now() - from);
	end();
}

static void *raise_later(void *arg)
{
	usleep(20000);
	CHECK_EQ(gstk_spawn(NULL, count_me, NULL, NULL), 0);
	return NULL;
}

TEST(run_once_without_a_limit_waits_for_work)
{
	pthread_t other;

	begin();
	pthread_create(&other, NULL, raise_later, NULL);
	EXPECT_EQ(1, gstk_run_once(-1));
	EXPECT_EQ(1, ran);
	pthread_join(other, NULL);
	end();
}

static void *forever(void *arg)
{
	return (void *)(long)gstk_sleep_until(GSTK_NEVER);
}

/* Nobody would run the tasks that it waits for. What need not wait is done. */
TEST(its_thread_may_not_wait_outside_tasks)
{
	static gstk_mutex mutex = GSTK_MUTEX_INIT;
	struct gstk_case cs;
	gstk_task *t;
	int v = 1;

	begin();
	ASSERT_EQ(0, gstk_chan_create(&chan, sizeof(v), 1));
	ASSERT_EQ(0, pipe(pipe_fd));
	CHECK_EQ(gstk_spawn(&t, forever, NULL, NULL), 0);
	gstk_run_once(0);
	cs = (struct gstk_case){ .chan = chan, .op = GSTK_CASE_RECV, .elem = &v };
	EXPECT_EQ(-EDEADLK, gstk_sleep(MS));
	EXPECT_EQ(-EDEADLK, gstk_chan_recv(chan, &v));
	EXPECT_EQ(-EDEADLK, gstk_chan_recv_until(chan, &v, gstk_now() + 10000 * MS));
	EXPECT_EQ(-EDEADLK, gstk_select(&cs, 1, GSTK_NEVER));
	EXPECT_EQ(-EDEADLK, gstk_join(t, NULL));
	EXPECT_EQ(-EDEADLK, gstk_read(pipe_fd[0], &v, 1));
	EXPECT_EQ(0, gstk_mutex_lock(&mutex));
	EXPECT_EQ(0, gstk_chan_send(chan, &v));
	EXPECT_EQ(0, gstk_chan_recv(chan, &v));
	EXPECT_EQ(0, gstk_mutex_unlock(&mutex));
	EXPECT_EQ(0, gstk_chan_destroy(chan)); /* none of them is left in it */
	EXPECT_EQ(0, gstk_cancel(t));
	gstk_run_once(0);
	EXPECT_EQ(0, gstk_join(t, NULL));
	end();
}


static void *read_pipe(void *arg)
{
	char c;

	while (gstk_read(pipe_fd[0], &c, 1) == 1)
		ran++;
	return NULL;
}

static void *write_pipe(void *arg)
{
	for (int i = 0; i < 50; i++) {
		usleep(500);
		CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
	}
	return NULL;
}

static bool fifty(void) { return ran >= 50; }

TEST(events_of_descriptors_reach_the_outer_loop)
{
	pthread_t other;

	begin();
	ASSERT_EQ(0, pipe(pipe_fd));
	CHECK_EQ(gstk_spawn(NULL, read_pipe, NULL, NULL), 0);
	pthread_create(&other, NULL, write_pipe, NULL);
	EXPECT_TRUE(outer_loop(fifty));
	pthread_join(other, NULL);
	EXPECT_FALSE(readable());
	end();
}

static void *sleep_often(void *arg)
{
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(gstk_sleep(MS / 2), 0);
		ran++;
	}
	return NULL;
}

TEST(timers_reach_the_outer_loop)
{
	begin();
	CHECK_EQ(gstk_spawn(NULL, sleep_often, NULL, NULL), 0);
	EXPECT_TRUE(outer_loop(fifty));
	end();
}

static void *spawn_from_a_thread(void *arg)
{
	for (int i = 0; i < 25; i++) {
		usleep(500);
		CHECK_EQ(gstk_spawn(NULL, count_me, NULL, NULL), 0);
	}
	return NULL;
}

static void *send_from_a_thread(void *arg)
{
	for (int i = 0; i < 25; i++) {
		usleep(300);
		CHECK_EQ(gstk_chan_send(chan, &i), 0);
	}
	return NULL;
}

static void *receive_all(void *arg)
{
	int v;

	for (int i = 0; i < 25; i++, ran++) {
		CHECK_EQ(gstk_chan_recv(chan, &v), 0);
		CHECK_EQ(v, i);
	}
	return NULL;
}

TEST(work_of_other_threads_reaches_the_outer_loop)
{
	pthread_t a, b;

	begin();
	CHECK_EQ(gstk_chan_create(&chan, sizeof(int), 0), 0);
	CHECK_EQ(gstk_spawn(NULL, receive_all, NULL, NULL), 0);
	pthread_create(&a, NULL, spawn_from_a_thread, NULL);
	pthread_create(&b, NULL, send_from_a_thread, NULL);
	EXPECT_TRUE(outer_loop(fifty));
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	gstk_chan_destroy(chan);
	end();
}

static void *wait_for_it(void *arg)
{
	return (void *)(long)gstk_sem_wait(arg);
}

TEST(the_descriptor_is_readable_only_when_there_is_something)
{
	gstk_task *t;

	begin();
	EXPECT_FALSE(readable());
	CHECK_EQ(gstk_spawn(&t, count_me, NULL, NULL), 0);
	EXPECT_TRUE(readable());
	EXPECT_EQ(1, gstk_run_once(0));
	EXPECT_FALSE(readable());
	CHECK_EQ(gstk_join(t, NULL), 0);
	EXPECT_FALSE(readable());
	end();
}

/* The loop asks for the descriptor once; what its own handlers do then counts as well. */
TEST(work_of_its_own_thread_makes_the_descriptor_readable)
{
	struct gstk_spawn_opts pinned = { .size = sizeof(pinned), .flags = GSTK_PINNED };
	static gstk_sem sem = GSTK_SEM_INIT(0);
	gstk_task *t, *idle;
	struct pollfd p;
	gstk_timer *timer;

	begin();
	p = (struct pollfd){ gstk_runtime_fd(), POLLIN, 0 };
	EXPECT_EQ(0, poll(&p, 1, 0));
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(gstk_spawn(&t, count_me, NULL, i == 1 ? &pinned : NULL), 0);
		EXPECT_EQ(1, poll(&p, 1, 5000));
		EXPECT_EQ(1, gstk_run_once(0));
		EXPECT_EQ(0, poll(&p, 1, 0));
		CHECK_EQ(gstk_join(t, NULL), 0);
	}
	CHECK_EQ(gstk_spawn(&t, wait_for_it, &sem, NULL), 0);
	CHECK_EQ(gstk_spawn(&idle, forever, NULL, NULL), 0);
	gstk_run_once(0);
	EXPECT_EQ(0, poll(&p, 1, 0));
	CHECK_EQ(gstk_sem_post(&sem, 1), 0);
	EXPECT_EQ(1, poll(&p, 1, 5000));
	EXPECT_EQ(1, gstk_run_once(0));
	CHECK_EQ(gstk_join(t, NULL), 0);
	CHECK_EQ(gstk_timer_create(&timer), 0);
	CHECK_EQ(gstk_timer_set(timer, gstk_now() + 20 * MS, 0), 0);
	for (int i = 0; i < 3 && !gstk_chan_len(gstk_timer_chan(timer)); i++) {
		EXPECT_EQ(1, poll(&p, 1, 5000));
		EXPECT_EQ(0, gstk_run_once(0));
	}
	EXPECT_EQ(1, gstk_chan_len(gstk_timer_chan(timer)));
	CHECK_EQ(gstk_timer_destroy(timer), 0);
	EXPECT_EQ(-ETIMEDOUT, gstk_shutdown(GSTK_SHUTDOWN_JOIN, gstk_now() + MS));
	EXPECT_EQ(0, poll(&p, 1, 0));
	CHECK_EQ(gstk_cancel(idle), 0);
	EXPECT_EQ(1, poll(&p, 1, 5000));
	EXPECT_EQ(1, gstk_run_once(0));
	CHECK_EQ(gstk_join(idle, NULL), 0);
	end();
}

static void *try_to_nest(void *arg)
{
	return (void *)(long)gstk_run_once(0);
}

static void *run_elsewhere(void *arg)
{
	CHECK_EQ(gstk_run_once(0), -EINVAL);
	CHECK_EQ(gstk_runtime_fd(), -EINVAL);
	return NULL;
}

TEST(only_its_own_thread_outside_tasks_may_run_it)
{
	pthread_t other;
	gstk_task *t;
	void *r;

	begin();
	pthread_create(&other, NULL, run_elsewhere, NULL);
	pthread_join(other, NULL);
	CHECK_EQ(gstk_spawn(&t, try_to_nest, NULL, NULL), 0);
	gstk_run_once(0);
	CHECK_EQ(gstk_join(t, &r), 0);
	EXPECT_EQ(-EINVAL, (long)r);
	end();
	ASSERT_EQ(0, gstk_init(NULL));
	EXPECT_EQ(-EINVAL, gstk_run_once(0));
	EXPECT_EQ(-EINVAL, gstk_runtime_fd());
	EXPECT_EQ(-EBUSY, gstk_init(NULL));
	end();
}

/* ---- again and again ---- */

static unsigned int entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A thread that was joined may be in /proc for a moment more. */
static bool no_more_threads_than(unsigned int nr)
{
	for (int ms = 0; entries("/proc/self/task") > nr; ms++) {
		if (ms == 30000)
			return false;
		usleep(1000);
	}
	return true;
}

static unsigned int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int n = 0;

	for (int c; (c = fgetc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static void *nap(void *arg)
{
	gstk_sleep(MS / 10);
	ran++;
	return NULL;
}

static void one_life(void)
{
	struct gstk_config two = { .size = sizeof(two), .workers = 2, .evict_idle_ns = MS };

	CHECK_EQ(gstk_init(&two), 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(gstk_spawn(NULL, nap, NULL, NULL), 0);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
}

TEST(a_hundred_lives_leave_no_descriptor_mapping_or_thread)
{
	unsigned int fds, maps, threads;

	if (EMULATED())
		SKIP(return, "an emulator has mappings of its own");
	ran = 0;
	for (int i = 0; i < 5; i++)
		one_life();
	fds = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	maps = mappings();
	for (int i = 0; i < 95; i++)
		one_life();
	EXPECT_EQ(2000, ran);
	EXPECT_EQ(fds, entries("/proc/self/fd"));
	EXPECT_TRUE(no_more_threads_than(threads));
	if (!UNDER_ASAN && !UNDER_TSAN) /* they map as they like */
		EXPECT_GE(maps + 8, mappings()); /* malloc's arenas come late */
}

/* ---- when it is not there ---- */

static void *nothing(void *arg)
{
	return arg;
}

static void expect_none(void)
{
	static gstk_mutex mutex = GSTK_MUTEX_INIT;
	static gstk_sem sem = GSTK_SEM_INIT(0);
	struct gstk_stats st = { .size = sizeof(st) };
	gstk_task *t = NULL;
	gstk_chan *c;
	char byte;
	int fds[2], v = 1;

	CHECK_EQ(gstk_spawn(&t, nothing, NULL, NULL), -ESRCH);
	CHECK(!gstk_self());
	CHECK_EQ(gstk_sleep(MS), -ESRCH);
	CHECK_EQ(gstk_mutex_lock(&mutex), -ESRCH);
	CHECK_EQ(gstk_sem_wait(&sem), -ESRCH);
	CHECK_EQ(gstk_chan_create(&c, sizeof(int), 0), 0);
	CHECK_EQ(gstk_chan_send(c, &v), -ESRCH);
	CHECK_EQ(gstk_chan_recv(c, &v), -ESRCH);
	gstk_chan_destroy(c);
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(gstk_read(fds[0], &byte, 1), -ESRCH);
	close(fds[0]);
	close(fds[1]);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), -EINVAL);
	CHECK_EQ(gstk_run_once(0), -EINVAL);
	CHECK_EQ(gstk_runtime_fd(), -EINVAL);
	gstk_stats(&st);
	CHECK_EQ(st.tasks, 0);
	gstk_yield();
}

TEST(before_and_after_a_runtime_calls_say_that_there_is_none)
{
	expect_none();
	one_life();
	expect_none();
	one_life();
}

/* The exit status of a child in which the calls were made; from a task, and from a thread. */
static void *fork_and_look(void *arg)
{
	gstk_task *self = gstk_self();
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		alarm(20);
		expect_none();
		CHECK_EQ(gstk_cancel(self), self ? -ESRCH : -EINVAL);
		CHECK_EQ(gstk_init(NULL), -ENOTSUP);
		_exit(23);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	return (void *)(long)WEXITSTATUS(status);
}

static void fork_everywhere(void)
{
	pthread_t other;
	void *r;

	CHECK_EQ(finish(start(fork_and_look, NULL)), 23);
	pthread_create(&other, NULL, fork_and_look, NULL);
	pthread_join(other, &r);
	CHECK_EQ((long)r, 23);
	/* And here it is as before. */
	CHECK_EQ(finish(start(nothing, (void *)7)), 7);
}

TEST(in_a_child_of_fork_there_is_no_runtime)
{
	with_workers(2, fork_everywhere);
}

static void *return_in_child(void *arg)
{
	pid_t pid = fork();

	return (void *)(long)pid;
}

static void fork_and_return(void)
{
	pid_t pid = (pid_t)finish(start(return_in_child, NULL));
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void forks_and_returns(void) { with_workers(2, fork_and_return); }

TEST(a_task_that_returns_in_a_child_of_fork_is_told_so)
{
	EXPECT_EQ(0, in_child(forks_and_returns)) TH_LOG("%s", report);
	EXPECT_TRUE(reported("returned in a child of fork()"));
}

/* ---- static initialisers ---- */

static gstk_mutex static_mutex = GSTK_MUTEX_INIT;
static gstk_sem static_sem = GSTK_SEM_INIT(2);
static gstk_once static_once = GSTK_ONCE_INIT;
static gstk_rwlock static_rwlock = GSTK_RWLOCK_INIT;
static gstk_cond static_cond = GSTK_COND_INIT;
static gstk_waitgroup static_group = GSTK_WAITGROUP_INIT;

static void first(void *arg)
{
	ran++;
}

static void use_statics(void)
{
	CHECK_EQ(gstk_mutex_lock(&static_mutex), 0);
	CHECK_EQ(gstk_cond_wait_until(&static_cond, &static_mutex, gstk_now() + MS), -ETIMEDOUT);
	CHECK_EQ(gstk_mutex_unlock(&static_mutex), 0);
	CHECK_EQ(gstk_sem_wait(&static_sem), 0);
	CHECK_EQ(gstk_sem_wait(&static_sem), 0);
	CHECK_EQ(gstk_sem_wait_until(&static_sem, gstk_now() + MS), -ETIMEDOUT);
	gstk_sem_post(&static_sem, 2);
	CHECK_EQ(gstk_rwlock_read_lock(&static_rwlock), 0);
	CHECK_EQ(gstk_rwlock_read_unlock(&static_rwlock), 0);
	CHECK_EQ(gstk_waitgroup_wait(&static_group), 0);
	gstk_once_run(&static_once, first, NULL);
	gstk_once_run(&static_once, first, NULL);
}

TEST(static_objects_work_in_every_life)
{
	ran = 0;
	with_workers(1, use_statics);
	with_workers(2, use_statics);
	EXPECT_EQ(1, ran);
}

static pthread_barrier_t between;

static void *lives_longer(void *arg)
{
	CHECK_EQ(gstk_mutex_lock(&static_mutex), 0);
	CHECK_EQ(gstk_mutex_unlock(&static_mutex), 0);
	pthread_barrier_wait(&between);
	pthread_barrier_wait(&between);
	return NULL;
}

static void *receives(void *arg)
{
	return (void *)(long)gstk_chan_recv(chan, NULL);
}

/* It stood for a task of the first, and must not end one of the second. */
TEST(a_thread_may_end_in_a_later_life_than_it_began)
{
	const struct gstk_config one = { .size = sizeof(one), .workers = 1 };
	gstk_task *t[200], *more;
	pthread_t other;

	pthread_barrier_init(&between, NULL, 2);
	CHECK_EQ(gstk_init(&one), 0);
	pthread_create(&other, NULL, lives_longer, NULL);
	pthread_barrier_wait(&between);
	end();
	CHECK_EQ(gstk_init(&one), 0);
	CHECK_EQ(gstk_chan_create(&chan, 0, 0), 0);
	for (int i = 0; i < 200; i++)
		CHECK_EQ(gstk_spawn(&t[i], receives, NULL, NULL), 0);
	usleep(20000);
	pthread_barrier_wait(&between);
	pthread_join(other, NULL);
	CHECK_EQ(gstk_spawn(&more, receives, NULL, NULL), 0);
	for (int i = 0; i < 200; i++)
		CHECK(more != t[i]);
	end();
	gstk_chan_destroy(chan);
}

TEST(a_timer_of_a_former_life_is_stopped_and_can_be_set_again)
{
	gstk_timer *former, *later;
	uint64_t due, n;

	CHECK_EQ(gstk_init(NULL), 0);
	CHECK_EQ(gstk_timer_create(&former), 0);
	due = gstk_now() + 300 * MS;
	CHECK_EQ(gstk_timer_set(former, due, 0), 0);
	end();
	CHECK_EQ(gstk_init(NULL), 0);
	CHECK_EQ(gstk_timer_create(&later), 0);
	CHECK_EQ(gstk_timer_set(later, due, 0), 0);
	CHECK_EQ(gstk_timer_stop(former), 0); /* does not take the other with it */
	CHECK_EQ(gstk_chan_recv_until(gstk_timer_chan(later), &n, gstk_now() + 10000 * MS), 0);
	CHECK_EQ(gstk_chan_try_recv(gstk_timer_chan(former), &n), -EAGAIN);
	CHECK_EQ(gstk_timer_set(former, gstk_now() + MS, 0), 0);
	CHECK_EQ(gstk_chan_recv_until(gstk_timer_chan(former), &n, gstk_now() + 10000 * MS), 0);
	CHECK_EQ(gstk_timer_destroy(former), 0);
	CHECK_EQ(gstk_timer_destroy(later), 0);
	end();
}

static void *begins_and_ends(void *arg)
{
	const struct gstk_config two = { .size = sizeof(two), .workers = 2 };

	for (unsigned long i = 0; i < scaled(50); i++) {
		int err = gstk_init(&two);

		CHECK(!err || err == -EBUSY);
		err = gstk_shutdown(GSTK_SHUTDOWN_CANCEL, gstk_now() + 20000 * MS);
		CHECK(!err || err == -EBUSY || err == -EINVAL);
	}
	return NULL;
}

TEST(threads_that_begin_and_end_it_do_not_meet)
{
	pthread_t other[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&other[i], NULL, begins_and_ends, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(other[i], NULL);
	CHECK_EQ(gstk_init(&embedded), 0);
	EXPECT_EQ(-EINVAL, gstk_shutdown((enum gstk_shutdown_mode)7, GSTK_NEVER));
	end();
}

static void *ends_it(void *arg)
{
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), -EPERM);
	return NULL;
}

TEST(only_its_own_thread_may_end_it)
{
	pthread_t other;

	begin();
	pthread_create(&other, NULL, ends_it, NULL);
	pthread_join(other, NULL);
	EXPECT_EQ(0, gstk_run_once(0));
	end();
}

static gstk_mutex held = GSTK_MUTEX_INIT;

static void *waits_for_all(void *arg)
{
	struct gstk_case cs = { .chan = chan, .op = GSTK_CASE_RECV };

	switch ((long)arg) {
	case 0:
		CHECK_EQ(gstk_chan_recv(chan, NULL), -ECANCELED);
		break;
	case 1:
		CHECK_EQ(gstk_mutex_lock(&held), -ECANCELED);
		break;
	case 2:
		CHECK_EQ(gstk_select(&cs, 1, GSTK_NEVER), -ECANCELED);
		break;
	case 3:
		CHECK_EQ(gstk_sleep_until(GSTK_NEVER), -ECANCELED);
		break;
	case 4:
		CHECK_EQ(gstk_read(pipe_fd[0], &cs, 1), -ECANCELED);
		break;
	}
	return NULL;
}

TEST(threads_that_still_wait_are_cancelled_and_let_go_of_everything)
{
	pthread_t other[15];

	for (int life = 0; life < 20; life++) {
		CHECK_EQ(gstk_init(NULL), 0);
		CHECK_EQ(gstk_chan_create(&chan, 0, 0), 0);
		CHECK_EQ(pipe(pipe_fd), 0);
		CHECK_EQ(gstk_mutex_lock(&held), 0);
		for (long i = 0; i < 15; i++)
			pthread_create(&other[i], NULL, waits_for_all, (void *)(i % 5));
		while (atomic_load(&gstk__sched.foreign_waits) < 15)
			usleep(100);
		CHECK_EQ(gstk_shutdown(life % 2 ? GSTK_SHUTDOWN_JOIN : GSTK_SHUTDOWN_CANCEL, GSTK_NEVER), 0);
		CHECK_EQ(gstk_chan_close(chan), 0);
		CHECK_EQ(gstk_chan_destroy(chan), 0);
		held = (gstk_mutex)GSTK_MUTEX_INIT;
		for (int i = 0; i < 15; i++)
			pthread_join(other[i], NULL);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
	}
}

TEST_HARNESS_MAIN
