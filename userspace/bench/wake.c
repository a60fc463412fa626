// SPDX-License-Identifier: MIT
/*
 * wake.*, active.*: tasks that hold 900 bytes and wait, each for a semaphore of its own, and a task
 * that wakes them in random order. A wake is a post, the task's run, and its next wait.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <greenstk.h>

#include "bench.h"

enum { LIVE = 900, BATCH = 64, SAMPLES = 1 << 20 };
enum wake_case { RESIDENT, EVICTED, SPORADIC, ACTIVE, ACTIVE_OF_MANY };

struct waiter {
	gstk_sem sem;
	uint64_t posted_ns; /* when it was woken; 0: nobody asks */
};

static struct waiter *waiters;
static _Atomic uint64_t arrived, ran;
static uint64_t *samples, nr_samples;
static _Atomic bool stop;

static BENCH_NOINLINE void wait_loop(struct waiter *w, unsigned char *buf)
{
	for (uint64_t turn = 0;; turn++) {
		bench_check(!gstk_sem_wait(&w->sem));
		if (atomic_load_explicit(&stop, memory_order_relaxed))
			return;
		if (w->posted_ns && nr_samples < SAMPLES)
			samples[nr_samples++] = bench_now() - w->posted_ns;
		/* Touch both ends, as code that goes on would. */
		buf[0]++;
		buf[LIVE - 1]++;
		atomic_store_explicit(&ran, atomic_load_explicit(&ran, memory_order_relaxed) + 1,
				      memory_order_relaxed);
	}
}

static void *waiter(void *arg)
{
	struct waiter *w = arg;
	uint64_t seed = (uint64_t)(w - waiters) + 1, copy = seed;
	unsigned char buf[LIVE];

	for (size_t i = 0; i < LIVE; i++)
		buf[i] = (unsigned char)bench_rand(&seed);
	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	wait_loop(w, buf);
	for (size_t i = 0; i < LIVE; i++) {
		unsigned char v = (unsigned char)bench_rand(&copy);

		if (i && i < LIVE - 1)
			bench_check(buf[i] == v);
	}
	return NULL;
}

static struct gstk_stats stats(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	bench_check(!gstk_stats(&s));
	return s;
}

/* Wake @nr tasks in this order, a batch at a time: the queue is never empty, never long. */
static void wake_all(const uint32_t *order, size_t nr)
{
	for (size_t i = 0; i < nr; i += BATCH) {
		size_t n = nr - i < BATCH ? nr - i : BATCH;
		uint64_t want = atomic_load_explicit(&ran, memory_order_relaxed) + n;

		for (size_t k = 0; k < n; k++)
			bench_check(!gstk_sem_post(&waiters[order[i + k]].sem, 1));
		while (atomic_load_explicit(&ran, memory_order_relaxed) < want)
			gstk_yield();
	}
}

static void busy(const struct bench *b, size_t nr, size_t active, uint64_t wakes)
{
	/* The active ones are spread over all: tasks of every age, windows of every kind. */
	uint32_t *order = bench_permutation(nr, 7);
	size_t laps = wakes / active + 1;
	struct gstk_stats s0, s1;
	uint64_t t0, total = laps * active;

	wake_all(order, active);
	s0 = stats();
	t0 = bench_now();
	for (size_t lap = 0; lap < laps; lap++)
		wake_all(order, active);
	bench_emit(b->name, (double)(bench_now() - t0) / (double)total, "ns");
	s1 = stats();
	bench_emit_sub(b, "restores", (double)(s1.restores - s0.restores) / (double)total, "per_wake");
	bench_emit_sub(b, "bytes", (double)(s1.bytes_evicted - s0.bytes_evicted) /
		       (double)(s1.evictions > s0.evictions ? s1.evictions - s0.evictions : 1), "bytes");
	free(order);
}

/* Ten tasks of the million every millisecond, CPU time of the whole process, sweep included. */
static void sporadic(const struct bench *b, size_t nr)
{
	uint64_t cpu, idle_cpu, ticks = bench_n(5000), seed = 99, next, want;

	gstk_sleep((uint64_t)(bench_wait_s(3) * 1e9));
	cpu = bench_cpu_ns();
	gstk_sleep((uint64_t)(bench_wait_s(2) * 1e9));
	idle_cpu = bench_cpu_ns() - cpu;
	bench_note("idle before: %.2f %% of a CPU", (double)idle_cpu / 2e7);
	want = atomic_load(&ran) + ticks * 10;
	cpu = bench_cpu_ns();
	next = gstk_now();
	for (uint64_t i = 0; i < ticks; i++) {
		next += 1000000;
		gstk_sleep_until(next);
		for (int k = 0; k < 10; k++) {
			struct waiter *w = &waiters[bench_rand(&seed) % nr];

			w->posted_ns = bench_now();
			bench_check(!gstk_sem_post(&w->sem, 1));
		}
	}
	while (atomic_load(&ran) < want)
		gstk_sleep(1000000);
	cpu = bench_cpu_ns() - cpu;
	bench_emit(b->name, (double)cpu / (double)(ticks * 10), "ns");
	bench_emit_sub(b, "p50", bench_percentile(samples, nr_samples, 50), "ns");
	bench_emit_sub(b, "p99", bench_percentile(samples, nr_samples, 99), "ns");
}

