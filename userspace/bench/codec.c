// SPDX-License-Identifier: MIT
/* codec.*: packing of real stacks by itself, beside what was not chosen. The figures of the whole way are memory.*. */
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "bench.h"
#include "park/codec.h"		/* internal: what is measured */
#include "park/copy.h"		/* internal: what is measured */
#include "park/tier_pack.h"	/* internal: what is measured */

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
	struct gstk__arena_cache *cache = calloc(1, sizeof(*cache));
	struct gstk__pack_stats st;
	uint32_t *packed;

	bench_check(cache && !gstk__arena_init(0));
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
