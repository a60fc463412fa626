// SPDX-License-Identifier: MIT
/* The interposed pthread locks, between tasks and between tasks and threads. */
#include <semaphore.h>
#include "preload_test.h"

static pthread_mutex_t m;
static pthread_cond_t c;
static pthread_rwlock_t l;
static sem_t sem;
static long counter;

static void mutex_of_type(int type)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	CHECK_EQ(pthread_mutex_init(&m, &a), 0);
	counter = 0;
}

static void count_slowly(void)
{
	long was = counter;

	usleep(200); /* its holder parks */
	counter = was + 1;
}

static void *lock_and_count(void *arg)
{
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(pthread_mutex_lock(&m), 0);
		count_slowly();
		CHECK_EQ(pthread_mutex_unlock(&m), 0);
	}
	return NULL;
}

WAIT_TEST(a_mutex_excludes_tasks_whose_holder_parks)
{
	static const int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
				     PTHREAD_MUTEX_ADAPTIVE_NP };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		mutex_of_type(types[i]);
		all_of(20, lock_and_count);
		CHECK_EQ(counter, 200);
	}
}

WAIT_TEST(a_mutex_excludes_tasks_and_threads)
{
	static const int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK };
	pthread_t th[2];

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		mutex_of_type(types[i]);
		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_create(&th[k], NULL, lock_and_count, NULL), 0);
		all_of(10, lock_and_count);
		for (int k = 0; k < 2; k++)
			CHECK_EQ(pthread_join(th[k], NULL), 0);
		CHECK_EQ(counter, 120);
	}
}

static void *try_and_unlock(void *arg)
{
	CHECK_EQ(pthread_mutex_trylock(&m), EBUSY);
	CHECK_EQ(pthread_mutex_unlock(&m), EPERM);
	return NULL;
}

/* Of libc's the owner would be the worker's thread. */
WAIT_TEST(the_owner_of_a_recursive_or_checking_mutex_is_the_task)
{
	mutex_of_type(PTHREAD_MUTEX_RECURSIVE);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(i ? pthread_mutex_trylock(&m) : pthread_mutex_lock(&m), 0);
	all_of(4, try_and_unlock);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_mutex_unlock(&m), 0);
	CHECK_EQ(pthread_mutex_unlock(&m), EPERM);
	mutex_of_type(PTHREAD_MUTEX_ERRORCHECK);
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	CHECK_EQ(pthread_mutex_lock(&m), EDEADLK);
	CHECK_EQ(pthread_mutex_trylock(&m), EBUSY);
	all_of(4, try_and_unlock);
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	CHECK_EQ(pthread_mutex_destroy(&m), 0);
}

static void *hog(void *arg)
{
	uint64_t until = gstk_now() + 2 * MS;

	while (gstk_now() < until)
		;
	return NULL;
}

/* Wait behind somebody who computes, until the other worker takes us over. */
static void change_worker(void)
{
	int on = gstk_worker();

	for (int i = 0; i < 2000 && gstk_worker() == on; i++) {
		CHECK_EQ(gstk_spawn(NULL, hog, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_SHARED)), 0);
		gstk_yield();
	}
	CHECK(gstk_worker() != on);
}

static void *lock_on_the_way(void *arg)
{
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(pthread_mutex_lock(&m), 0);
		change_worker();
		CHECK_EQ(pthread_mutex_unlock(&m), 0);
		CHECK_EQ(pthread_mutex_trylock(&m), 0);
		CHECK_EQ(pthread_mutex_unlock(&m), 0);
		CHECK_EQ(pthread_rwlock_wrlock(&l), 0);
		change_worker();
		CHECK_EQ(pthread_rwlock_unlock(&l), 0);
		CHECK_EQ(pthread_rwlock_trywrlock(&l), 0);
		CHECK_EQ(pthread_rwlock_unlock(&l), 0);
	}
	return NULL;
}

static void changing_workers(void)
{
	gstk_task *t;

	mutex_of_type(PTHREAD_MUTEX_RECURSIVE);
	pthread_rwlock_init(&l, NULL);
	CHECK_EQ(gstk_spawn(&t, lock_on_the_way, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_SHARED)), 0);
	finish(t);
}

TEST(locks_go_with_a_task_that_changes_workers)
{
	with_workers(2, changing_workers);
}

static void soon(struct timespec *ts, clockid_t clock)
{
	clock_gettime(clock, ts);
	ts->tv_nsec += 5000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_nsec -= 1000000000;
		ts->tv_sec++;
	}
}

