// SPDX-License-Identifier: MIT
/*
 * copy.*, arena.*: what images of stacks cost below the scheduler, beside what was not chosen. The figures
 * of the whole way are park.* and memory.*.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "bench.h"
#include "park/copy.h"		/* internal: what is measured */

#define WINDOW	(256u << 10)

static struct gstk__arena_cache *cache;
static char *window;

static void setup(void)
{
	bench_check(!gstk__arena_init(0));
	gstk__copy_init();
	cache = calloc(1, sizeof(*cache));
	window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_check(cache && window != MAP_FAILED);
	memset(window, 1, WINDOW);
}

/* ---- copy: save the resident, restore another; the block vacated is the next one taken ---- */

static void copy_hot(const struct bench *b)
{
	uint32_t n = (uint32_t)b->arg, here, next;
	uint64_t loops = bench_n(200000000 / (n + 500)), t;
	char *sp;

	setup();
	sp = window + WINDOW - 192 - n;
	here = gstk__arena_alloc(cache, n);
	gstk__copy_save(here, sp, n);
	t = bench_now();
	for (uint64_t i = 0; i < loops; i++) {
		next = gstk__arena_alloc(cache, n);
		gstk__copy_save(next, sp, n);
		gstk__copy_restore(sp, here, n);
		gstk__arena_free(cache, here, n);
		here = next;
		bench_use(sp);
	}
	bench_emit(b->name, (double)(bench_now() - t) / (double)loops, "ns");
}
BENCH(copy_64, .name = "copy.64.hot", .unit = "ns", .what = "save and restore 64 bytes, hot", .run = copy_hot, .arg = 64, .cpus = 1);
BENCH(copy_128, .name = "copy.128.hot", .unit = "ns", .what = "save and restore 128 bytes, hot", .run = copy_hot, .arg = 128, .cpus = 1);
BENCH(copy_512, .name = "copy.512.hot", .unit = "ns", .what = "save and restore 512 bytes, hot", .run = copy_hot, .arg = 512, .cpus = 1);
BENCH(copy_1k, .name = "copy.1024.hot", .unit = "ns", .what = "save and restore 1 KiB, hot", .run = copy_hot, .arg = 1024, .cpus = 1);
BENCH(copy_1256, .name = "copy.1256.hot", .unit = "ns", .what = "save and restore the median stack, hot", .run = copy_hot, .arg = 1256, .cpus = 1);
BENCH(copy_4k, .name = "copy.4096.hot", .unit = "ns", .what = "save and restore 4 KiB, hot", .run = copy_hot, .arg = 4096, .cpus = 1);
BENCH(copy_16k, .name = "copy.16384.hot", .unit = "ns", .what = "save and restore 16 KiB, hot", .run = copy_hot, .arg = 16384, .cpus = 1);
BENCH(copy_64k, .name = "copy.65536.hot", .unit = "ns", .what = "save and restore 64 KiB, hot", .run = copy_hot, .arg = 65536, .cpus = 1);

