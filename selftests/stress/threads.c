// SPDX-License-Identifier: MIT
/*
 * Threads of the application beside the workers, and races with them that are made wide: each case pauses at one
 * injection point, each time. (The library is built with these.)
 */
#include "../lib/wait_test.h"

#include <poll.h>
#include "debug/look.h"
#include "park/sweep_batch.h"
#include "sched/start.h"
#include "sched/worker.h"

static void pause_at(const char *point)
{
	CHECK_EQ(setenv("GREENSTK_INJECT", point, 1), 0); /* in the child that runs the case */
	alarm(120);
}

/* ---- a thread joins a task and ends: its place among the tasks is the next one's ---- */

static _Atomic long ran, spawned;
static _Atomic bool over;

static void *counts(void *arg)
{
	ran++;
	return NULL;
}

static void *spawner(void *arg)
{
	while (!over) {
		for (int i = 0; i < 20; i++, spawned++)
			CHECK_EQ(gstk_spawn(NULL, counts, NULL, NULL), 0);
		while (ran < spawned - 20 && !over)
			usleep(20);
	}
	return NULL;
}

/* Not over before its thread waits, and not so late that this sleeps: how long that is depends. */
static void *soon(void *arg)
{
	static uint32_t seed = 1;

	for (uint64_t end = gstk_now() + rnd(&seed) % 30000; gstk_now() < end;)
		;
	return arg;
}

static enum gstk_progress soon_poll(gstk_future *f, void *state)
{
	return gstk_future_done(f, soon((void *)5l));
}

static void *joiner(void *arg)
{
	static const struct gstk_future_type type = { sizeof(type), "soon", 0, soon_poll, NULL };
	gstk_task *t;

	if (arg)
		CHECK_EQ(gstk_future_spawn(&t, &type, NULL), 0);
	else
		CHECK_EQ(gstk_spawn(&t, soon, (void *)5l, NULL), 0);
	CHECK_EQ(finish(t), 5);
	return NULL;
}

static void joins_and_ends(void *stackless)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };
	pthread_t other, t;

	pause_at("joinable");
	CHECK_EQ(gstk_init(&config), 0);
	CHECK_EQ(pthread_create(&other, NULL, spawner, NULL), 0);
	for (int i = 0; i < 4000; i++) {
		CHECK_EQ(pthread_create(&t, NULL, joiner, stackless), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
	}
	over = true;
	CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, gstk_now() + 30000 * MS), 0);
	CHECK_EQ(ran, spawned);
}

TEST(a_thread_that_joined_a_task_may_end_at_once)
{
	joins_and_ends(NULL);
}

TEST(a_thread_that_joined_a_stackless_task_may_end_at_once)
{
	joins_and_ends(&over);
}

/* ---- a task that is taken by its index is a thread's stand-in, and its thread goes on and ends ---- */

static _Atomic long taken;

static void look_at(struct gstk__looker *l, uint32_t i)
{
	struct gstk__look k;

	taken += gstk__look(l, i, true, &k) && k.foreign && !k.busy;
}

/* As if the last window had been a task's, in whose place the thread is now. */
static void sweep_over(struct gstk__looker *l, uint32_t i)
{
	struct gstk__window *win = gstk__win((uint32_t)gstk__windows.nr);
	struct gstk_task *r;

	__atomic_store_n(&win->resident, i, __ATOMIC_RELAXED);
	atomic_store(&win->word, GSTK__WIN_SOLO);
	CHECK_EQ(gstk__batch_own((uint32_t)gstk__windows.nr, &r), 0);
	taken++;
}

static void *takes(void *how)
{
	struct gstk__looker *l = gstk__look_begin();

	CHECK(l != NULL);
	while (!over)
		for (uint32_t i = 1; i < atomic_load(&gstk__tasks_high); i++)
			if (gstk__flags(gstk__task(i)) & GSTK__T_FOREIGN)
				((void (*)(struct gstk__looker *, uint32_t))how)(l, i);
	gstk__look_end(l);
	return NULL;
}

static void *waits_and_ends(void *sem)
{
	CHECK_EQ(gstk_sem_wait(sem), 0);
	return NULL;
}

static void taken_by_index(void (*how)(struct gstk__looker *, uint32_t))
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .evict_idle_ns = 1000000 * MS };
	gstk_sem sem = GSTK_SEM_INIT(0);
	pthread_t other, taker, t;
	uint32_t seed = 3;

	pause_at("let_go");
	CHECK_EQ(gstk_init(&config), 0);
	CHECK_EQ(pthread_create(&other, NULL, spawner, NULL), 0);
	CHECK_EQ(pthread_create(&taker, NULL, takes, (void *)how), 0);
	for (int i = 0; i < 4000; i++) {
		CHECK_EQ(pthread_create(&t, NULL, waits_and_ends, &sem), 0);
		for (uint64_t end = gstk_now() + rnd(&seed) % 100000; gstk_now() < end;)
			;
		CHECK_EQ(gstk_sem_post(&sem, 1), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
	}
	over = true;
	CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(pthread_join(taker, NULL), 0);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, gstk_now() + 30000 * MS), 0);
	CHECK_EQ(ran, spawned);
	CHECK(taken > 1000);
}

