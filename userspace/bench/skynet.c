// SPDX-License-Identifier: MIT
/*
 * skynet.*: a tree of tasks, ten children each, a million leaves; each task hands the sum of its
 * leaves' numbers to its parent. By join, and by a channel that the parent makes.
 */
#include <greenstk.h>

#include "bench.h"

enum { FAN = 10 };

/* First leaf and number of leaves below, in one word: an argument needs no memory. */
static void *pack(uint64_t first, uint64_t leaves)
{
	return (void *)(uintptr_t)(leaves << 32 | first);
}

static void *node(void *arg)
{
	uint64_t first = (uint32_t)(uintptr_t)arg, leaves = (uint64_t)(uintptr_t)arg >> 32, sum = 0;
	gstk_task *child[FAN];

	if (leaves == 1)
		return (void *)(uintptr_t)first;
	leaves /= FAN;
	for (uint64_t i = 0; i < FAN; i++)
		bench_check(!gstk_spawn(&child[i], node, pack(first + i * leaves, leaves), NULL));
	for (int i = 0; i < FAN; i++) {
		void *r;

		bench_check(!gstk_join(child[i], &r));
		sum += (uintptr_t)r;
	}
	return (void *)(uintptr_t)sum;
}

struct chan_arg {
	gstk_chan *parent;
	uint64_t first, leaves;
};

static void *chan_node(void *arg)
{
	struct chan_arg *a = arg, child;
	uint64_t sum = 0, v;

	if (a->leaves == 1) {
		bench_check(!gstk_chan_send(a->parent, &a->first));
		return NULL;
	}
	child.leaves = a->leaves / FAN;
	bench_check(!gstk_chan_create(&child.parent, sizeof(uint64_t), 0));
	for (uint64_t i = 0; i < FAN; i++) {
		child.first = a->first + i * child.leaves;
		bench_check(!gstk_spawn(NULL, chan_node, NULL,
					GSTK_OPTS(gstk_spawn_opts, .block = &child, .block_size = sizeof(child))));
	}
	for (int i = 0; i < FAN; i++) {
		bench_check(!gstk_chan_recv(child.parent, &v));
		sum += v;
	}
	bench_check(!gstk_chan_destroy(child.parent));
	bench_check(!gstk_chan_send(a->parent, &sum));
	return NULL;
}

static void *skynet_main(void *arg)
{
	const struct bench *b = arg;
	uint64_t leaves = 1000000, t0, dt, sum;
	struct bench_mem m0, m1;

	for (double n = (double)bench_n(1000000) * 1.01; (double)leaves > n && leaves > FAN;)
		leaves /= FAN;
	m0 = bench_mem(0);
	t0 = bench_now();
	if (b->arg) {
		struct chan_arg root = { .leaves = leaves };

		bench_check(!gstk_chan_create(&root.parent, sizeof(uint64_t), 0));
		bench_check(!gstk_spawn(NULL, chan_node, NULL,
					GSTK_OPTS(gstk_spawn_opts, .block = &root, .block_size = sizeof(root))));
		bench_check(!gstk_chan_recv(root.parent, &sum));
	} else {
		gstk_task *root;
		void *r;

		bench_check(!gstk_spawn(&root, node, pack(0, leaves), NULL));
		bench_check(!gstk_join(root, &r));
		sum = (uintptr_t)r;
	}
	dt = bench_now() - t0;
	m1 = bench_mem(0);
	bench_check(sum == leaves * (leaves - 1) / 2);
	bench_emit(b->name, (double)dt / 1e6, "ms");
	bench_emit_sub(b, "peak", (double)(m1.peak_rss - m0.rss) / (1 << 20), "MiB");
	return NULL;
}

static void skynet_run(const struct bench *b)
{
	bench_main(skynet_main, (void *)b, NULL);
}

BENCH(skynet, .name = "skynet.1e6", .unit = "ms", .what = "a tree of 1,111,111 tasks, results by join",
      .also = "skynet.1e6.peak", .run = skynet_run);
BENCH(skynet_chan, .name = "skynet.1e6.chan", .unit = "ms", .what = "the same, results by channels",
      .also = "skynet.1e6.chan.peak", .run = skynet_run, .arg = 1);
