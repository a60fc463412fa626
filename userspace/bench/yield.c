// SPDX-License-Identifier: MIT
/* yield.*: a trip through the scheduler with nothing to wait for. */
#include <stdlib.h>

#include <greenstk.h>

#include "bench.h"

static void *yielder(void *arg)
{
	for (uint64_t n = (uint64_t)(uintptr_t)arg; n; n--)
		gstk_yield();
	return NULL;
}

static uint64_t two(uint64_t n)
{
	gstk_task *t[2];
	uint64_t t0 = bench_now();

	for (int i = 0; i < 2; i++)
		bench_check(!gstk_spawn(&t[i], yielder, (void *)(uintptr_t)n, NULL));
	for (int i = 0; i < 2; i++)
		bench_check(!gstk_join(t[i], NULL));
	return bench_now() - t0;
}

static void *two_main(void *arg)
{
	const struct bench *b = arg;
	uint64_t n = bench_n(5000000);

	two(n / 10 + 1);
	bench_emit(b->name, (double)two(n) / (double)(2 * n), "ns");
	return NULL;
}

/*
 * Many: the first task reads the clock after everybody has begun and before anybody ends. One
 * worker, so a plain counter counts all yields in between.
 */
static uint64_t count;
static double many_ns;

static void *counter(void *arg)
{
	for (uint64_t n = (uint64_t)(uintptr_t)arg; n; n--) {
		count++;
		gstk_yield();
	}
	return NULL;
}

static void *timer(void *arg)
{
	uint64_t n = (uint64_t)(uintptr_t)arg, t0, c0;

	for (uint64_t i = 0; i < n / 8; i++)
		gstk_yield();
	t0 = bench_now();
	c0 = count;
	for (uint64_t i = 0; i < n / 2; i++) {
		count++;
		gstk_yield();
	}
	many_ns = (double)(bench_now() - t0) / (double)(count - c0);
	return NULL;
}

static void *many_main(void *arg)
{
	const struct bench *b = arg;
	size_t nr = (size_t)b->arg;
	uint64_t n = bench_n(400) + 8;
	gstk_task **t = calloc(nr, sizeof(*t));

	bench_check(t);
	for (size_t i = 0; i < nr; i++)
		bench_check(!gstk_spawn(&t[i], i ? counter : timer, (void *)(uintptr_t)n, NULL));
	for (size_t i = 0; i < nr; i++)
		bench_check(!gstk_join(t[i], NULL));
	free(t);
	bench_emit(b->name, many_ns, "ns");
	return NULL;
}

/* Alone: what a loop pays that would let others run. */
static void *check_main(void *arg)
{
	const struct bench *b = arg;
	uint64_t n = bench_n(20000000), t0 = 0;

	for (uint64_t i = 0; i < n + n / 10; i++) {
		if (i == n / 10)
			t0 = bench_now();
		bench_check(!gstk_check());
	}
	bench_emit(b->name, (double)(bench_now() - t0) / (double)n, "ns");
	return NULL;
}

static void yield_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(!b->arg ? check_main : b->arg == 2 ? two_main : many_main, (void *)b, &config);
}

BENCH(yield_2, .name = "yield.2", .unit = "ns", .what = "a yield, two tasks, one worker",
      .run = yield_run, .arg = 2, .cpus = 1);
BENCH(yield_10000, .name = "yield.10000", .unit = "ns", .what = "a yield, 10,000 tasks, one worker",
      .run = yield_run, .arg = 10000, .cpus = 1);
BENCH(yield_check, .name = "yield.check", .unit = "ns", .what = "a gstk_check() of a task that is alone",
      .run = yield_run, .cpus = 1);
