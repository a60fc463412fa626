// SPDX-License-Identifier: MIT
/*
 * copy.*, arena.*, codec.*: what the tiers below the scheduler cost by themselves, beside what was
 * not chosen. The figures of the whole way are park.* and memory.*.
 */
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "bench.h"
#include "park/codec.h"		/* internal: what is measured */
#include "park/copy.h"		/* internal: what is measured */
#include "park/tier_pack.h"	/* internal: what is measured */

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

/* ---- codec, on real stacks ---- */

struct image {
	char chain[32];
	uint64_t base, bytes;
	uint8_t *data;
};

static struct image *images;
static size_t nr_images;

/* The generator is a program of its own: it loads the libraries whose stacks it takes. */
static void load_corpus(void)
{
	char self[512] = "", cmd[600];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct image im;
	FILE *f;

	bench_check(n > 0);
	*strrchr(self, '/') = 0;
	snprintf(cmd, sizeof(cmd), "'%s/codec-corpus' 8", self);
	f = popen(cmd, "r");
	bench_check(f);
	while (fread(&im, 48, 1, f) == 1) {
		im.data = malloc(im.bytes);
		bench_check(im.data && fread(im.data, im.bytes, 1, f) == 1);
		images = realloc(images, (nr_images + 1) * sizeof(*images));
		images[nr_images++] = im;
	}
	if (pclose(f) || !nr_images)
		bench_skip("no stacks: %s failed", cmd);
}

struct method {
	const char *name;
	size_t (*pack)(uint8_t *dst, size_t cap, const struct image *im, const struct image *first);
	int (*unpack)(uint8_t *dst, const uint8_t *src, size_t packed, const struct image *im,
		      const struct image *first);
};

static struct gstk__codec_ref reference(const struct image *first)
{
	static const struct image *last;
	static uint8_t moves[8192];

	if (last != first)
		gstk__codec_ref_moves(moves, first->data, first->bytes, first->base);
	last = first;
	return (struct gstk__codec_ref){ (const uint64_t *)first->data, moves, first->base, first->bytes };
}

static size_t own_pack(uint8_t *d, size_t cap, const struct image *im, const struct image *first)
{
	return gstk__codec_pack(d, cap, im->data, im->bytes, im->base);
}

static int own_unpack(uint8_t *d, const uint8_t *s, size_t n, const struct image *im, const struct image *first)
{
	return gstk__codec_unpack(d, im->bytes, s, n, im->base);
}

static size_t ref_pack(uint8_t *d, size_t cap, const struct image *im, const struct image *first)
{
	struct gstk__codec_ref r = reference(first);

	return first == im || first->bytes != im->bytes ? own_pack(d, cap, im, first)
		: gstk__codec_pack_ref(d, cap, im->data, im->bytes, im->base, &r);
}

static int ref_unpack(uint8_t *d, const uint8_t *s, size_t n, const struct image *im, const struct image *first)
{
	struct gstk__codec_ref r = reference(first);

	return first == im || first->bytes != im->bytes ? own_unpack(d, s, n, im, first)
		: gstk__codec_unpack_ref(d, im->bytes, s, n, im->base, &r);
}

static size_t lz4_pack(uint8_t *d, size_t cap, const struct image *im, const struct image *first)
{
	return (size_t)LZ4_compress_default((char *)im->data, (char *)d, (int)im->bytes, (int)cap);
}

static int lz4_unpack(uint8_t *d, const uint8_t *s, size_t n, const struct image *im, const struct image *first)
{
	return LZ4_decompress_safe((const char *)s, (char *)d, (int)n, (int)im->bytes) != (int)im->bytes;
}

static ZSTD_CCtx *cctx;
static ZSTD_DCtx *dctx;

static size_t zstd_pack(uint8_t *d, size_t cap, const struct image *im, const struct image *first)
{
	return ZSTD_compressCCtx(cctx, d, cap, im->data, im->bytes, 1);
}

static int zstd_unpack(uint8_t *d, const uint8_t *s, size_t n, const struct image *im, const struct image *first)
{
	return ZSTD_decompressDCtx(dctx, d, im->bytes, s, n) != im->bytes;
}

static const struct method methods[] = {
	{ "own", own_pack, own_unpack }, { "ref", ref_pack, ref_unpack },
	{ "lz4", lz4_pack, lz4_unpack }, { "zstd", zstd_pack, zstd_unpack },
};