static _Atomic int holds;

static void *hold(void *arg)
{
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	CHECK_EQ(pthread_rwlock_wrlock(&l), 0);
	atomic_store(&holds, 1);
	sem_wait(&sem);
	CHECK_EQ(pthread_rwlock_unlock(&l), 0);
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	return NULL;
}

WAIT_TEST(waits_with_a_deadline_time_out)
{
	struct timespec ts;
	gstk_task *t;

	mutex_of_type(PTHREAD_MUTEX_NORMAL);
	pthread_rwlock_init(&l, NULL);
	sem_init(&sem, 0, 0);
	t = start(hold, NULL);
	wait_for_flag(&holds);
	soon(&ts, CLOCK_REALTIME);
	CHECK_EQ(pthread_mutex_timedlock(&m, &ts), ETIMEDOUT);
	soon(&ts, CLOCK_MONOTONIC);
	CHECK_EQ(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &ts), ETIMEDOUT);
	soon(&ts, CLOCK_REALTIME);
	CHECK_EQ(pthread_rwlock_timedrdlock(&l, &ts), ETIMEDOUT);
	soon(&ts, CLOCK_MONOTONIC);
	CHECK_EQ(pthread_rwlock_clockwrlock(&l, CLOCK_MONOTONIC, &ts), ETIMEDOUT);
	/* Long past, and no time at all. */
	ts = (struct timespec){ .tv_sec = (time_t)INT64_MIN };
	CHECK_EQ(pthread_mutex_timedlock(&m, &ts), ETIMEDOUT);
	CHECK_EQ(pthread_rwlock_timedwrlock(&l, &ts), ETIMEDOUT);
	CHECK_EQ(sem_timedwait(&sem, &ts), -1);
	CHECK_EQ(errno, ETIMEDOUT);
	ts.tv_nsec = -1;
	CHECK_EQ(pthread_mutex_timedlock(&m, &ts), EINVAL);
	CHECK_EQ(pthread_rwlock_timedrdlock(&l, &ts), EINVAL);
	sem_post(&sem);
	finish(t);
	CHECK_EQ(pthread_mutex_timedlock(&m, &ts), 0); /* which is not looked at who need not wait */
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	CHECK_EQ(pthread_rwlock_timedrdlock(&l, &ts), 0);
	CHECK_EQ(pthread_rwlock_unlock(&l), 0);
	soon(&ts, CLOCK_REALTIME);
	CHECK_EQ(sem_timedwait(&sem, &ts), -1);
	CHECK_EQ(errno, ETIMEDOUT);
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	soon(&ts, CLOCK_REALTIME);
	CHECK_EQ(pthread_cond_timedwait(&c, &m, &ts), ETIMEDOUT);
	soon(&ts, CLOCK_MONOTONIC);
	CHECK_EQ(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &ts), ETIMEDOUT);
	CHECK_EQ(pthread_mutex_trylock(&m), EBUSY); /* and the mutex is held again */
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
}

static int turn, players;

/* Ball games: a lost signal stops them. */
static void *play(void *arg)
{
	int me = (int)(long)arg;

	CHECK_EQ(pthread_mutex_lock(&m), 0);
	for (int i = 0; i < 300; i++) {
		while (turn % players != me)
			CHECK_EQ(pthread_cond_wait(&c, &m), 0);
		turn++;
		CHECK_EQ(players == 2 ? pthread_cond_signal(&c) : pthread_cond_broadcast(&c), 0);
	}
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	return NULL;
}

WAIT_TEST(no_signal_is_lost_between_tasks_and_threads)
{
	pthread_t th[2];

	mutex_of_type(PTHREAD_MUTEX_NORMAL);
	pthread_cond_init(&c, NULL);
	turn = 0;
	players = 2;
	all_of(2, play);
	turn = 0;
	CHECK_EQ(pthread_create(&th[0], NULL, play, (void *)1), 0);
	finish(start(play, (void *)0));
	CHECK_EQ(pthread_join(th[0], NULL), 0);
	/* Four, half of them threads. */
	turn = 0;
	players = 4;
	CHECK_EQ(pthread_create(&th[0], NULL, play, (void *)2), 0);
	CHECK_EQ(pthread_create(&th[1], NULL, play, (void *)3), 0);
	all_of(2, play);
	CHECK_EQ(pthread_join(th[0], NULL), 0);
	CHECK_EQ(pthread_join(th[1], NULL), 0);
}

