// SPDX-License-Identifier: MIT
/*
 * reclaim.WHAT.BACKEND: many idle stacks and one pass of the sweep over them: CPU time of the process a stack, while
 * nothing else runs. `.bytes_per_s` (what the process has less of in memory) and `.stacks_per_s` are per second of that
 * time; `.calls` are system calls a stack.
 *
 *	trim	each stack has touched 32 KiB below where it parks: those pages go
 *	evict	each stack is cold: it is moved or copied out, and its window's pages go
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <greenstk.h>

#include "bench.h"

enum { TRIM, EVICT, COPY = 2, MODULE = 4 };
#define STACKS	   20000u
#define DEEP_BYTES (32u << 10)

static gstk_sem until;
static size_t arrived;

static BENCH_NOINLINE void touch(void)
{
	volatile char deep[DEEP_BYTES];

	for (size_t i = 0; i < sizeof(deep); i += 4096)
		deep[i] = 1;
}

static void *idler(void *arg)
{
	touch();
	arrived++;
	bench_check(!gstk_sem_wait(&until));
	return arg;
}

static struct gstk_stats stats(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	bench_check(!gstk_stats(&s));
	return s;
}

static uint64_t done(const struct bench *b, const struct gstk_stats *s)
{
	return b->arg & EVICT ? s->evictions : s->trimmed_idle;
}

static void *reclaim_main(void *arg)
{
	const struct bench *b = arg;
	size_t nr = bench_n(STACKS) + 200;
	gstk_task **t = calloc(nr, sizeof(*t));
	struct gstk_stats before, now;
	uint64_t cpu, calls;
	struct bench_mem had, has;

	bench_check(t);
	until = (gstk_sem)GSTK_SEM_INIT(0);
	for (size_t i = 0; i < nr; i++) {
		bench_check(!gstk_spawn(&t[i], idler, NULL, NULL));
		if (i % 64 == 63)
			gstk_yield();
	}
	while (arrived < nr)
		gstk_yield();
	before = now = stats();
	had = bench_mem(0);
	cpu = bench_cpu_ns();
	/* All but a few: the sweep keeps 64 in their windows. */
	for (int tries = 0; done(b, &now) < nr - 200; tries++) {
		bench_check(tries < 3000);
		gstk_sleep(20000000);
		now = stats();
	}
	cpu = bench_cpu_ns() - cpu;
	has = bench_mem(0);
	nr = done(b, &now) - done(b, &before);
	calls = now.trim_calls + now.remap_calls - before.trim_calls - before.remap_calls;
	bench_emit(b->name, (double)cpu / (double)nr, "ns");
	bench_emit_sub(b, "stacks_per_s", (double)nr * 1e9 / (double)cpu, "1/s");
	bench_emit_sub(b, "bytes_per_s", ((double)had.rss - (double)has.rss) * 1e9 / (double)cpu, "bytes/s");
	bench_emit_sub(b, "calls", (double)calls / (double)nr, "calls");
	for (size_t i = 0; i < arrived; i++)
		bench_check(!gstk_sem_post(&until, 1));
	for (size_t i = 0; i < arrived; i++)
		bench_check(!gstk_join(t[i], NULL));
	free(t);
	return NULL;
}

static void reclaim_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .evict_idle_ns = 200000000,
		.resident_budget = b->arg & EVICT ? 1 : (size_t)1 << 40,
		.backend = b->arg & COPY ? GSTK_BACKEND_COPY : GSTK_BACKEND_MODULE };

	unsetenv("GREENSTK_BACKEND"); /* the row says it */
	if (b->arg & MODULE && access("/dev/greenstk", R_OK | W_OK))
		bench_skip("/dev/greenstk: %s", strerror(errno));
	if (!(b->arg & EVICT))
		config.evict_idle_ns = 1000000000000;
	bench_main(reclaim_main, (void *)b, &config);
}

#define RECLAIM(ident, what_, backend, arg_, text)                                                         \
	BENCH(reclaim_##ident, .name = "reclaim." what_ "." backend, .unit = "ns", .what = text,           \
	      .also = "reclaim." what_ "." backend ".stacks_per_s reclaim." what_ "." backend ".bytes_per_s " \
		      "reclaim." what_ "." backend ".calls",                                               \
	      .run = reclaim_run, .arg = arg_, .cpus = 1)
RECLAIM(trim_copy, "trim", "copy", TRIM | COPY, "the sweep gives dead pages of 20,000 idle stacks back");
RECLAIM(trim_module, "trim", "module", TRIM | MODULE, "the same with the module");
RECLAIM(evict_copy, "evict", "copy", EVICT | COPY, "the sweep evicts 20,000 cold stacks");
RECLAIM(evict_module, "evict", "module", EVICT | MODULE, "the same with the module");