/* arg2: 0 as it comes, 1 without huge pages, 2 full chunks collapsed afterwards */
static void copy_cold(const struct bench *b)
{
	static const char *const pages[] = { "", ".4k", ".collapsed" };
	static const char *const way[] = { "plain", "prefetched", "prefetched_early" };
	uint32_t n = (uint32_t)b->arg, nr, *ref, saved;
	uint64_t t, passes, pass;
	char *sp, suffix[32];

	if (b->arg2 == 1)
		bench_check(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	setup();
	sp = window + WINDOW - 192 - n;
	nr = (uint32_t)bench_n((1ull << 30) / n);
	ref = calloc(nr, sizeof(*ref));
	t = bench_now();
	for (uint32_t i = 0; i < nr; i++) {
		ref[i] = gstk__arena_alloc(cache, n);
		bench_check(ref[i]);
		gstk__copy_save(ref[i], sp, n);
	}
	snprintf(suffix, sizeof(suffix), "first%s", pages[b->arg2]);
	bench_emit_sub(b, suffix, (double)(bench_now() - t) / nr, "ns");
	if (b->arg2 == 2) {
		int done;

		t = bench_now();
		done = gstk__arena_collapse(1 << 20);
		if (done)
			bench_emit_sub(b, "collapse_chunk", (double)(bench_now() - t) / done, "ns");
	}
	/* Any order but that of the addresses: tasks are woken by others. */
	{
		uint32_t *order = bench_permutation(nr, 42);

		for (uint32_t i = 0; i < nr; i++)
			order[i] = ref[order[i]];
		free(ref);
		ref = order;
	}
	passes = nr < 2000000 ? nr : 2000000;
	for (pass = 0; pass < 3; pass++) {
		t = bench_now();
		for (uint32_t i = 0; i + 2 < passes; i++) {
			if (pass)	/* the next task's, or while another one still runs */
				gstk__copy_prefetch(ref[i + pass], n);
			saved = gstk__arena_alloc(cache, n);
			gstk__copy_save(saved, sp, n);
			gstk__copy_restore(sp, ref[i], n);
			gstk__arena_free(cache, ref[i], n);
			ref[i] = saved;
			bench_use(sp);
		}
		snprintf(suffix, sizeof(suffix), "%s%s", way[pass], pages[b->arg2]);
		bench_emit_sub(b, suffix, (double)(bench_now() - t) / (double)passes, "ns");
		/* The second round meets the blocks in the order that the first left. */
		for (uint32_t i = nr - 1, seed = 7; i; i--) {
			uint32_t k = (seed = seed * 1664525 + 1013904223) % (i + 1), x = ref[i];

			ref[i] = ref[k];
			ref[k] = x;
		}
	}
}
#define COLD(id, size, arg2_, sfx) \
	BENCH(cold_##id, .name = "copy." #size ".cold" sfx, .unit = "ns", .run = copy_cold, .arg = size, \
	      .arg2 = arg2_, .cpus = 1, .limit_s = 120, .what = "save, restore a random one of 1 GiB of images" sfx)
COLD(128, 128, 0, "");
COLD(512, 512, 0, "");
COLD(1k, 1024, 0, "");
COLD(4k, 4096, 0, "");
COLD(512s, 512, 1, "-4k");
COLD(1ks, 1024, 1, "-4k");
COLD(4ks, 4096, 1, "-4k");
COLD(1kc, 1024, 2, "-collapsed");

static void copy_impl(const struct bench *b)
{
	static const uint32_t size[] = { 64, 256, 512, 1024, 1040, 1256, 2064, 4096, 4112, 16384, 65536 };
	const struct gstk__copy_impl *im;
	uint32_t from, to;
	char name[64];

	setup();
	for (im = gstk__copy_impls(); im->name; im++)
		for (unsigned int i = 0; i < sizeof(size) / sizeof(*size) && im->usable; i++) {
			uint32_t n = size[i];
			uint64_t loops = bench_n(40000000 / (n + 500)), t;
			char *sp = window + WINDOW - 192 - n;

			from = gstk__arena_alloc(cache, n);
			to = gstk__arena_alloc(cache, n);
			memset(gstk__arena_ptr(from), 1, n);
			t = bench_now();
			for (uint64_t k = 0; k < loops; k++) {
				im->fn(gstk__arena_ptr(to), sp, n);
				im->fn(sp, gstk__arena_ptr(from), n);
				bench_use(sp);
			}
			snprintf(name, sizeof(name), "%s.%u", im->name[0] == 'r' ? "rep_movsb" : im->name, n);
			bench_emit_sub(b, name, (double)(bench_now() - t) / (double)loops, "ns");
			gstk__arena_free(cache, from, n);
			gstk__arena_free(cache, to, n);
		}
}
BENCH(copy_impl, .name = "copy.impl", .unit = "ns", .what = "every copy routine, hot, both ways", .run = copy_impl, .cpus = 1);

/* ---- arena ---- */

static void arena_hot(const struct bench *b)
{
	uint64_t loops = bench_n(50000000), t;
	uint32_t ref;

	setup();
	t = bench_now();
	for (uint64_t i = 0; i < loops; i++) {
		ref = gstk__arena_alloc(cache, 904);
		bench_use(ref);
		gstk__arena_free(cache, ref, 904);
	}
	bench_emit(b->name, (double)(bench_now() - t) / (double)loops, "ns");
}
BENCH(arena_hot, .name = "arena.hot", .unit = "ns", .what = "allocate and free a block", .run = arena_hot, .cpus = 1);

static void arena_random(const struct bench *b)
{
	uint64_t nr = bench_n(1000000), t;
	uint32_t *ref, *order;

	setup();
	ref = calloc(nr, 4);
	order = bench_permutation(nr, 3);
	t = bench_now();
	for (uint64_t i = 0; i < nr; i++)
		bench_check((ref[i] = gstk__arena_alloc(cache, 904)));
	bench_emit_sub(b, "alloc", (double)(bench_now() - t) / (double)nr, "ns");
	t = bench_now();
	for (uint64_t i = 0; i < nr; i++)
		gstk__arena_free(cache, ref[order[i]], 904);
	bench_emit_sub(b, "free", (double)(bench_now() - t) / (double)nr, "ns");
}
BENCH(arena_random, .name = "arena.million", .unit = "ns", .what = "a million blocks, freed in random order", .run = arena_random, .cpus = 1);

static void arena_bytes(const struct bench *b)
{
	uint32_t n = (uint32_t)b->arg;
	uint64_t nr = bench_n((uint64_t)b->arg2);
	struct bench_mem before, after;

	setup();
	before = bench_mem(0);
	for (uint64_t i = 0; i < nr; i++)
		memset(gstk__arena_ptr(gstk__arena_alloc(cache, n)), 1, n);
	after = bench_mem(0);
	bench_emit(b->name, bench_mem_growth(&before, &after) / (double)nr, "bytes");
}
BENCH(arena_128, .name = "arena.bytes.128", .unit = "bytes", .what = "(RSS + page tables) an image of 128 bytes, a million", .run = arena_bytes, .arg = 128, .arg2 = 1000000, .flags = BENCH_UNTIMED);
BENCH(arena_900, .name = "arena.bytes.900", .unit = "bytes", .what = "the same for 900 bytes", .run = arena_bytes, .arg = 900, .arg2 = 1000000, .flags = BENCH_UNTIMED);
BENCH(arena_4000, .name = "arena.bytes.4000", .unit = "bytes", .what = "the same for 4000 bytes, 100,000", .run = arena_bytes, .arg = 4000, .arg2 = 100000, .flags = BENCH_UNTIMED);
