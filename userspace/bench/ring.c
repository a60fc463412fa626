// SPDX-License-Identifier: MIT
/* ring.*: one token goes round a ring of tasks over unbuffered channels. */
#include <stdlib.h>

#include <greenstk.h>

#include "bench.h"

static gstk_chan **link_;
static size_t ring_nr;

static void *member(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	gstk_chan *in = link_[i], *out = link_[(i + 1) % ring_nr];
	uint64_t v;

	while (!gstk_chan_recv(in, &v)) {
		v++;
		bench_check(!gstk_chan_send(out, &v));
	}
	if (i + 1 < ring_nr)
		bench_check(!gstk_chan_close(out));
	return NULL;
}

static double ring_ns;

/* Member 0: puts the token in, counts laps, closes the ring at the end. */
static void *leader(void *arg)
{
	uint64_t laps = bench_n(4000000) / ring_nr + 1, warm = laps / 10 + 1, t0 = 0, v = 0;

	for (uint64_t lap = 0; lap < warm + laps; lap++) {
		if (lap == warm)
			t0 = bench_now();
		v++;
		bench_check(!gstk_chan_send(link_[1], &v));
		bench_check(!gstk_chan_recv(link_[0], &v));
		bench_check(v == (lap + 1) * ring_nr);
	}
	ring_ns = (double)(bench_now() - t0) / (double)(laps * ring_nr);
	bench_check(!gstk_chan_close(link_[1]));
	return NULL;
}

static void *ring_main(void *arg)
{
	const struct bench *b = arg;
	gstk_task **t;

	ring_nr = (size_t)b->arg;
	t = calloc(ring_nr, sizeof(*t));
	link_ = calloc(ring_nr, sizeof(*link_));
	bench_check(t && link_);
	for (size_t i = 0; i < ring_nr; i++)
		bench_check(!gstk_chan_create(&link_[i], sizeof(uint64_t), 0));
	for (size_t i = 0; i < ring_nr; i++)
		bench_check(!gstk_spawn(&t[i], i ? member : leader, (void *)(uintptr_t)i, NULL));
	for (size_t i = 0; i < ring_nr; i++)
		bench_check(!gstk_join(t[i], NULL));
	bench_emit(b->name, ring_ns, "ns");
	return NULL;
}

static void ring_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(ring_main, (void *)b, &config);
}

BENCH(ring_503, .name = "ring.503", .unit = "ns", .what = "a hop in a ring of 503 tasks, one worker",
      .run = ring_run, .arg = 503, .cpus = 1);
BENCH(ring_1000, .name = "ring.1000", .unit = "ns", .what = "a hop in a ring of 1,000 tasks, one worker",
      .run = ring_run, .arg = 1000, .cpus = 1);