TEST(a_thread_may_end_while_it_is_looked_at)
{
	taken_by_index(look_at);
}

TEST(a_thread_may_end_while_the_sweep_takes_it_for_a_task)
{
	taken_by_index(sweep_over);
}

/* ---- a worker is woken, but has been awake meanwhile and sleeps in another way ---- */

enum { WORKERS = 3 };

static gstk_sem ping[WORKERS], pong[WORKERS];
static _Atomic bool all_asked;

static void *answers(void *arg)
{
	long i = (long)arg;

	for (;;) {
		CHECK_EQ(gstk_sem_wait(&ping[i]), 0);
		if (all_asked)
			return NULL;
		CHECK_EQ(gstk_sem_post(&pong[i], 1), 0);
	}
}

static void *asks(void *arg)
{
	long i = (long)arg;
	uint32_t seed = 77 + (uint32_t)i;

	while (!over) {
		CHECK_EQ(gstk_sem_post(&ping[i], 1), 0);
		CHECK_EQ(gstk_sem_wait(&pong[i]), 0);
		if (rnd(&seed) % 4 == 0)
			usleep(rnd(&seed) % 600);
	}
	return NULL;
}

/* Its worker comes out of the poller by itself. */
static void *sleeps(void *arg)
{
	uint32_t seed = 5;

	while (!over)
		gstk_sleep(rnd(&seed) % 800000);
	return NULL;
}

/* It sleeps, but others see it awake. For a moment that is so while it is woken. */
static bool unseen(const struct gstk__worker *w)
{
	char name[64], line[512], *state;
	ssize_t n;
	int fd;

	if (atomic_load(&w->futex))
		return false;
	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", w->tid);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		return false; /* its thread has not begun */
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n > 0 ? n : 0] = 0;
	state = strrchr(line, ')');
	return state && state[2] == 'S' && !atomic_load(&w->futex);
}

TEST(a_worker_that_sleeps_is_seen_to_sleep)
{
	struct gstk_config config = { .size = sizeof(config), .workers = WORKERS, .flags = GSTK_NO_SWEEP };
	uint64_t switches[WORKERS] = { 0 }, end;
	int since[WORKERS] = { 0 }, times = 0;
	gstk_task *t[WORKERS], *sleeper;
	pthread_t thread[WORKERS];

	pause_at("wake_worker");
	CHECK_EQ(gstk_init(&config), 0);
	for (long i = 0; i < WORKERS; i++) {
		CHECK_EQ(gstk_spawn(&t[i], answers, (void *)i, (GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PINNED, .worker = (uint32_t)i))), 0);
		CHECK_EQ(pthread_create(&thread[i], NULL, asks, (void *)i), 0);
	}
	sleeper = start(sleeps, NULL);
	for (end = gstk_now() + 4000 * MS; gstk_now() < end; usleep(1000)) {
		for (int i = 0; i < WORKERS; i++) {
			uint64_t now = __atomic_load_n(&gstk__sched.worker[i]->park.n.switches, __ATOMIC_RELAXED);

			since[i] = unseen(gstk__sched.worker[i]) && now == switches[i] ? since[i] + 1 : 0;
			switches[i] = now;
			times += since[i] == 8; /* who wakes it may be preempted, but not again and again for so long */
		}
	}
	over = true;
	for (int i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	all_asked = true;
	for (int i = 0; i < WORKERS; i++) {
		CHECK_EQ(gstk_sem_post(&ping[i], 1), 0);
		CHECK_EQ(finish(t[i]), 0);
	}
	finish(sleeper);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER), 0);
	if (times >= 10)
		fprintf(stderr, "# %d times\n", times);
	CHECK(times < 10);
}

/* ---- a timer is set while an embedded runtime is left ---- */

static gstk_timer *timer;
static _Atomic bool is_set;

static void *sets(void *arg)
{
	uint32_t seed = 9;

	while (!over) {
		if (!is_set) {
			usleep(rnd(&seed) % 300);
			is_set = true;
			CHECK_EQ(gstk_timer_set(timer, gstk_now() + MS, 0), 0);
		}
		usleep(10);
	}
	return NULL;
}

