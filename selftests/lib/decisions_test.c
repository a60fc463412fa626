// SPDX-License-Identifier: MIT
/* Every decision on a stack is counted by its reason; stacks that bounce stay; costs are measured again. */
#include "park/arena.h"
#include "wait_test.h"

#define NR    200
#define NOISE 4096 /* words: more than what a sanitizer adds, which packs well */

static gstk_sem wake = GSTK_SEM_INIT(0);
static _Atomic bool over;
static uint64_t period_ns, slower;
static bool settled;

static struct gstk_stats stats(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st;
}

static void run(void (*fn)(void), struct gstk_config c)
{
	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP" };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) { /* each test says its own */
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	c.size = sizeof(c);
	c.backend = GSTK_BACKEND_COPY;
	c.workers = c.workers ? c.workers : 1;
	alarm(120);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &c), 0);
}

/* Waits with a little stack, of noise if @arg says so. */
static void *waits(void *arg)
{
	volatile uint32_t noise[NOISE];
	uint32_t seed = (uint32_t)(uintptr_t)arg | 1, bad = 0;

	for (int i = 0; arg && i < NOISE; i++)
		noise[i] = rnd(&seed);
	CHECK_EQ(gstk_sem_wait(&wake), 0);
	seed = (uint32_t)(uintptr_t)arg | 1;
	for (int i = 0; arg && i < NOISE; i++)
		bad += noise[i] != rnd(&seed);
	CHECK_EQ(bad, 0);
	return NULL;
}

static void crowd(int nr, uint32_t flags, bool noise, bool (*until)(const struct gstk_stats *st))
{
	struct gstk_spawn_opts opts = { .size = sizeof(opts), .flags = flags };
	gstk_task *t[NR];
	struct gstk_stats st;

	for (int i = 0; i < nr; i++)
		CHECK_EQ(gstk_spawn(&t[i], waits, noise ? (void *)(uintptr_t)(i + 1) : NULL, &opts), 0);
	for (int i = 0; i < 2000; i++) {
		st = stats();
		if (until(&st))
			break;
		gstk_sleep(10 * MS);
	}
	if (!until(&st))
		gstk_info(2);
	CHECK(until(&st));
	gstk_sem_post(&wake, (uint64_t)nr);
	for (int i = 0; i < nr; i++)
		CHECK_EQ(finish(t[i]), 0);
}

#define CROWD(name, nr, flags, noise, condition)                                      \
	static bool name##_until(const struct gstk_stats *st) { return condition; }   \
	static void name(void) { crowd(nr, flags, noise, name##_until); }

CROWD(over_budget, NR, 0, false, st->moved_budget >= NR - 70 && st->kept_young && !st->moved_cold)
CROWD(few, 20, 0, false, st->kept_few >= 20 && !st->evictions)
CROWD(cold, NR, 0, false, st->moved_cold >= NR - 70 && !st->moved_budget)
CROWD(claimed, 20, 0, false, st->moved_claimed >= 19 && !st->moved_cold)
CROWD(never_moved, NR, GSTK_PRIVATE, false, st->kept_private > NR && st->trimmed_idle >= NR && !st->evictions)
CROWD(packed, NR, 0, false, st->packed_idle >= NR - 70)
CROWD(noisy, NR, 0, true, st->kept_unpackable >= NR - 70 && !st->packs)
CROWD(no_room, NR, 0, false, st->kept_full > 100 && !st->evictions)

TEST(what_is_moved_is_counted_by_its_reason)
{
	run(over_budget, (struct gstk_config){ .evict_idle_ns = 1000 * MS, .resident_budget = 1 });
	run(cold, (struct gstk_config){ .evict_idle_ns = 2 * MS, .resident_budget = 1 << 30 });
	run(claimed, (struct gstk_config){ .windows = 1, .flags = GSTK_NO_SWEEP });
	run(packed, (struct gstk_config){ .evict_idle_ns = 5 * MS, .pack_idle_ns = 20 * MS, .resident_budget = 1 });
}

TEST(what_stays_is_counted_by_its_reason)
{
	run(never_moved, (struct gstk_config){ .evict_idle_ns = 5 * MS, .resident_budget = 1 });
	run(few, (struct gstk_config){ .evict_idle_ns = 5 * MS, .resident_budget = 1 });
	run(noisy, (struct gstk_config){ .evict_idle_ns = 5 * MS, .pack_idle_ns = 20 * MS, .resident_budget = 1 });
}

static int no_block(uint32_t bytes)
{
	return bytes < (64u << 10); /* an emergency block is larger, and the runtime begins */
}

TEST(so_is_what_there_was_no_memory_for)
{
	gstk__arena_fail = no_block;
	run(no_room, (struct gstk_config){ .evict_idle_ns = 5 * MS, .resident_budget = 1 });
}

/* ---- bounces ---- */

static void *regular(void *arg)
{
	while (!over)
		CHECK_EQ(gstk_sleep(period_ns), 0);
	return arg;
}

/* Idle for a little longer than what makes them go: moved once or twice each, then they stay. */
static void regulars(void)
{
	gstk_task *t[NR];
	struct gstk_stats before, now = { 0 };

	period_ns = 150 * MS * slower;
	over = false;
	for (int i = 0; i < NR; i++)
		t[i] = start(regular, NULL);
	for (int i = 0; i < 15 && !settled; i++) { /* until a second goes by in which hardly any is moved */
		before = now;
		gstk_sleep(1000 * MS * slower);
		now = stats();
		settled = now.kept_bouncing && now.evictions - before.evictions <= NR;
	}
	CHECK(!settled || now.bounces >= NR / 4);
	over = true;
	for (int i = 0; i < NR; i++)
		CHECK_EQ(finish(t[i]), 0);
}

TEST(a_stack_that_came_back_soon_is_moved_later)
{
	/* Where they often come later than that by themselves, with longer times. */
	for (slower = 1; slower <= 4 && !settled; slower *= 2)
		run(regulars, (struct gstk_config){ .evict_idle_ns = 100 * MS * slower,
						    .resident_budget = NR * 4096 * 3 / 4 });
	ASSERT_TRUE(settled);
}

/* ---- calibration ---- */

static void *busy(void *arg)
{
	while (!over)
		gstk_yield();
	return arg;
}

static void busy_then_not(void)
{
	gstk_task *t[2];

	for (int i = 0; i < 2; i++)
		t[i] = start(busy, NULL);
	while (!stats().recalibrations)
		gstk_sleep(10 * MS);
	over = true;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(finish(t[i]), 0);
	while (stats().recalibrations < 2) /* one worker sleeps again */
		gstk_sleep(10 * MS);
}

TEST(costs_are_measured_again_when_more_or_fewer_workers_run)
{
	run(busy_then_not, (struct gstk_config){ .workers = 2 });
}

TEST_HARNESS_MAIN
