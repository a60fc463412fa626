// SPDX-License-Identifier: MIT
/* The sweep, slice by slice: the test says when it is, and nobody else sweeps. */
#include "host/host.h"
#include "park/arena.h"
#include "park/sweep.h"
#include "park/tier.h"
#include "sched/worker.h"
#include "wait_test.h"

#define NR   200
#define SLICE (60000 * MS) /* never cut short */

static gstk_sem wake = GSTK_SEM_INIT(0);
static size_t nr_windows;

static void run(void (*fn)(void))
{
	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP", "DEBUG" };
	struct gstk_config c = { .size = sizeof(c), .workers = 1, .backend = GSTK_BACKEND_COPY, .flags = GSTK_NO_SWEEP,
		.windows = nr_windows };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	alarm(120);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &c), 0);
}

static void release(uint32_t window)
{
	gstk__window_release(gstk__self(), window);
}

static void begin(void)
{
	const struct gstk__sweep_ops ops = { gstk__let_go, release };
	const struct gstk__sweep_config c = { 1000 * MS, 30000 * MS, 1 };

	CHECK_EQ(gstk__sweep_init(&c, &ops), 0);
}

/* A whole round, at that time. */
static void sweep_at(uint64_t now_ns)
{
	struct gstk__worker *w = gstk__self();

	gstk__sweep_slice(&w->park, now_ns, SLICE, NR, now_ns, 1);
	gstk__refresh_clock(w, gstk__now_ns());
}

static void *waits(void *arg)
{
	CHECK_EQ(gstk_sem_wait(&wake), 0);
	return NULL;
}

static gstk_task *crowd[NR];

static struct gstk_stats stats(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st;
}

/* They wait, besides who asks. */
static void all_are_there(uint64_t nr)
{
	while (stats().tasks_resident <= nr)
		gstk_sleep(MS);
	gstk_sleep(10 * MS);
}

static void crowd_waits(void)
{
	for (int i = 0; i < NR; i++)
		crowd[i] = start(waits, NULL);
	all_are_there(NR);
}

static void crowd_ends(void)
{
	CHECK_EQ(gstk_sem_post(&wake, NR), 0);
	for (int i = 0; i < NR; i++)
		CHECK_EQ(finish(crowd[i]), 0);
}

/* ---- clocks ---- */

/* A slice takes its time once; who runs beside it takes another, and parks. */
static void late(void)
{
	uint64_t began;

	begin();
	began = gstk__now_ns();
	gstk_sleep(5 * MS);
	crowd_waits();
	sweep_at(began);
	CHECK_EQ(stats().evictions, 0);
	sweep_at(gstk__now_ns() + 5000 * MS);
	CHECK(stats().evictions >= NR);
	crowd_ends();
}

TEST(who_parked_since_the_slice_began_is_not_idle_for_ages)
{
	run(late);
}

/* ---- memory ---- */

static int none(uint32_t bytes)
{
	return 1;
}

static void packs_later(void)
{
	uint64_t now = gstk__now_ns();

	begin();
	crowd_waits();
	sweep_at(now + 5000 * MS);
	CHECK(stats().evictions >= NR);
	gstk__arena_fail = none;
	sweep_at(now + 100000 * MS);
	CHECK_EQ(stats().packs, 0);
	CHECK(stats().kept_full >= NR);
	gstk__arena_fail = NULL;
	sweep_at(now + 200000 * MS);
	CHECK(stats().packs >= NR);
	crowd_ends();
}

TEST(what_there_was_no_memory_to_pack_is_packed_when_there_is)
{
	run(packs_later);
}

static void goes_round(void)
{
	struct gstk__park a = { 0 }, b = { 0 };
	struct gstk_task *t = start(waits, NULL);

	CHECK_EQ(gstk__park_init(&a), 0);
	CHECK_EQ(gstk__park_init(&b), 0);
	all_are_there(1);
	CHECK(gstk__state_own(t));
	gstk__arena_fail = none;
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(gstk__evict_copied(&a, t, false), -ENOMEM);
		CHECK_EQ(gstk__evict_copied(&a, t, true), 0);
		gstk__restore(&b, t);
	}
	/* Both are there, and no more. */
	CHECK(b.emergency);
	CHECK_EQ(gstk__evict_copied(&b, t, true), 0);
	gstk__restore(&b, t);
	gstk__arena_fail = NULL;
	gstk__park_fini(&a);
	gstk__park_fini(&b);
	gstk__let_go(t);
	gstk_sem_post(&wake, 1);
	CHECK_EQ(finish(t), 0);
}

