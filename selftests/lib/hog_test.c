// SPDX-License-Identifier: MIT
/* Tasks that never block, and their window mates: the quantum, and what is counted of it. */
#include "sched/worker.h"
#include "wait_test.h"

static _Atomic bool stop;
static _Atomic unsigned long hog_runs;

static void compute(uint64_t ns)
{
	for (uint64_t end = gstk_now() + ns; gstk_now() < end;)
		;
}

/*
 * How late a mate is, in runs of the hog: on a loaded machine times say little. The hog itself looks
 * when a mate was due.
 */
enum { SLEEPERS = 3, SLEEPS = 40 };
static _Atomic uint64_t due[SLEEPERS];
static unsigned long runs_when_due[SLEEPERS];
static unsigned long late[SLEEPERS * SLEEPS];
static unsigned int nr_late;

static void *hog(void *arg)
{
	volatile char deep[2 * GSTK__SHALLOW]; /* so a whole quantum is its */

	deep[0] = 0;
	while (!atomic_load(&stop)) {
		uint64_t now;

		compute((uint64_t)arg);
		now = gstk_now();
		atomic_fetch_add(&hog_runs, 1);
		for (int i = 0; i < SLEEPERS; i++)
			if (atomic_load(&due[i]) <= now && !runs_when_due[i])
				runs_when_due[i] = atomic_load(&hog_runs);
		gstk_yield();
	}
	return deep[0] ? &stop : NULL;
}

static void *sleeper(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, seed = me + 1;

	for (int i = 0; i < SLEEPS; i++) {
		uint64_t when = gstk_now() + 5 * MS + rnd(&seed) % (5 * MS);

		runs_when_due[me] = 0;
		atomic_store(&due[me], when);
		CHECK_EQ(gstk_sleep_until(when), 0);
		late[nr_late++] = runs_when_due[me] ? atomic_load(&hog_runs) - runs_when_due[me] : 0;
	}
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	return *(const unsigned long *)a < *(const unsigned long *)b ? -1 : 1;
}

/* A hog and its mates; none but they need the worker. */
static unsigned long p90_lateness(uint64_t run_ns)
{
	gstk_task *h = start(hog, (void *)run_ns), *s[SLEEPERS];

	for (int i = 0; i < SLEEPERS; i++)
		s[i] = start(sleeper, (void *)(uintptr_t)i);
	for (int i = 0; i < SLEEPERS; i++)
		finish(s[i]);
	atomic_store(&stop, true);
	finish(h);
	qsort(late, nr_late, sizeof(late[0]), by_size);
	return late[nr_late * 9 / 10];
}

static void *mates_main(void *arg)
{
	struct gstk_stats s = { .size = sizeof(s) };
	/* Three runs are a quantum. The timers' turn must come by time as well: after 61 runs is late. */
	unsigned long p90 = p90_lateness(300000);

	fprintf(stderr, "# p90 %lu runs late\n", p90);
	CHECK(p90 <= 8);
	CHECK_EQ(gstk_stats(&s), 0);
	CHECK(s.quantum_expiries > 0);
	CHECK(s.window_waits > 0);
	CHECK(s.hog_victims > 0);
	CHECK(s.hog_victims <= s.window_waits);
	CHECK(s.window_wait_p50_ns > 0);
	CHECK(s.window_wait_p50_ns <= s.window_wait_p99_ns);
	/* A percentile is the upper end of its bucket. */
	CHECK(s.window_wait_p99_ns <= s.window_wait_max_ns / 4 * 5 + 1000);
	CHECK(s.window_wait_max_ns > MS / 2 && s.window_wait_max_ns < 10000 * MS);
	/* The hog has its turn, too: a quantum at a time, not a run at a time. */
	CHECK(s.quantum_expiries < atomic_load(&hog_runs));
	return NULL;
}

TEST(mates_of_a_hog_wait_for_a_quantum_and_are_counted)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 1 };

	alarm(120);
	unsetenv("GREENSTK_WINDOWS"); /* all must be mates */
	ASSERT_EQ(gstk_main(mates_main, NULL, NULL, &config), 0);
}

static gstk_sem go = GSTK_SEM_INIT(0);
static _Atomic unsigned long comes;

static void *comer(void *arg)
{
	while (!gstk_sem_wait(&go) && !atomic_load(&stop))
		atomic_fetch_add(&comes, 1);
	return NULL;
}

enum way { KEPT_IT, GAVE_WAY, TOO_LATE };

/* Does who has the window for 0.6 ms, or a little more, keep it when it yields and a mate is ready? */
static enum way yield_after_600_us(void)
{
	unsigned long before = atomic_load(&comes);
	uint64_t from = gstk_now(), took;
	bool came;

	CHECK_EQ(gstk_sem_post(&go, 1), 0);
	compute(600000);
	took = gstk_now() - from;
	gstk_yield();
	came = atomic_load(&comes) != before;
	while (atomic_load(&comes) == before)
		gstk_yield();
	return took > 800000 ? TOO_LATE : came ? GAVE_WAY : KEPT_IT;
}

static void *shallow_one(void *arg)
{
	for (int i = 0; i < 20; i++)
		CHECK(yield_after_600_us() != KEPT_IT);
	return NULL;
}

