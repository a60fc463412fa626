// SPDX-License-Identifier: MIT
/*
 * call.*: 50,000 calls of a function that lives in another task (a request sent and received, an
 * answer sent and received) against 50,000 plain calls of it; calls on another stack; calls on a thread of
 * the pool.
 */
#include <greenstk.h>

#include "bench.h"

enum { CALLS = 50000, BLOCKS = 20 };

static gstk_chan *request, *answer;

static BENCH_NOINLINE uint64_t work(uint64_t v)
{
	__asm__ volatile("" : "+r"(v));
	return v + 1;
}

static void *server(void *arg)
{
	uint64_t v;

	while (!gstk_chan_recv(request, &v)) {
		v = work(v);
		bench_check(!gstk_chan_send(answer, &v));
	}
	return NULL;
}

static void *caller(void *arg)
{
	double *ns = arg;
	uint64_t t0 = 0, v = 0, nr = bench_n(BLOCKS);

	for (uint64_t block = 0; block <= nr; block++) {
		if (block == 1)
			t0 = bench_now();
		for (int i = 0; i < CALLS; i++) {
			bench_check(!gstk_chan_send(request, &v));
			bench_check(!gstk_chan_recv(answer, &v));
		}
	}
	*ns = (double)(bench_now() - t0) / (double)(CALLS * nr);
	bench_check(v == CALLS * (nr + 1));
	bench_check(!gstk_chan_close(request));
	return NULL;
}

static void *cross_main(void *arg)
{
	const struct bench *b = arg;
	gstk_task *s, *c;
	double ns;

	bench_check(!gstk_chan_create(&request, sizeof(uint64_t), 0));
	bench_check(!gstk_chan_create(&answer, sizeof(uint64_t), 0));
	bench_check(!gstk_spawn(&s, server, NULL, NULL));
	bench_check(!gstk_spawn(&c, caller, &ns, NULL));
	bench_check(!gstk_join(c, NULL));
	bench_check(!gstk_join(s, NULL));
	bench_emit(b->name, ns, "ns");
	return NULL;
}

static void cross_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(cross_main, (void *)b, &config);
}

static void function_run(const struct bench *b)
{
	uint64_t t0 = 0, v = 0, nr = bench_n(BLOCKS * 100);

	for (uint64_t block = 0; block <= nr; block++) {
		if (block == 1)
			t0 = bench_now();
		for (int i = 0; i < CALLS; i++)
			v = work(v);
	}
	bench_emit(b->name, (double)(bench_now() - t0) / (double)(CALLS * nr), "ns");
	bench_check(v == CALLS * (nr + 1));
}

static BENCH_NOINLINE void *works(void *arg)
{
	*(uint64_t *)arg = work(*(uint64_t *)arg);
	return NULL;
}

/* On the heap, where both may reach it. */
static void *elsewhere_main(void *arg)
{
	const struct bench *b = arg;
	uint64_t t0 = 0, nr = bench_n(BLOCKS), *v = gstk_alloc(sizeof(*v));
	int calls = (int)b->arg;

	bench_check(v);
	*v = 0;
	for (uint64_t block = 0; block <= nr; block++) {
		if (block == 1)
			t0 = bench_now();
		for (int i = 0; i < calls; i++)
			bench_check(!(b->arg2 ? gstk_call_on_stack(256 << 10, works, v, NULL) :
						gstk_blocking(works, v, NULL)));
	}
	bench_emit(b->name, (double)(bench_now() - t0) / (double)((uint64_t)calls * nr), "ns");
	bench_check(*v == (uint64_t)calls * (nr + 1));
	return NULL;
}

static void elsewhere_run(const struct bench *b)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1 };

	bench_main(elsewhere_main, (void *)b, &config);
}

BENCH(call_cross, .name = "call.cross_task", .unit = "ns",
      .what = "a call of a function in another task (two send/receive pairs), one worker",
      .run = cross_run, .cpus = 1);
BENCH(call_function, .name = "call.function", .unit = "ns", .what = "a plain call of it",
      .run = function_run, .cpus = 1);
BENCH(call_on_stack, .name = "call.on_stack", .unit = "ns",
      .what = "a call of it on another stack of 256 KiB (gstk_call_on_stack())",
      .run = elsewhere_run, .cpus = 1, .arg = CALLS, .arg2 = 1);
BENCH(call_blocking, .name = "call.blocking", .unit = "ns",
      .what = "a call of it on a thread of the pool, one at a time (gstk_blocking())",
      .run = elsewhere_run, .arg = CALLS / 50);
