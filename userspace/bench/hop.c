// SPDX-License-Identifier: MIT
/*
 * chan.hop.evicted: tokens wander over many tasks; who gets one sends it to a random other task. Unlike a
 * pair, whose both ends stay in their windows while they talk, nearly every receiver has lost its window
 * since its last token: one save and one restore a hop.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include <greenstk.h>

#include "bench.h"

enum { TASKS = 200000, WINDOWS = 4096, TOKENS = 64, ROOM = 8 };

static gstk_chan **post;
static size_t nr_tasks;
static uint64_t begun, hops, hops_at_end;
static gstk_sem arrived = GSTK_SEM_INIT(0);

static void *wanderer(void *arg)
{
	size_t me = (size_t)(uintptr_t)arg;
	uint64_t token;

	begun++;
	while (!gstk_chan_recv(post[me], &token)) {
		if (++hops >= hops_at_end)
			bench_check(!gstk_sem_post(&arrived, 1)); /* this one stops here */
		else
			bench_check(!gstk_chan_send(post[bench_rand(&token) % nr_tasks], &token));
	}
	return NULL;
}

static void wander(uint64_t n, uint64_t seed)
{
	hops = 0;
	hops_at_end = n;
	for (uint64_t i = 0; i < TOKENS; i++) {
		uint64_t token = seed * TOKENS + i + 1;

		bench_check(!gstk_chan_send(post[bench_rand(&token) % nr_tasks], &token));
	}
	for (int i = 0; i < TOKENS; i++)
		bench_check(!gstk_sem_wait(&arrived));
}

static void *hop_main(void *arg)
{
	const struct bench *b = arg;
	struct gstk_stats s0 = { .size = sizeof(s0) }, s1 = s0;
	gstk_task **t;
	uint64_t t0, dt;

	nr_tasks = bench_n(TASKS);
	post = calloc(nr_tasks, sizeof(*post));
	t = calloc(nr_tasks, sizeof(*t));
	bench_check(post && t);
	for (size_t i = 0; i < nr_tasks; i++) {
		bench_check(!gstk_chan_create(&post[i], sizeof(uint64_t), ROOM));
		bench_check(!gstk_spawn(&t[i], wanderer, (void *)(uintptr_t)i, NULL));
	}
	while (begun < nr_tasks)
		gstk_yield();
	wander(nr_tasks, 1);
	gstk_stats(&s0);
	t0 = bench_now();
	wander(bench_n(2000000), 2);
	dt = bench_now() - t0;
	gstk_stats(&s1);
	bench_emit(b->name, (double)dt / (double)hops, "ns");
	bench_emit_sub(b, "restores", (double)(s1.restores - s0.restores) / (double)hops, "per_hop");
	bench_emit_sub(b, "bytes", (double)(s1.bytes_evicted - s0.bytes_evicted) /
		       (double)(s1.evictions > s0.evictions ? s1.evictions - s0.evictions : 1), "bytes");
	for (size_t i = 0; i < nr_tasks; i++)
		bench_check(!gstk_chan_close(post[i]));
	for (size_t i = 0; i < nr_tasks; i++)
		bench_check(!gstk_join(t[i], NULL));
	return NULL;
}

static void hop_run(const struct bench *b)
{
	/* One worker: the counters need no lock, and the figure is one CPU's. */
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = WINDOWS };

	bench_main(hop_main, (void *)b, &config);
}

BENCH(chan_hop, .name = "chan.hop.evicted", .unit = "ns",
      .what = "a message to a random one of 200,000 tasks over 4,096 windows, one worker",
      .also = "chan.hop.evicted.restores chan.hop.evicted.bytes", .run = hop_run, .cpus = 1, .limit_s = 120);
