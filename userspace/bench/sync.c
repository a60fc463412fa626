// SPDX-License-Identifier: MIT
/* sync.*: what a wait for a lock costs when the other one is there at once. One worker, two tasks. */
#include <greenstk.h>

#include "bench.h"

static struct {
	gstk_sem ping, pong;
	gstk_mutex mutex;
	uint64_t n;
} s = { GSTK_SEM_INIT(0), GSTK_SEM_INIT(0), GSTK_MUTEX_INIT, 0 };

static void *ponger(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < s.n; i++) {
		bench_check(!gstk_sem_wait(&s.ping));
		bench_check(!gstk_sem_post(&s.pong, 1));
	}
	return NULL;
}

static void *sem_main(void *arg)
{
	const struct bench *b = arg;
	gstk_task *t;
	uint64_t t0;

	s.n = bench_n(2000000);
	bench_check(!gstk_spawn(&t, ponger, NULL, NULL));
	t0 = bench_now();
	for (uint64_t i = 0; i < s.n; i++) {
		bench_check(!gstk_sem_post(&s.ping, 1));
		bench_check(!gstk_sem_wait(&s.pong));
	}
	bench_emit(b->name, (double)(bench_now() - t0) / (double)s.n, "ns");
	bench_check(!gstk_join(t, NULL));
	return NULL;
}

/* Holds it over a yield, so that the other one has to wait each time. */
static void *locker(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < s.n; i++) {
		bench_check(!gstk_mutex_lock(&s.mutex));
		gstk_yield();
		bench_check(!gstk_mutex_unlock(&s.mutex));
	}
	return NULL;
}

static void *mutex_main(void *arg)
{
	const struct bench *b = arg;
	gstk_task *t[2];
	uint64_t t0;

	s.n = bench_n(1000000);
	t0 = bench_now();
	for (int i = 0; i < 2; i++)
		bench_check(!gstk_spawn(&t[i], locker, NULL, NULL));
	for (int i = 0; i < 2; i++)
		bench_check(!gstk_join(t[i], NULL));
	bench_emit(b->name, (double)(bench_now() - t0) / (double)(2 * s.n), "ns");
	return NULL;
}

static void sync_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(b->arg ? mutex_main : sem_main, (void *)b, &config);
}

BENCH(sync_sem, .name = "sync.sem", .unit = "ns", .what = "a round trip by two semaphores, one worker",
      .run = sync_run, .cpus = 1);
BENCH(sync_mutex, .name = "sync.mutex", .unit = "ns", .what = "a mutex held over a yield, two tasks: lock to lock",
      .run = sync_run, .arg = 1, .cpus = 1);
