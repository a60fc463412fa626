// SPDX-License-Identifier: MIT
/* chan.*: a round trip is two sends and two receives of eight bytes over two channels. */
#include <stdlib.h>
#include <unistd.h>

#include <greenstk.h>

#include "bench.h"

enum chan_case { ONE_WORKER, TWO_WORKERS, PINNED, BUFFERED, SAME_WINDOW, TIMED };

static gstk_chan *there, *back;

static void *echo(void *arg)
{
	uint64_t v;

	while (!gstk_chan_recv(there, &v)) {
		v++;
		bench_check(!gstk_chan_send(back, &v));
	}
	return NULL;
}

/* The same where nobody waits for ever: a new deadline for each receive, which never comes. */
#define PATIENCE 10000000000u

static void *echo_timed(void *arg)
{
	uint64_t v;

	while (!gstk_chan_recv_until(there, &v, gstk_now() + PATIENCE)) {
		v++;
		bench_check(!gstk_chan_send(back, &v));
	}
	return NULL;
}

struct timing {
	uint64_t n;
	double ns;
	bool timed;
};

static void *client(void *arg)
{
	struct timing *t = arg;
	uint64_t t0 = 0, v = 0;

	for (uint64_t i = 0, warm = t->n / 10 + 1; i < warm + t->n; i++) {
		uint64_t was = v;

		if (i == warm)
			t0 = bench_now();
		bench_check(!gstk_chan_send(there, &v));
		bench_check(!(t->timed ? gstk_chan_recv_until(back, &v, gstk_now() + PATIENCE) : gstk_chan_recv(back, &v)));
		bench_check(v == was + 1);
	}
	t->ns = (double)(bench_now() - t0) / (double)t->n;
	bench_check(!gstk_chan_close(there));
	return NULL;
}

static void *pair_main(void *arg)
{
	const struct bench *b = arg;
	struct gstk_spawn_opts opts = { .size = sizeof(opts) };
	size_t capacity = b->arg == BUFFERED ? 1 : 0;
	struct timing t = { .n = bench_n((uint64_t)b->arg2), .timed = b->arg == TIMED };
	gstk_task *a, *e;

	bench_check(!gstk_chan_create(&there, sizeof(uint64_t), capacity));
	bench_check(!gstk_chan_create(&back, sizeof(uint64_t), capacity));
	if (b->arg == PINNED)
		opts.flags = GSTK_PINNED;
	bench_check(!gstk_spawn(&e, t.timed ? echo_timed : echo, NULL, &opts));
	opts.worker = b->arg == PINNED ? 1 : 0;
	/* The main task is private: its locals may be shared. */
	bench_check(!gstk_spawn(&a, client, &t, &opts));
	bench_check(!gstk_join(a, NULL));
	bench_check(!gstk_join(e, NULL));
	bench_emit(b->name, t.ns, "ns");
	return NULL;
}

static void pair_run(const struct bench *b)
{
	bool two = b->arg == TWO_WORKERS || b->arg == PINNED;
	struct gstk_config config = { .size = sizeof(config), .workers = two ? 2 : 1 };

	if (two && sysconf(_SC_NPROCESSORS_ONLN) < 2)
		bench_skip("%s needs two CPUs", b->name);
	if (b->arg == SAME_WINDOW)
		config.windows = 1;
	bench_main(pair_main, (void *)b, &config);
}

BENCH(chan_1, .name = "chan.unbuffered.1worker", .unit = "ns",
      .what = "round trip over unbuffered channels, one worker", .run = pair_run, .arg = ONE_WORKER,
      .arg2 = 2000000, .cpus = 1);
BENCH(chan_2, .name = "chan.unbuffered.2workers", .unit = "ns",
      .what = "the same with two workers, free to share one", .run = pair_run, .arg = TWO_WORKERS,
      .arg2 = 1000000, .cpus = 2);
BENCH(chan_pinned, .name = "chan.pinned.2workers", .unit = "ns",
      .what = "the same, one task pinned to each of two workers", .run = pair_run, .arg = PINNED,
      .arg2 = 200000, .cpus = 2);
BENCH(chan_buf, .name = "chan.buffered.1worker", .unit = "ns",
      .what = "round trip over channels of capacity one, one worker", .run = pair_run, .arg = BUFFERED,
      .arg2 = 2000000, .cpus = 1);
BENCH(chan_timed, .name = "chan.timed", .unit = "ns",
      .what = "round trip over unbuffered channels, one worker, each receive with a deadline", .run = pair_run, .arg = TIMED,
      .arg2 = 1000000, .cpus = 1);
BENCH(chan_same, .name = "chan.samewindow", .unit = "ns",
      .what = "round trip between two tasks of one window", .run = pair_run, .arg = SAME_WINDOW,
      .arg2 = 1000000, .cpus = 1);