TEST(an_emergency_block_that_another_worker_gets_back_is_not_lost)
{
	run(goes_round);
}

/* There is no module: it refuses all, as one that is full does. */
static void keeps_its_block(void)
{
	struct gstk__park *p = &gstk__self()->park;
	struct gstk_task *t = start(waits, NULL);
	struct gstk__move m = { .out = t };

	all_are_there(1);
	CHECK(gstk__state_own(t));
	gstk__arena_fail = none;
	gstk__remap_moves(p, &m, 1); /* as the sweep does */
	CHECK_EQ(m.err, -ENOMEM);
	CHECK_EQ(t->tier, GSTK__TIER_RESIDENT);
	CHECK(p->emergency);
	CHECK_EQ(gstk__remap_move(p, t, NULL, false), -ENOMEM);
	CHECK(p->emergency);
	CHECK_EQ(gstk__remap_move(p, t, NULL, true), 0); /* as a claim */
	CHECK(!p->emergency);
	gstk__restore(p, t);
	CHECK(p->emergency);
	gstk__arena_fail = NULL;
	gstk__let_go(t);
	gstk_sem_post(&wake, 1);
	CHECK_EQ(finish(t), 0);
}

TEST(the_sweep_leaves_the_emergency_block_to_claims)
{
	run(keeps_its_block);
}

/* ---- what free windows keep ---- */

#if defined(__SANITIZE_THREAD__)
#define MANY 300 /* each is a fiber, which takes it long to make */
#else
#define MANY 3000
#endif

static gstk_task *many[MANY];

static void many_wait_and_end(uint32_t flags)
{
	struct gstk_spawn_opts opts = { .size = sizeof(opts), .flags = flags };

	for (int i = 0; i < MANY; i++)
		CHECK_EQ(gstk_spawn(&many[i], waits, NULL, &opts), 0);
	all_are_there(MANY);
	CHECK_EQ(stats().windows_shared, 0);
	CHECK_EQ(gstk_sem_post(&wake, MANY), 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(finish(many[i]), 0);
}

/* A round in slices that are over as soon as they have begun: the most windows that one of them gave back. */
static uint64_t in_slices(uint64_t size)
{
	uint64_t most = 0, all = 0, sweeps = stats().sweeps, bytes = stats().trim_bytes, each;
	struct gstk__worker *w = gstk__self();

	while (stats().sweeps == sweeps) {
		uint64_t now = gstk__now_ns();

		gstk__sweep_slice(&w->park, now, 0, 1, now, 1);
		each = stats().trim_bytes - bytes;
		bytes += each;
		all += each;
		most = each > most ? each : most;
	}
	CHECK(all >= (MANY - 100) * size / 2); /* a worker keeps some */
	return most / size;
}

static void given_back(void)
{
	uint32_t high;

	begin();
	many_wait_and_end(0);
	CHECK(in_slices(gstk__windows.stack) < 200);
	many_wait_and_end(0); /* they are all there, also those that were trimmed */
	CHECK(in_slices(gstk__windows.stack) < 200);
	many_wait_and_end(GSTK_PRIVATE);
	high = gstk__win_private_high();
	CHECK(in_slices(gstk__windows.stack) < 200);
	many_wait_and_end(GSTK_PRIVATE);
	CHECK_EQ(gstk__win_private_high(), high);
}

TEST(what_free_windows_keep_is_given_back_in_parts)
{
	nr_windows = MANY + 10;
	run(given_back);
}

/* ---- the end ---- */

static void nothing(void)
{
}

TEST(a_runtime_that_does_not_sweep_closes_nothing_that_is_not_its_own)
{
	int fd = open("/dev/null", O_RDONLY);

	ASSERT_LE(0, fd);
	if (fd)
		ASSERT_EQ(0, dup2(fd, 0));
	run(nothing);
	EXPECT_LE(0, fcntl(0, F_GETFD));
}

TEST_HARNESS_MAIN
