// SPDX-License-Identifier: MIT
/* spawn.*: birth, first run, end and join of a task that does nothing. */
#include <stdlib.h>

#include <greenstk.h>

#include "bench.h"

static void *nothing(void *arg)
{
	return arg;
}

static void one_by_one(uint64_t n)
{
	for (uintptr_t i = 0; i < n; i++) {
		gstk_task *t;
		void *r;

		bench_check(!gstk_spawn(&t, nothing, (void *)i, NULL));
		bench_check(!gstk_join(t, &r) && r == (void *)i);
	}
}

static void batches(uint64_t n, size_t batch)
{
	gstk_task **t = calloc(batch, sizeof(*t));

	bench_check(t);
	for (uint64_t i = 0; i < n; i += batch) {
		for (size_t k = 0; k < batch; k++)
			bench_check(!gstk_spawn(&t[k], nothing, NULL, NULL));
		for (size_t k = 0; k < batch; k++)
			bench_check(!gstk_join(t[k], NULL));
	}
	free(t);
}

static void *spawn_main(void *arg)
{
	const struct bench *b = arg;
	size_t batch = (size_t)b->arg;
	uint64_t n = bench_n(1000000), t0;

	n = (n + batch - 1) / batch * batch;
	for (int warm = 1; warm >= 0; warm--) {
		uint64_t m = warm ? (n / 10 / batch + 1) * batch : n;

		t0 = bench_now();
		if (batch == 1)
			one_by_one(m);
		else
			batches(m, batch);
	}
	bench_emit(b->name, (double)(bench_now() - t0) / (double)n, "ns");
	return NULL;
}

static void spawn_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(spawn_main, (void *)b, &config);
}

BENCH(spawn_join, .name = "spawn.join", .unit = "ns", .what = "spawn a task and join it, one worker",
      .run = spawn_run, .arg = 1, .cpus = 1);
BENCH(spawn_batch, .name = "spawn.batch", .unit = "ns",
      .what = "spawn 1,000 tasks, then join them: one of them, one worker", .run = spawn_run,
      .arg = 1000, .cpus = 1);