/* A thread that is no worker talks to a task: neither should have to sleep while the other answers. */
static void foreign_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };
	struct timing t = { .n = bench_n((uint64_t)b->arg2) };
	gstk_task *e;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		bench_skip("%s needs two CPUs", b->name);
	bench_check(!gstk_init(&config));
	bench_check(!gstk_chan_create(&there, sizeof(uint64_t), 0));
	bench_check(!gstk_chan_create(&back, sizeof(uint64_t), 0));
	bench_check(!gstk_spawn(&e, echo, NULL, NULL));
	client(&t);
	bench_check(!gstk_join(e, NULL));
	bench_check(!gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER));
	bench_emit(b->name, t.ns, "ns");
}

BENCH(chan_foreign, .name = "chan.foreign", .unit = "ns",
      .what = "round trip between a thread that is no worker and a task", .run = foreign_run,
      .arg2 = 50000, .cpus = 2);

/*
 * Pairs over few windows. All pairs make their round trips at once, begun in random order, so every
 * hop meets a task whose stack has been out of its window for some 100,000 hops.
 */
enum { PAIRS = 100000, PAIR_WINDOWS = 4096 };

struct pair {
	gstk_chan *there, *back;
	uint64_t v;
};

static struct pair *pairs;
static gstk_waitgroup pair_ready = GSTK_WAITGROUP_INIT, pair_done = GSTK_WAITGROUP_INIT;
static gstk_chan *pair_go;
static uint64_t pair_trips;

static void *pair_echo(void *arg)
{
	struct pair *p = arg;
	uint64_t v;

	while (!gstk_chan_recv(p->there, &v)) {
		v++;
		bench_check(!gstk_chan_send(p->back, &v));
	}
	return NULL;
}

static void *pair_client(void *arg)
{
	struct pair *p = arg;
	uint64_t v = 0;

	for (int phase = 0; phase < 2; phase++) {
		uint64_t n = phase ? pair_trips : 1;

		bench_check(!gstk_waitgroup_done(&pair_ready));
		bench_check(!gstk_chan_recv(pair_go, NULL));
		while (n--) {
			uint64_t was = v;

			bench_check(!gstk_chan_send(p->there, &v));
			bench_check(!gstk_chan_recv(p->back, &v));
			bench_check(v == was + 1);
		}
		bench_check(!gstk_waitgroup_done(&pair_done));
	}
	bench_check(!gstk_chan_close(p->there));
	return NULL;
}

static void *pairs_main(void *arg)
{
	const struct bench *b = arg;
	size_t nr = bench_n(PAIRS);
	uint32_t *order = bench_permutation(nr, 42);
	struct gstk_stats s0 = { .size = sizeof(s0) }, s1 = s0;
	uint64_t t0 = 0, dt = 0;

	pairs = calloc(nr, sizeof(*pairs));
	bench_check(pairs);
	pair_trips = 10;
	bench_check(!gstk_chan_create(&pair_go, 0, nr));
	for (size_t i = 0; i < nr; i++) {
		struct pair *p = &pairs[order[i]];

		bench_check(!gstk_chan_create(&p->there, sizeof(uint64_t), 0));
		bench_check(!gstk_chan_create(&p->back, sizeof(uint64_t), 0));
	}
	bench_check(!gstk_waitgroup_add(&pair_ready, (int64_t)nr));
	free(order);
	order = bench_permutation(2 * nr, 43);
	for (size_t i = 0; i < 2 * nr; i++)
		bench_check(!gstk_go(order[i] & 1 ? pair_client : pair_echo, &pairs[order[i] / 2]));
	for (int phase = 0; phase < 2; phase++) {
		bench_check(!gstk_waitgroup_wait(&pair_ready));
		if (!phase)
			bench_check(!gstk_waitgroup_add(&pair_ready, (int64_t)nr));
		bench_check(!gstk_waitgroup_add(&pair_done, (int64_t)nr));
		gstk_stats(&s0);
		t0 = bench_now();
		for (size_t i = 0; i < nr; i++)
			bench_check(!gstk_chan_send(pair_go, NULL));
		bench_check(!gstk_waitgroup_wait(&pair_done));
		dt = bench_now() - t0;
		gstk_stats(&s1);
	}
	bench_emit(b->name, (double)dt / (double)(nr * pair_trips), "ns");
	bench_emit_sub(b, "restores", (double)(s1.restores - s0.restores) / (double)(nr * pair_trips),
		       "per_round_trip");
	bench_emit_sub(b, "bytes", (double)(s1.bytes_evicted - s0.bytes_evicted) /
		       (double)(s1.evictions > s0.evictions ? s1.evictions - s0.evictions : 1), "bytes");
	return NULL;
}

static void pairs_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = PAIR_WINDOWS };

	bench_main(pairs_main, (void *)b, &config);
}

BENCH(chan_pairs, .name = "chan.pairs.evicted", .unit = "ns",
      .what = "round trip, 100,000 pairs over 4,096 windows in random order, one worker",
      .also = "chan.pairs.evicted.restores chan.pairs.evicted.bytes", .run = pairs_run, .cpus = 1,
      .limit_s = 120);