TEST(a_timer_set_while_the_runtime_is_left_makes_its_descriptor_readable)
{
	struct gstk_config config = { .size = sizeof(config), .flags = GSTK_EMBEDDED | GSTK_NO_SWEEP };
	struct pollfd p = { .events = POLLIN };
	uint64_t count, end;
	pthread_t t;
	bool set;

	pause_at("go_outside");
	CHECK_EQ(gstk_init(&config), 0);
	CHECK_EQ(gstk_timer_create(&timer), 0);
	p.fd = gstk_runtime_fd();
	CHECK(p.fd >= 0);
	CHECK_EQ(pthread_create(&t, NULL, sets, NULL), 0);
	for (end = gstk_now() + 2000 * MS; gstk_now() < end;) {
		CHECK(gstk_run_once(0) >= 0);
		if (gstk_chan_try_recv(gstk_timer_chan(timer), &count) == 0) {
			is_set = false;
			continue;
		}
		set = is_set;
		CHECK(poll(&p, 1, set ? 10000 : 0) == 1 || !set);
	}
	over = true;
	pthread_join(t, NULL);
	CHECK_EQ(gstk_timer_destroy(timer), 0);
	CHECK_EQ(gstk_shutdown(GSTK_SHUTDOWN_CANCEL, GSTK_NEVER), 0);
}

/* ---- a task that is cancelled has ended, and its place is another's ---- */

static struct gstk_task *_Atomic place;

/* As who cancels a scope: the tasks were marked while they lived. */
static void *wakes_too_late(void *arg)
{
	while (!over) {
		struct gstk_task *t = atomic_exchange(&place, NULL);

		if (t)
			gstk__cancel_wake(t);
	}
	return NULL;
}

static void *for_the_end(void *arg)
{
	return (void *)(long)gstk_sem_wait(arg);
}

static void *nothing(void *arg)
{
	return NULL;
}

static void ends_before(void)
{
	static gstk_sem end = GSTK_SEM_INIT(0);
	gstk_task *t[60], *first;
	int same = 0;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, wakes_too_late, NULL), 0);
	for (int i = 0; i < 60; i++) {
		first = start(nothing, NULL);
		gstk__cancel_mark(first);
		CHECK_EQ(finish(first), 0);
		place = first;
		for (uint64_t until = gstk_now() + 50000; place || gstk_now() < until;)
			;
		t[i] = start(for_the_end, &end);
		same += t[i] == first;
		gstk_yield();
		usleep(300);
	}
	over = true;
	pthread_join(thread, NULL);
	CHECK(same > 30);
	CHECK_EQ(gstk_sem_post(&end, 60), 0);
	for (int i = 0; i < 60; i++)
		CHECK_EQ(finish(t[i]), 0);
}

TEST(a_cancel_of_who_has_ended_does_not_reach_the_next)
{
	pause_at("cancel_seen");
	with_workers(1, ends_before);
}

/* ---- a descriptor is closed when its reader does not wait for it, but is about to ---- */

static void *reads(void *arg)
{
	char text[16];
	ssize_t n;

	while ((n = gstk_read((int)(long)arg, text, sizeof(text))) > 0)
		;
	return (void *)n;
}

static enum gstk_progress reads_poll(gstk_future *f, void *state)
{
	struct { long fd; char text[16]; } *s = state;
	int64_t r = gstk_await_result(f);

	return r < 0 ? gstk_future_done(f, (void *)r) : gstk_await_read(f, (int)s->fd, s->text, sizeof(s->text), GSTK_NEVER);
}

static void closes(void)
{
	static const struct gstk_future_type type = { sizeof(type), "reads", 24, reads_poll, NULL };
	struct { long fd; char text[16]; } state = { 0 };
	uint32_t seed = 3;

	for (int i = 0; i < 300; i++) {
		int p[2];
		gstk_task *t;
		void *r;

		CHECK_EQ(pipe(p), 0);
		state.fd = p[0];
		if (i % 2)
			t = start(reads, (void *)state.fd);
		else
			CHECK_EQ(gstk_future_spawn(&t, &type, &state), 0);
		for (int k = 0; k < 200; k++)
			CHECK_EQ(write(p[1], "something of two", 16), 16);
		for (uint64_t end = gstk_now() + rnd(&seed) % 300000; gstk_now() < end;)
			;
		CHECK_EQ(gstk_close(p[0]), 0);
		CHECK_EQ(gstk_join_until(t, &r, gstk_now() + 10000 * MS), 0);
		CHECK_EQ((long)r, -EBADF);
		CHECK_EQ(gstk_close(p[1]), 0);
	}
}

TEST(who_is_about_to_wait_for_a_descriptor_that_is_closed_is_told)
{
	pause_at("close");
	with_workers(2, closes);
}

TEST_HARNESS_MAIN