/* Images of more than lo and at most hi bytes; ratio and ns a KiB, each image cold in turn. */
static void codec_run(const struct bench *b)
{
	uint64_t lo = (uint64_t)b->arg, hi = (uint64_t)b->arg2;
	uint8_t *dst = malloc(1 << 20), **packed;
	char name[32];

	load_corpus();
	cctx = ZSTD_createCCtx();
	dctx = ZSTD_createDCtx();
	packed = calloc(nr_images, sizeof(*packed));
	for (unsigned int m = 0; m < sizeof(methods) / sizeof(*methods); m++) {
		uint64_t total = 0, out = 0, pack_ns = 0, unpack_ns = 0, t, reps = bench_n(20);
		size_t *size = calloc(nr_images, sizeof(*size)), first = 0;

		for (uint64_t rep = 0; rep < reps; rep++) {
			for (size_t i = 0; i < nr_images; i++) {
				first = strcmp(images[first].chain, images[i].chain) ? i : first;
				if (images[i].bytes <= lo || images[i].bytes > hi)
					continue;
				if (methods[m].pack == ref_pack)
					reference(&images[first]);
				t = bench_now();
				size[i] = methods[m].pack(dst, 1 << 20, &images[i], &images[first]);
				pack_ns += bench_now() - t;
				bench_check(size[i] && size[i] < 1 << 20);
				packed[i] = realloc(packed[i], size[i]);
				memcpy(packed[i], dst, size[i]);
			}
			for (size_t i = 0; i < nr_images; i++) {
				first = strcmp(images[first].chain, images[i].chain) ? i : first;
				if (!size[i])
					continue;
				if (methods[m].pack == ref_pack)
					reference(&images[first]);
				t = bench_now();
				bench_check(!methods[m].unpack(dst, packed[i], size[i], &images[i], &images[first]));
				unpack_ns += bench_now() - t;
				bench_check(!memcmp(dst, images[i].data, images[i].bytes));
				total += images[i].bytes;
				out += size[i];
			}
		}
		if (!total)
			bench_skip("no stacks of this size");
		snprintf(name, sizeof(name), "ratio.%s", methods[m].name);
		bench_emit_sub(b, name, (double)total / (double)out, "x");
		snprintf(name, sizeof(name), "pack.%s", methods[m].name);
		bench_emit_sub(b, name, (double)pack_ns * 1024 / (double)total, "ns/KiB");
		snprintf(name, sizeof(name), "unpack.%s", methods[m].name);
		bench_emit_sub(b, name, (double)unpack_ns * 1024 / (double)total, "ns/KiB");
		free(size);
	}
}
#define CODEC(id, lo, hi) \
	BENCH(codec_##id, .name = "codec." #id, .unit = "x", .run = codec_run, .arg = lo, .arg2 = hi, \
	      .cpus = 0, .what = "real parked stacks of " #lo " to " #hi " bytes: ratio, ns a KiB")
CODEC(512, 0, 512);
CODEC(1k, 512, 1024);
CODEC(4k, 1024, 4096);
CODEC(16k, 4096, 65536);

/* The whole corpus through the tier: tasks of 64 bytes included, references counted. */
static void codec_tier(const struct bench *b)
{
	uint64_t copied = 0, now = 0, pack_ns = 0, unpack_ns = 0, t, nr;
	uint8_t *dst = malloc(1 << 20);
	struct gstk__pack_stats st;
	uint32_t *packed;

	setup();
	load_corpus();
	nr = nr_images * bench_n(40);	/* each chain 40 x 8 times */
	packed = calloc(nr, sizeof(*packed));
	for (uint64_t i = 0; i < nr; i++) {
		struct image *im = &images[i % nr_images];

		copied += 64 + (im->bytes + 15) / 16 * 16;
		t = bench_now();
		bench_check(!gstk__pack_bytes(cache, im->data, (uint32_t)im->bytes, im->base - im->bytes, &packed[i]));
		pack_ns += bench_now() - t;
		now += 64 + gstk__packed_bytes(packed[i]);
	}
	gstk__pack_stats(&st);
	for (uint64_t i = 0; i < nr; i++) {
		struct image *im = &images[i % nr_images];

		t = bench_now();
		bench_check(!gstk__unpack_image(dst, (uint32_t)im->bytes, packed[i], im->base - im->bytes));
		unpack_ns += bench_now() - t;
		bench_check(!memcmp(dst, im->data, im->bytes));
		gstk__packed_free(cache, packed[i], (uint32_t)im->bytes);
	}
	bench_emit_sub(b, "share", (double)(now + st.ref_bytes) / (double)copied, "ratio");
	bench_emit_sub(b, "pack", (double)pack_ns / (double)nr, "ns");
	bench_emit_sub(b, "unpack", (double)unpack_ns / (double)nr, "ns");
	bench_emit_sub(b, "hits", 100.0 * (double)st.nr_ref_hits / (double)nr, "percent");
}
BENCH(codec_tier, .name = "codec.tier", .unit = "ratio", .run = codec_tier, .what = "real parked stacks through the tier, task and references included");