static void *wake_main(void *arg)
{
	const struct bench *b = arg;
	size_t nr = bench_n((uint64_t)b->arg2);
	gstk_task **t = calloc(nr, sizeof(*t));

	waiters = calloc(nr, sizeof(*waiters));
	samples = calloc(SAMPLES, sizeof(*samples));
	bench_check(t && waiters && samples);
	memset(samples, 1, SAMPLES * sizeof(*samples));
	for (size_t i = 0; i < nr; i++) {
		waiters[i].sem = (gstk_sem)GSTK_SEM_INIT(0);
		bench_check(!gstk_spawn(&t[i], waiter, &waiters[i], NULL));
		if (i % 64 == 63)
			gstk_yield();
	}
	while (atomic_load(&arrived) < nr)
		gstk_sleep(1000000);
	if (b->arg == SPORADIC)
		sporadic(b, nr);
	else if (b->arg == ACTIVE_OF_MANY)
		busy(b, nr, bench_n(10000), bench_n(1000000));
	else
		busy(b, nr, nr, bench_n(b->arg == EVICTED ? 2000000 : 3000000));
	atomic_store(&stop, true);
	for (size_t i = 0; i < nr; i++)
		bench_check(!gstk_sem_post(&waiters[i].sem, 1));
	for (size_t i = 0; i < nr; i++)
		bench_check(!gstk_join(t[i], NULL));
	return NULL;
}

static void wake_run(const struct bench *b)
{
	/* One worker: the counter and the samples need no lock, and the figure is one CPU's. */
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(wake_main, (void *)b, &config);
}

#define ALSO(name) name ".restores " name ".bytes"
BENCH(wake_resident, .name = "wake.resident", .unit = "ns",
      .what = "a wake, 1,000 tasks, all resident, one worker", .also = ALSO("wake.resident"),
      .run = wake_run, .arg = RESIDENT, .arg2 = 1000, .cpus = 1);
BENCH(wake_evicted, .name = "wake.evicted.1e6", .unit = "ns",
      .what = "a wake, a million tasks with 900 bytes, random order, one worker",
      .also = ALSO("wake.evicted.1e6"), .run = wake_run, .arg = EVICTED, .arg2 = 1000000, .cpus = 1);
BENCH(wake_sporadic, .name = "wake.sporadic", .unit = "ns",
      .what = "CPU a wake, 10,000 wakes/s over a million tasks, sweep included",
      .also = "wake.sporadic.p50 wake.sporadic.p99", .run = wake_run, .arg = SPORADIC, .arg2 = 1000000,
      .cpus = 1);
BENCH(active, .name = "active.10000", .unit = "ns", .what = "a wake, 10,000 tasks, all active, one worker",
      .also = ALSO("active.10000"), .run = wake_run, .arg = ACTIVE, .arg2 = 10000, .cpus = 1);
BENCH(active_many, .name = "active.10000.of.1e6", .unit = "ns",
      .what = "the same beside 990,000 that sleep", .also = ALSO("active.10000.of.1e6"), .run = wake_run,
      .arg = ACTIVE_OF_MANY, .arg2 = 1000000, .cpus = 1);

/* A million tasks created, all blocked, all woken, all ended: default policy, all CPUs. */
static gstk_chan *gate;

static void *once_woken(void *arg)
{
	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	bench_check(gstk_chan_recv(gate, NULL) == -EPIPE);
	atomic_fetch_add_explicit(&ran, 1, memory_order_relaxed);
	return NULL;
}

static void *crowd_main(void *arg)
{
	const struct bench *b = arg;
	size_t nr = bench_n(1000000);
	uint64_t t0, t1, t2;

	bench_check(!gstk_chan_create(&gate, 0, 0));
	t0 = bench_now();
	for (size_t i = 0; i < nr; i++)
		bench_check(!gstk_go(once_woken, NULL));
	while (atomic_load(&arrived) < nr)
		gstk_sleep(100000);
	t1 = bench_now();
	bench_check(!gstk_chan_close(gate));
	while (atomic_load(&ran) < nr)
		gstk_sleep(100000);
	t2 = bench_now();
	bench_emit(b->name, (double)(t2 - t0) / 1e6, "ms");
	bench_emit_sub(b, "create", (double)(t1 - t0) / 1e6, "ms");
	bench_emit_sub(b, "wake", (double)(t2 - t1) / 1e6, "ms");
	return NULL;
}

static void crowd_run(const struct bench *b)
{
	bench_main(crowd_main, (void *)b, NULL);
}

BENCH(wake_all, .name = "wake.all.1e6", .unit = "ms",
      .what = "a million tasks created, blocked, woken at once, and ended",
      .also = "wake.all.1e6.create wake.all.1e6.wake", .run = crowd_run);