static void *read_lock(void *arg)
{
	for (int i = 0; i < 20; i++) {
		long was;

		CHECK_EQ(pthread_rwlock_rdlock(&l), 0);
		was = counter;
		usleep(100);
		CHECK_EQ(counter, was);
		CHECK_EQ(pthread_rwlock_unlock(&l), 0);
		usleep(10);
	}
	return NULL;
}

static void *write_lock(void *arg)
{
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(pthread_rwlock_wrlock(&l), 0);
		count_slowly();
		CHECK_EQ(pthread_rwlock_unlock(&l), 0);
	}
	return NULL;
}

static void *read_or_write(void *arg)
{
	return (long)arg % 4 ? read_lock(NULL) : write_lock(NULL);
}

WAIT_TEST(a_rwlock_excludes_writers)
{
	pthread_t th;

	counter = 0;
	pthread_rwlock_init(&l, NULL);
	CHECK_EQ(pthread_create(&th, NULL, write_lock, NULL), 0);
	all_of(12, read_or_write);
	CHECK_EQ(pthread_join(th, NULL), 0);
	CHECK_EQ(counter, 20);
}

static void *take_one(void *arg)
{
	CHECK_EQ(sem_wait(&sem), 0);
	__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *post_many(void *arg)
{
	for (int i = 0; i < 50; i++) {
		usleep(100);
		CHECK_EQ(sem_post(&sem), 0);
	}
	return NULL;
}

WAIT_TEST(a_semaphore_counts_between_tasks_and_threads)
{
	pthread_t th;
	gstk_task *t;

	counter = 0;
	sem_init(&sem, 0, 0);
	CHECK_EQ(pthread_create(&th, NULL, post_many, NULL), 0);
	t = start(post_many, NULL);
	all_of(100, take_one);
	CHECK_EQ(counter, 100);
	finish(t);
	CHECK_EQ(pthread_join(th, NULL), 0);
	CHECK_EQ(sem_trywait(&sem), -1);
}

static void *thread_of(void *arg)
{
	usleep(500000);
	return arg;
}

static void *join_one(void *arg)
{
	pthread_t th;
	void *r;

	CHECK_EQ(pthread_create(&th, NULL, thread_of, arg), 0);
	CHECK_EQ(pthread_join(th, &r), 0);
	CHECK_EQ((long)r, (long)arg);
	return NULL;
}

WAIT_TEST(threads_are_joined_while_others_run)
{
	uint64_t from = gstk_now();

	all_of(120, join_one); /* one after another 60 s, on two workers 30 */
	CHECK(gstk_now() - from < 20000 * MS);
}

static void *end_at(void *arg)
{
	sem_wait(&sem);
	return arg;
}

WAIT_TEST(a_join_with_a_deadline_times_out)
{
	struct timespec ts;
	pthread_t th;
	void *r;

	sem_init(&sem, 0, 0);
	CHECK_EQ(pthread_create(&th, NULL, end_at, (void *)5), 0);
	soon(&ts, CLOCK_REALTIME);
	CHECK_EQ(pthread_timedjoin_np(th, &r, &ts), ETIMEDOUT);
	soon(&ts, CLOCK_MONOTONIC);
	CHECK_EQ(pthread_clockjoin_np(th, &r, CLOCK_MONOTONIC, &ts), ETIMEDOUT);
	sem_post(&sem);
	CHECK_EQ(pthread_join(th, &r), 0);
	CHECK_EQ((long)r, 5);
	CHECK_EQ(pthread_join(pthread_self(), &r), EDEADLK);
}

static pthread_barrier_t barrier;

static void *meet(void *arg)
{
	for (int i = 0; i < 5; i++) {
		__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED);
		CHECK(counter >= (i + 1) * 13);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* A task that arrives must not keep the others of its worker from arriving. */
WAIT_TEST(tasks_and_threads_meet_at_a_barrier)
{
	pthread_t th;

	counter = turn = 0;
	CHECK_EQ(pthread_barrier_init(&barrier, NULL, 13), 0);
	CHECK_EQ(pthread_create(&th, NULL, meet, NULL), 0);
	all_of(12, meet);
	CHECK_EQ(pthread_join(th, NULL), 0);
	CHECK_EQ(counter, 65);
	CHECK_EQ(turn, 5);
	CHECK_EQ(pthread_barrier_destroy(&barrier), 0);
}

static void *locks_canceled(void *arg)
{
	CHECK_EQ(pthread_mutex_lock(&m), 0); /* cannot fail, so it waits */
	CHECK(gstk_canceled());
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	CHECK_EQ(sem_wait(&sem), -1);
	CHECK_EQ(errno, ECANCELED);
	return NULL;
}

WAIT_TEST(a_cancel_ends_no_wait_for_a_mutex_but_that_for_a_semaphore)
{
	gstk_task *t;

	mutex_of_type(PTHREAD_MUTEX_NORMAL);
	sem_init(&sem, 0, 0);
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	t = start(locks_canceled, NULL);
	usleep(3000);
	gstk_cancel(t);
	usleep(20000);
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	finish(t);
}

/* ---- from handlers, and in children ---- */

static sem_t posted;
static _Atomic int posts;
static _Atomic bool enough;

static void posts_it(int sig)
{
	int saved = errno;

	if (sem_post(&posted) == 0)
		posts++;
	errno = saved;
}

static void *ball(void *arg)
{
	gstk_chan **way = arg;
	uint64_t v;

	while (!gstk_chan_recv(way[0], &v))
		CHECK_EQ(gstk_chan_send(way[1], &v), 0);
	return NULL;
}

static void *serves(void *arg)
{
	gstk_chan **way = arg;
	uint64_t v;

	for (uint64_t k = 0; !enough; k++) {
		CHECK_EQ(gstk_chan_send(way[0], &k), 0);
		CHECK_EQ(gstk_chan_recv(way[1], &v), 0);
		CHECK_EQ(v, k);
	}
	CHECK_EQ(gstk_chan_close(way[0]), 0);
	return NULL;
}

/* sem_post() is for handlers, too: whatever that interrupts here, and while tasks wait. */
WAIT_TEST(a_handler_may_post)
{
	struct sigaction sa = { .sa_handler = posts_it, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct itimerspec each = { { 0, 50000 }, { 0, 50000 } };
	struct sigevent sev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	gstk_chan *ways[4][2];
	gstk_task *t[8];
	timer_t timer;
	int most = (int)scaled(20000), got = 0;

	enough = false;
	posts = 0;
	sem_init(&posted, 0, 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(gstk_chan_create(&ways[i][0], 8, 0), 0);
		CHECK_EQ(gstk_chan_create(&ways[i][1], 8, 0), 0);
		t[2 * i] = start(serves, ways[i]);
		t[2 * i + 1] = start(ball, ways[i]);
	}
	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &sev, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &each, NULL), 0);
	for (; got < most; got++)
		CHECK_EQ(sem_wait(&posted), 0);
	CHECK_EQ(timer_delete(timer), 0);
	enough = true;
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	while (!sem_trywait(&posted))
		got++;
	CHECK_EQ(got, posts);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(gstk_chan_destroy(ways[i / 2][i % 2]), 0);
}

static void *contends(void *arg)
{
	while (!enough) {
		CHECK_EQ(pthread_mutex_lock(&m), 0);
		CHECK_EQ(pthread_mutex_unlock(&m), 0);
		gstk_yield();
	}
	return NULL;
}

/* Where waiters are looked for by the address: parking.c. */
static uint64_t bucket(const void *addr)
{
	return ((uintptr_t)addr >> 3) * 0x9e3779b97f4a7c15ull >> 56;
}

/* Looks for waiters all the time among those that wait for m. */
static void *signals(void *arg)
{
	static pthread_cond_t conds[8192];
	pthread_cond_t *near = conds;

	while (near < conds + 8191 && bucket(near) != bucket(&m))
		near++;
	while (!enough)
		CHECK_EQ(pthread_cond_signal(near), 0);
	return NULL;
}

/* As handlers of pthread_atfork() do, while tasks wait for that mutex and others are woken. */
WAIT_TEST(a_child_unlocks_what_its_parents_tasks_wait_for)
{
	pthread_t thread;
	gstk_task *t[4];

	enough = false;
	mutex_of_type(PTHREAD_MUTEX_NORMAL);
	CHECK_EQ(pthread_create(&thread, NULL, signals, NULL), 0);
	for (int i = 0; i < 4; i++)
		t[i] = start(contends, NULL);
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t pid;

		CHECK_EQ(pthread_mutex_lock(&m), 0);
		gstk_sleep(MS); /* the others wait */
		pid = fork();
		if (!pid) {
			alarm(10);
			_exit(pthread_mutex_unlock(&m));
		}
		CHECK_EQ(pthread_mutex_unlock(&m), 0);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
	enough = true;
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST_HARNESS_MAIN
