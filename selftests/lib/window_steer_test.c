// SPDX-License-Identifier: MIT
/* Which window a task gets when there are fewer than tasks: seen from inside. */
#include "wait_test.h"
#include "sched/site.h"
#include "window/window.h"

static struct gstk_config config;
static uint32_t parents_window;
static _Atomic uint32_t nr_bound;
static gstk_sem go;

static uint32_t my_window(void)
{
	return gstk__win_index(gstk__win(((struct gstk_task *)gstk_self())->window));
}

static void run(void (*fn)(void), unsigned int workers, size_t windows)
{
	alarm(100);
	config = (struct gstk_config){ .size = sizeof(config), .workers = workers, .windows = windows };
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

static void wait_bound(uint32_t n)
{
	for (int ms = 0; nr_bound < n; ms++) {
		CHECK(ms < 30000);
		gstk_sleep(MS);
	}
}

/* ---- not the spawner's ---- */

static void *elsewhere(void *arg)
{
	CHECK(my_window() != parents_window);
	nr_bound++;
	CHECK_EQ(gstk_sem_wait(&go), 0);
	return NULL;
}

enum { CHILDREN = 200 };

static void *parent(void *arg)
{
	gstk_task **t = gstk_alloc(CHILDREN * sizeof(*t));

	parents_window = my_window();
	for (int i = 0; i < CHILDREN; i++) {
		CHECK_EQ(gstk_spawn(&t[i], elsewhere, NULL, NULL), 0);
		if (i % 8 == 7)
			gstk_yield();
	}
	while (nr_bound < CHILDREN)
		gstk_sleep(MS);
	CHECK_EQ(gstk_sem_post(&go, CHILDREN), 0);
	for (int i = 0; i < CHILDREN; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
	return NULL;
}

static void children_elsewhere(void)
{
	nr_bound = 0;
	go = (gstk_sem)GSTK_SEM_INIT(0);
	finish(start(parent, NULL));
}

TEST(a_task_is_not_bound_to_the_window_of_who_spawned_it)
{
	if (getenv("GREENSTK_WINDOWS"))
		SKIP(return, "the number of windows is the matter here");
	run(children_elsewhere, 1, 8);
	run(children_elsewhere, 2, 4);
}

/* ---- hogs ---- */

static _Atomic bool stop;
static _Atomic uint32_t private_hogs, shared_hogs;

static void *hog(void *arg)
{
	if (my_window() > gstk__windows.nr)
		private_hogs++;
	else
		shared_hogs++;
	nr_bound++;
	while (!stop) {
		uint64_t end = gstk_now() + 100000;

		while (gstk_now() < end)
			;
		gstk_yield();
	}
	return NULL;
}

static void *sleeper(void *arg)
{
	while (!stop)
		CHECK_EQ(gstk_sleep(MS), 0);
	return NULL;
}

static void hogs_get_their_own(void)
{
	struct gstk_stats s = { .size = sizeof(s) };
	gstk_task *t[9];
	int n = 0;

	stop = false;
	nr_bound = private_hogs = shared_hogs = 0;
	for (; n < 2; n++)
		t[n] = start(hog, NULL);
	for (; n < 6; n++)
		t[n] = start(sleeper, NULL);
	CHECK_EQ(private_hogs, 0);
	for (int ms = 0; !(gstk__sites.hogs & gstk__site_bit(t[0])); ms++) {
		CHECK(ms < 20000);
		gstk_sleep(MS);
	}
	for (; n < 9; n++)
		t[n] = start(hog, NULL);
	wait_bound(5);
	CHECK_EQ(gstk_stats(&s), 0);
	CHECK_EQ(private_hogs, 3);
	CHECK_EQ(shared_hogs, 2);
	CHECK_EQ(s.windows_earned, 3);
	CHECK_EQ(gstk__sites.earned, 3);
	stop = true;
	for (int i = 0; i < n; i++)
		finish(t[i]);
	CHECK_EQ(gstk__sites.earned, 0);
}

TEST(tasks_of_a_function_that_hogs_earn_windows_of_their_own)
{
	if (getenv("GREENSTK_WINDOWS"))
		SKIP(return, "the number of windows is the matter here");
	run(hogs_get_their_own, 2, 2);
}

/* ---- talkers ---- */

enum { PAIRS = 3 };
static gstk_chan *ping[PAIRS], *pong[PAIRS];
static _Atomic uint32_t at[PAIRS][2];

static void *left(void *arg)
{
	long i = (long)arg;
	uint32_t v = 0;

	at[i][0] = my_window();
	nr_bound++;
	while (!gstk_chan_send(ping[i], &v) && !gstk_chan_recv(pong[i], &v))
		;
	return NULL;
}

static void *right(void *arg)
{
	long i = (long)arg;
	uint32_t v;

	at[i][1] = my_window();
	nr_bound++;
	while (!gstk_chan_recv(ping[i], &v) && !gstk_chan_send(pong[i], &v))
		;
	return NULL;
}

static void *still(void *arg)
{
	nr_bound++;
	CHECK_EQ(gstk_sem_wait(&go), 0);
	return NULL;
}

/* The first pair has to share one of two windows' worth of room; a later one need not, and does not. */
static void talkers_keep_apart(void)
{
	gstk_task *t[2 * PAIRS + 8];
	int n = 0;

	nr_bound = 0;
	go = (gstk_sem)GSTK_SEM_INIT(0);
	for (int i = 0; i < PAIRS; i++) {
		CHECK_EQ(gstk_chan_create(&ping[i], 4, 0), 0);
		CHECK_EQ(gstk_chan_create(&pong[i], 4, 0), 0);
	}
	/* Every window is taken, so that what comes now shares. */
	for (; n < 8; n++)
		t[n] = start(still, NULL);
	wait_bound(8);
	/* As if they had been seen to talk: which pairs share a window is chance. */
	t[n++] = start(left, (void *)0L);
	t[n++] = start(right, (void *)0L);
	wait_bound(10);
	for (int i = 0; i < 16; i++)
		gstk__site_talked(t[8], t[9]);
	CHECK(gstk__sites.talkers & gstk__site_bit(t[8]));
	CHECK(gstk__sites.talkers & gstk__site_bit(t[9]));
	for (long i = 1; i < PAIRS; i++) {
		t[n++] = start(left, (void *)i);
		t[n++] = start(right, (void *)i);
	}
	wait_bound(8 + 2 * PAIRS);
	for (int i = 1; i < PAIRS; i++)
		for (int k = 0; k < 2; k++)
			for (int j = 0; j < i + 1; j++)
				for (int l = 0; l < 2; l++)
					CHECK((i == j && k == l) || at[i][k] != at[j][l]);
	for (int i = 0; i < PAIRS; i++) {
		gstk_chan_close(ping[i]);
		gstk_chan_close(pong[i]);
	}
	CHECK_EQ(gstk_sem_post(&go, 8), 0);
	for (int i = 0; i < n; i++)
		finish(t[i]);
	for (int i = 0; i < PAIRS; i++) {
		CHECK_EQ(gstk_chan_destroy(ping[i]), 0);
		CHECK_EQ(gstk_chan_destroy(pong[i]), 0);
	}
}

TEST(tasks_that_talk_are_bound_where_no_other_that_talks_is)
{
	if (getenv("GREENSTK_WINDOWS"))
		SKIP(return, "the number of windows is the matter here");
	run(talkers_keep_apart, 1, 8);
}

/* In one window all are mates: those that run by turns are found out. */
static void found_out(void)
{
	gstk_task *t[2];

	nr_bound = 0;
	CHECK_EQ(gstk_chan_create(&ping[0], 4, 0), 0);
	CHECK_EQ(gstk_chan_create(&pong[0], 4, 0), 0);
	t[0] = start(left, (void *)0L);
	t[1] = start(right, (void *)0L);
	for (int ms = 0; !(gstk__sites.talkers & gstk__site_bit(t[0])) || !(gstk__sites.talkers & gstk__site_bit(t[1])); ms++) {
		CHECK(ms < 20000);
		gstk_sleep(MS);
	}
	gstk_chan_close(ping[0]);
	gstk_chan_close(pong[0]);
	finish(t[0]);
	finish(t[1]);
	CHECK_EQ(gstk_chan_destroy(ping[0]), 0);
	CHECK_EQ(gstk_chan_destroy(pong[0]), 0);
}

TEST(mates_that_run_by_turns_are_found_out)
{
	if (getenv("GREENSTK_WINDOWS"))
		SKIP(return, "the number of windows is the matter here");
	run(found_out, 1, 1);
}

/* ---- private windows ---- */

static _Atomic bool deep_done;

static __attribute__((noinline)) void go_deep(void)
{
	volatile char junk[120 << 10];

	for (size_t i = 0; i < sizeof(junk); i += 4096)
		junk[i] = 1;
}

static void *deep_once(void *arg)
{
	go_deep();
	deep_done = true;
	CHECK_EQ(gstk_sem_wait(&go), 0);
	go_deep();
	return NULL;
}

static uint64_t trimmed_bytes(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s.trim_bytes;
}

static void wait_trimmed(uint64_t from)
{
	for (int ms = 0; trimmed_bytes() < from + (110 << 10); ms += 10) {
		CHECK(ms < 30000);
		gstk_sleep(10 * MS);
	}
}

static void private_trimmed(void)
{
	uint64_t before;
	gstk_task *t;

	go = (gstk_sem)GSTK_SEM_INIT(0);
	deep_done = false;
	before = trimmed_bytes();
	CHECK_EQ(gstk_spawn(&t, deep_once, NULL, GSTK_OPTS(gstk_spawn_opts, .flags = GSTK_PRIVATE)), 0);
	while (!deep_done)
		gstk_sleep(MS);
	wait_trimmed(before);
	before = trimmed_bytes();
	CHECK_EQ(gstk_sem_post(&go, 1), 0);
	finish(t); /* deep again, and ended: now all of its pages go */
	wait_trimmed(before);
}

TEST(dead_pages_of_private_windows_are_given_back)
{
	if (getenv("GREENSTK_WINDOWS"))
		SKIP(return, "the number of windows is the matter here");
	run(private_trimmed, 1, 8);
}

TEST_HARNESS_MAIN
