// SPDX-License-Identifier: MIT
/* limit.*: what the machine itself costs, to put the other figures against. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "bench.h"

static _Alignas(128) _Atomic uint64_t ball;
static uint64_t trips;

static bool pin_nth(int nth)
{
	cpu_set_t all, one;

	if (sched_getaffinity(0, sizeof(all), &all))
		return false;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all) || nth--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		return !pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	}
	return false;
}

static void *answer(void *arg)
{
	bench_check(pin_nth(1));
	for (uint64_t i = 0; i < trips; i++) {
		while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&ball, 2 * i + 2, memory_order_release);
	}
	return NULL;
}

static void cacheline_run(const struct bench *b)
{
	uint64_t t0 = 0, warm;
	pthread_t other;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		bench_skip("%s needs two CPUs", b->name);
	trips = bench_n(1000000) + 10;
	warm = trips / 10;
	bench_check(!pthread_create(&other, NULL, answer, NULL));
	bench_check(pin_nth(0));
	for (uint64_t i = 0; i < trips; i++) {
		if (i == warm)
			t0 = bench_now();
		atomic_store_explicit(&ball, 2 * i + 1, memory_order_release);
		while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * i + 2)
			;
	}
	bench_emit(b->name, (double)(bench_now() - t0) / (double)(trips - warm), "ns");
	pthread_join(other, NULL);
}

BENCH(limit_cacheline, .name = "limit.cacheline", .unit = "ns",
      .what = "a cache line to another core and back, both spinning", .run = cacheline_run, .cpus = 2);