/* On a loaded machine the worker may lose its CPU before the clock is looked at: seen a few times is enough. */
static void *deep_one(void *arg)
{
	volatile char deep[2 * GSTK__SHALLOW];
	int seen = 0;

	deep[0] = 0;
	for (int i = 0; i < 10000 && seen < 5; i++)
		seen += yield_after_600_us() == KEPT_IT;
	CHECK_EQ(seen, 5);
	return deep[0] ? &stop : NULL;
}

static void *give_way_main(void *one)
{
	gstk_task *c = start(comer, NULL);

	finish(start(*(gstk_fn *)one, NULL));
	atomic_store(&stop, true);
	CHECK_EQ(gstk_sem_post(&go, 1), 0);
	finish(c);
	return NULL;
}

static int give_way(gstk_fn one)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 1 };

	alarm(120);
	unsetenv("GREENSTK_WINDOWS");
	unsetenv("GREENSTK_WORKERS");
	return gstk_main(give_way_main, &one, NULL, &config);
}

#define NEEDS_RESIDENTS() if (getenv("GREENSTK_FORCE_EVICT")) SKIP(return, "what yields is evicted, and its turn over")

TEST(a_shallow_stack_gives_way_after_half_a_quantum)
{
	NEEDS_RESIDENTS();
	ASSERT_EQ(give_way(shallow_one), 0);
}

TEST(a_deep_stack_only_after_a_whole_one)
{
	NEEDS_RESIDENTS();
	ASSERT_EQ(give_way(deep_one), 0);
}

enum { MATES = 8, OTHERS = 8 };
static gstk_sem gate = GSTK_SEM_INIT(0), out = GSTK_SEM_INIT(0), all_ran = GSTK_SEM_INIT(0);
static unsigned long turns, turn_of[MATES];
static unsigned int nr_ran, passing;

/* Not a mate: how often do others have their turn? */
static void *passer_by(void *arg)
{
	passing++;
	while (!atomic_load(&stop)) {
		turns++;
		gstk_yield();
	}
	return NULL;
}

static void *mate(void *arg)
{
	nr_ran++;
	CHECK_EQ(gstk_sem_wait(&gate), 0);
	turn_of[nr_ran++] = turns;
	if (nr_ran == MATES)
		CHECK_EQ(gstk_sem_post(&all_ran, 1), 0);
	CHECK_EQ(gstk_sem_wait(&out), 0);
	return NULL;
}

static void *in_a_row_main(void *arg)
{
	struct gstk_spawn_opts private = { .size = sizeof(private), .flags = GSTK_PRIVATE };
	gstk_task *h, *p[OTHERS], *m[MATES];

	for (int i = 0; i < MATES; i++)
		m[i] = start(mate, NULL);
	h = start(hog, (void *)100000);
	while (nr_ran < MATES || !atomic_load(&hog_runs))
		gstk_sleep(MS);
	nr_ran = 0;
	for (int i = 0; i < OTHERS; i++)
		CHECK_EQ(gstk_spawn(&p[i], passer_by, NULL, &private), 0);
	/* Every 64th pick is of a new task, however often the worker polls in between. */
	for (unsigned long before = atomic_load(&hog_runs); passing < OTHERS; gstk_sleep(MS))
		CHECK(atomic_load(&hog_runs) - before < OTHERS * 64 * 8);
	CHECK_EQ(gstk_sem_post(&gate, MATES), 0);
	CHECK_EQ(gstk_sem_wait(&all_ran), 0);
	CHECK_EQ(gstk_sem_post(&out, MATES), 0);
	for (int i = 0; i < MATES; i++)
		finish(m[i]);
	atomic_store(&stop, true);
	finish(h);
	for (int i = 0; i < OTHERS; i++)
		finish(p[i]);
	fprintf(stderr, "# %lu turns of others between the first mate and the last\n", turn_of[MATES - 1] - turn_of[0]);
	/* One of them goes on while a window is given back; a round is OTHERS. */
	CHECK(turn_of[MATES - 1] - turn_of[0] < 3 * MATES);
	return NULL;
}

TEST(mates_whose_turn_has_come_do_not_wait_for_a_round_of_the_queue_each)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 1 };

	alarm(120);
	unsetenv("GREENSTK_WINDOWS");
	unsetenv("GREENSTK_WORKERS"); /* turns are counted on one */
	ASSERT_EQ(gstk_main(in_a_row_main, NULL, NULL, &config), 0);
}

TEST(the_buckets_of_waits_are_in_order_and_a_quarter_of_an_octave_wide)
{
	unsigned int last = 0;

	for (uint64_t v = 0; v <= UINT32_MAX; v += v / 64 + 1) {
		unsigned int b = gstk__waits_bucket((uint32_t)v);

		ASSERT_LT(b, (unsigned int)GSTK__WAIT_BUCKETS);
		ASSERT_GE(b, last);
		ASSERT_LE(b, last + 1);
		ASSERT_GE(gstk__waits_limit(b), v);
		ASSERT_LE(gstk__waits_limit(b), v + v / 4 + 1);
		if (b)
			ASSERT_LT(gstk__waits_limit(b - 1), v);
		last = b;
	}
	ASSERT_EQ(gstk__waits_bucket(UINT32_MAX), last);
}

TEST_HARNESS_MAIN
