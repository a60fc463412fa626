// SPDX-License-Identifier: MIT
/* window.*: how often tasks that share windows get in each other's way, and how badly. */
#include <stdatomic.h>
#include <stdlib.h>

#include <greenstk.h>

#include "bench.h"

static struct gstk_stats stats(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	bench_check(!gstk_stats(&s));
	return s;
}

static BENCH_NOINLINE void compute(uint64_t ns)
{
	for (uint64_t end = bench_now() + ns; bench_now() < end;)
		;
}

/*
 * Conflicts: a number of tokens wander over all tasks; who gets one works for 2 us and passes it to
 * a random task. Tokens over tasks is the active share.
 */
enum { CONFLICT_WORKERS = 4 };

static gstk_sem *door;
static size_t door_nr;
static _Atomic uint64_t arrived;
static _Atomic bool stop;

static void *wanderer(void *arg)
{
	size_t me = (size_t)(uintptr_t)arg;
	uint64_t seed = me + 1;

	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	for (;;) {
		/* Woken for good, or cancelled when the main task was first. */
		if (gstk_sem_wait(&door[me]) || atomic_load_explicit(&stop, memory_order_relaxed))
			return NULL;
		compute(2000);
		bench_check(!gstk_sem_post(&door[bench_rand(&seed) % door_nr], 1));
	}
}

static void *conflict_main(void *arg)
{
	const struct bench *b = arg;
	size_t tokens = (size_t)b->arg & 0xffffff;
	struct gstk_stats s0, s1;
	uint64_t seed = 5;

	door_nr = bench_n((uint64_t)b->arg2);
	tokens = tokens < door_nr ? tokens : door_nr;
	door = calloc(door_nr, sizeof(*door));
	bench_check(door);
	for (size_t i = 0; i < door_nr; i++) {
		door[i] = (gstk_sem)GSTK_SEM_INIT(0);
		bench_check(!gstk_go(wanderer, (void *)(uintptr_t)i));
		if (i % 256 == 255)
			gstk_yield();
	}
	while (atomic_load(&arrived) < door_nr)
		gstk_sleep(1000000);
	for (size_t i = 0; i < tokens; i++)
		bench_check(!gstk_sem_post(&door[bench_rand(&seed) % door_nr], 1));
	gstk_sleep((uint64_t)(bench_wait_s(0.3) * 1e9));
	s0 = stats();
	gstk_sleep((uint64_t)(bench_wait_s(1) * 1e9));
	s1 = stats();
	atomic_store(&stop, true);
	for (size_t i = 0; i < door_nr; i++)
		bench_check(!gstk_sem_post(&door[i], 1));
	bench_check(s1.wakes > s0.wakes);
	bench_emit(b->name, 100.0 * (double)(s1.conflicts - s0.conflicts) / (double)(s1.wakes - s0.wakes),
		   "percent");
	bench_emit_sub(b, "claims", 100.0 * (double)(s1.claims - s0.claims) / (double)(s1.wakes - s0.wakes),
		       "percent");
	bench_emit_sub(b, "wait_max", (double)s1.window_wait_max_ns / 1000, "us");
	return NULL;
}

static void conflict_run(const struct bench *b)
{
	struct gstk_config config = {
		.size = sizeof(config),
		.workers = CONFLICT_WORKERS,
		.windows = (size_t)b->arg >> 24,
	};

	bench_main(conflict_main, (void *)b, &config);
}

#define CONFLICT(ident, label, TASKS, WINDOWS, TOKENS)                                      \
	BENCH(conflict_##ident, .name = "window.conflict_rate" label, .unit = "percent",    \
	      .what = "wakes that met a running mate: " #TASKS " tasks, " #TOKENS " active, 4 workers, windows: " #WINDOWS, \
	      .also = "window.conflict_rate" label ".claims window.conflict_rate" label ".wait_max", \
	      .run = conflict_run, .arg = (TOKENS) | (long)(WINDOWS) << 24, .arg2 = (TASKS), .rounds = 3)

/* 0 windows: the default. */
CONFLICT(default, "", 1000000, 0, 1000);
CONFLICT(a, ".t100000.w65536.a100", 100000, 65536, 100);
CONFLICT(b, ".t100000.w65536.a1000", 100000, 65536, 1000);
CONFLICT(c, ".t100000.w65536.a10000", 100000, 65536, 10000);
CONFLICT(d, ".t100000.w4096.a100", 100000, 4096, 100);
CONFLICT(e, ".t100000.w4096.a1000", 100000, 4096, 1000);
CONFLICT(f, ".t100000.w4096.a10000", 100000, 4096, 10000);
CONFLICT(g, ".t100000.w256.a1000", 100000, 256, 1000);
CONFLICT(h, ".t1000000.w4096.a1000", 1000000, 4096, 1000);
CONFLICT(i, ".t1000000.w65536.a100000", 1000000, 65536, 100000);

/*
 * Hogs: a task a window that never blocks, only yields after 20 us of work, and seven mates a
 * window that sleep. How late do the sleepers run? With two workers 16 hogs alone make a round of
 * the queue last 160 us; the quantum bounds what sharing a window adds.
 */
enum { HOG_WINDOWS = 16, HOG_MATES = 7, HOG_SAMPLES = 1 << 17 };

static uint64_t *late;
static _Atomic uint64_t nr_late;

static void *hog(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		compute(20000);
		gstk_yield();
	}
	return NULL;
}

static void *sleeper(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg + 1, at;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t due = gstk_now() + 5000000 + bench_rand(&seed) % 10000000;

		bench_check(!gstk_sleep_until(due));
		at = atomic_fetch_add_explicit(&nr_late, 1, memory_order_relaxed);
		if (at < HOG_SAMPLES)
			late[at] = gstk_now() - due;
	}
	return NULL;
}

static void *hog_main(void *arg)
{
	const struct bench *b = arg;
	gstk_task *t[HOG_WINDOWS * (HOG_MATES + 1)];
	size_t nr = 0, taken;

	late = calloc(HOG_SAMPLES, sizeof(*late));
	bench_check(late);
	for (size_t i = 0; i < HOG_WINDOWS * (HOG_MATES + 1); i++)
		bench_check(!gstk_spawn(&t[nr++], i < HOG_WINDOWS ? hog : sleeper, (void *)(uintptr_t)i, NULL));
	gstk_sleep((uint64_t)(bench_wait_s(0.5) * 1e9));
	atomic_store(&nr_late, 0);
	gstk_sleep((uint64_t)(bench_wait_s(2) * 1e9));
	taken = (size_t)atomic_load(&nr_late);
	atomic_store(&stop, true);
	for (size_t i = 0; i < nr; i++)
		bench_check(!gstk_join(t[i], NULL));
	taken = taken < HOG_SAMPLES ? taken : HOG_SAMPLES;
	bench_emit(b->name, bench_percentile(late, taken, 99) / 1000, "us");
	bench_emit_sub(b, "p50", bench_percentile(late, taken, 50) / 1000, "us");
	bench_emit_sub(b, "max", bench_percentile(late, taken, 100) / 1000, "us");
	return NULL;
}

static void hog_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = HOG_WINDOWS };

	bench_main(hog_main, (void *)b, &config);
}

BENCH(window_hog, .name = "window.hog.p99", .unit = "us",
      .what = "lateness of sleepers whose window mates never block", .also = "window.hog.p99.p50 window.hog.p99.max",
      .run = hog_run);
