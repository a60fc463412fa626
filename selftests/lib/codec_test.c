// SPDX-License-Identifier: MIT
/* The codec: what goes in comes out; what is damaged is noticed or harmless. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "codec_corpus.h"
#include "kselftest_harness.h"
#include "park/codec.h"

#define BASE	0x7f1234580000ull
#define MAX	(64u << 10)

static uint64_t rng_state;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	return rng_state ^= rng_state << 17;
}

static void seed_rng(void)
{
	const char *s = getenv("GREENSTK_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + getpid();

	fprintf(stderr, "# seed %llu (GREENSTK_SEED repeats it)\n", (unsigned long long)seed);
	rng_state = seed | 1;
}

static int slow_variant(void)
{
	const char *v = getenv("GREENSTK_TEST_VARIANT");

	return v && (strstr(v, "san") || strstr(v, "valgrind"));
}

/* Memory that ends at an unmapped page, so that one byte too far faults. */
struct fenced {
	uint8_t *map, *end;
	size_t size;
};

static struct fenced fence(size_t bytes)
{
	struct fenced f;

	f.size = (bytes + 4095) / 4096 * 4096 + 8192;
	f.map = mmap(NULL, f.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(f.map, 4096, PROT_NONE);
	mprotect(f.map + f.size - 4096, 4096, PROT_NONE);
	f.end = f.map + f.size - 4096;
	return f;
}

static struct fenced in, out, mid;

static void fences(void)
{
	in = fence(MAX);
	out = fence(MAX);
	mid = fence(MAX + MAX / 8 + 4096);
}

/* A word as stacks have them, of every kind the codec knows. */
static uint64_t stack_word(uint64_t base, size_t n)
{
	uint64_t r = rng();

	switch (rng() % 16) {
	case 0: case 1: case 2: case 3: return 0;
	case 4: return r % 20;
	case 5: return r % 5000;
	case 6: return base - r % (n + 64) / 8 * 8;
	case 7: return base - r % (2u << 20);
	case 8: return 0x555555554000ull + r % 70000;
	case 9: return 0x7f0000000000ull + r % (1u << 26);
	case 10: return 0x550000000000ull + r % (1ull << 34);
	case 11: return r >> r % 64;
	case 12: return ~(r >> r % 64);
	case 13: return (r % 20) << 32 | (r >> 32) % 300;
	case 14: return r & 0xff00ff0000ff00ffull;
	default: return r;
	}
}

static void fill(uint64_t *w, size_t nr, uint64_t base)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t r = rng();

		if (i && r % 8 == 0)
			w[i] = w[rng() % i];
		else if (i && r % 8 == 1)
			w[i] = w[i - 1];
		else
			w[i] = stack_word(base, nr * 8);
	}
}

/* Pack and unpack with every byte of both buffers next to a fence. */
static const char *round_trip(const void *src, size_t n, uintptr_t base,
			      const struct gstk__codec_ref *r, size_t *packed)
{
	uint8_t *dst = out.end - n;
	uint8_t *tmp = mid.end - (MAX + MAX / 8 + 4096);
	size_t got;

	got = r ? gstk__codec_pack_ref(tmp, mid.end - tmp, src, n, base, r)
		: gstk__codec_pack(tmp, mid.end - tmp, src, n, base);
	*packed = got;
	if (!got)
		return "does not fit a larger buffer";
	memmove(mid.end - got, tmp, got);
	memset(dst, 0xa5, n);
	if (r ? gstk__codec_unpack_ref(dst, n, mid.end - got, got, base, r)
	      : gstk__codec_unpack(dst, n, mid.end - got, got, base))
		return "unpack refuses what pack made";
	if (memcmp(dst, src, n))
		return "other bytes came out";
	return NULL;
}

#define EXPECT_ROUND_TRIP(src, n, base, r, packed) do {				\
	const char *__why = round_trip(src, n, base, r, packed);		\
	ASSERT_EQ(NULL, __why) TH_LOG("%s (%zu bytes)", __why, (size_t)(n));	\
} while (0)

TEST(every_interesting_word_alone_and_in_company)
{
	uint64_t w[2], around[3] = { 0, 0x7f0011223344ull, 0xdeadbeefcafebabeull };
	size_t packed;

	fences();
	for (int hi = 0; hi < 64; hi++)
		for (int lo = 0; lo <= hi; lo++)
			for (int form = 0; form < 4; form++) {
				uint64_t x = 1ull << hi | 1ull << lo;

				x = form == 0 ? x : form == 1 ? ~x : form == 2 ? BASE - x
					: (1ull << hi) - (1ull << lo);
				for (int a = 0; a < 3; a++) {
					w[0] = around[a];
					w[1] = x;
					EXPECT_ROUND_TRIP(w, 16, BASE, NULL, &packed);
					w[1] = w[0];
					w[0] = x;
					EXPECT_ROUND_TRIP(w, 16, BASE, NULL, &packed);
				}
				EXPECT_ROUND_TRIP(&x, 8, BASE, NULL, &packed);
			}
}

TEST(every_small_word_and_every_stack_pointer)
{
	size_t packed;
	uint64_t w;

	fences();
	for (w = 0; w < 70000; w++)
		EXPECT_ROUND_TRIP(&w, 8, BASE, NULL, &packed);
	for (uint64_t off = 0; off < 70000; off++) {
		w = BASE - off;
		EXPECT_ROUND_TRIP(&w, 8, BASE, NULL, &packed);
		ASSERT_LE(packed, off % 8 || off >= 32768 ? 3 : 2);
	}
}

/* All images of four words over an alphabet that makes every operation meet every other. */
TEST(every_sequence_of_four_over_a_small_alphabet)
{
	static const uint64_t word[] = { 0, 7, 300, BASE - 64, BASE - 63, 0x7f0011223344ull,
					 0x7f0011229988ull, 0x7f00ff223344ull, ~5ull, 0x500000003ull,
					 0xdeadbeefcafebabeull, 0x12000000340056ull, 0xdeadbeefcafebabfull };
	enum { K = sizeof(word) / sizeof(*word) };
	uint64_t w[4], ref[4];
	uint8_t moves[1];
	struct gstk__codec_ref r = { ref, moves, BASE - 4096, 32 };
	size_t packed;

	fences();
	for (int i = 0; i < K * K * K * K; i++) {
		for (int k = 0, x = i; k < 4; k++, x /= K) {
			w[k] = word[x % K];
			ref[k] = word[(x / 7 + k) % K];
		}
		EXPECT_ROUND_TRIP(w, 32, BASE, NULL, &packed);
		gstk__codec_ref_moves(moves, ref, 32, r.base);
		EXPECT_ROUND_TRIP(w, 32, BASE, &r, &packed);
	}
}

TEST(runs_of_every_length)
{
	static uint64_t w[1200];
	size_t packed;

	fences();
	for (size_t lead = 0; lead < 2; lead++)
		for (size_t run = 1; run < 1100; run++) {
			memset(w, 0, sizeof(w));
			w[0] = lead ? 0x123456789abcdefull : 0;
			w[lead + run] = 0xfedcba987654321ull;
			EXPECT_ROUND_TRIP(w, (lead + run + 1) * 8, BASE, NULL, &packed);
		}
	/* Literals and repetitions beyond one operation's reach. */
	seed_rng();
	for (size_t run = 1; run < 600; run++) {
		for (size_t i = 0; i < run; i++)
			w[i] = rng() | 0x8000000000000001ull;
		memcpy(w + run, w, run * 8);
		EXPECT_ROUND_TRIP(w, run * 16, BASE, NULL, &packed);
	}
}

TEST(random_images_with_and_without_reference)
{
	uint64_t *w = (uint64_t *)calloc(1, MAX), *ref = (uint64_t *)calloc(1, MAX);
	uint8_t *moves = (uint8_t *)calloc(1, MAX / 64);
	int rounds = slow_variant() ? 2000 : 40000;
	size_t packed;

	fences();
	seed_rng();
	for (int i = 0; i < rounds; i++) {
		size_t nr = 1 + rng() % (i % 64 ? 300 : MAX / 8);
		struct gstk__codec_ref r = { ref, moves, BASE + rng() % 64 * 4096, nr * 8 };

		fill(w, nr, BASE);
		EXPECT_ROUND_TRIP(w, nr * 8, BASE, NULL, &packed);
		/* Another task of the same chain: some words differ, pointers move along. */
		gstk__codec_ref_moves(moves, w, nr * 8, BASE);
		for (size_t k = 0; k < nr; k++) {
			ref[k] = moves[k / 8] >> k % 8 & 1 ? w[k] + (r.base - BASE) : w[k];
			if (rng() % 10 == 0)
				ref[k] = rng() % 2 ? rng() : ref[k] ^ rng() % 65536;
		}
		gstk__codec_ref_moves(moves, ref, nr * 8, r.base);
		EXPECT_ROUND_TRIP(w, nr * 8, BASE, &r, &packed);
	}
	free(w);
	free(ref);
	free(moves);
}

TEST(an_equal_stack_in_another_window_costs_nothing)
{
	uint64_t w[150], ref[150];
	uint8_t moves[20];
	struct gstk__codec_ref r = { ref, moves, BASE - 0x40000, sizeof(ref) };
	size_t packed;

	fences();
	seed_rng();
	for (int i = 0; i < 150; i++) {
		int sp = rng() % 3 == 0;
		uint64_t off = rng() % (sizeof(w) / 8) * 8;

		w[i] = sp ? BASE - off : rng();
		ref[i] = sp ? r.base - off : w[i];
	}
	gstk__codec_ref_moves(moves, ref, sizeof(ref), r.base);
	EXPECT_ROUND_TRIP(w, sizeof(w), BASE, &r, &packed);
	EXPECT_LE(packed, 4);
}

TEST(too_small_a_buffer_is_refused_and_not_overrun)
{
	static uint64_t w[200];
	size_t packed, got;

	fences();
	seed_rng();
	fill(w, 200, BASE);
	EXPECT_ROUND_TRIP(w, sizeof(w), BASE, NULL, &packed);
	for (size_t cap = 0; cap < packed; cap++) {
		got = gstk__codec_pack(mid.end - cap, cap, w, sizeof(w), BASE);
		ASSERT_EQ(0, got);
	}
}

TEST(sizes_that_are_none_are_refused)
{
	uint64_t w[4] = { 0 };
	uint8_t buf[64];

	EXPECT_EQ(0, gstk__codec_pack(buf, 64, w, 0, BASE));
	EXPECT_EQ(0, gstk__codec_pack(buf, 64, w, 12, BASE));
	EXPECT_EQ(0, gstk__codec_pack(buf, 64, w, GSTK__CODEC_MAX + 8, BASE));
	EXPECT_EQ(-EINVAL, gstk__codec_unpack(w, 12, buf, 1, BASE));
}

/* Damaged and random streams: any result, but no byte outside, which the fences
 * (and the sanitizers) would notice, on either side. */
TEST(damaged_streams_never_leave_the_buffers)
{
	uint64_t *w = (uint64_t *)calloc(1, MAX);
	uint8_t *tmp = (uint8_t *)malloc(2 * MAX), *moves = (uint8_t *)calloc(1, MAX / 64);
	int rounds = slow_variant() ? 20000 : 1000000, refused = 0;

	fences();
	seed_rng();
	for (int i = 0; i < rounds; i++) {
		size_t nr = 1 + rng() % 80, n = nr * 8, got, len;
		int with_ref = rng() % 2, kind = rng() % 4;
		struct gstk__codec_ref r = { w + nr, moves, BASE - 4096, n };
		uint8_t *s;

		if (i % 16 == 0) {
			fill(w, 2 * nr, BASE);
			gstk__codec_ref_moves(moves, w + nr, n, r.base);
		}
		got = with_ref ? gstk__codec_pack_ref(tmp, 2 * MAX, w, n, BASE, &r)
			       : gstk__codec_pack(tmp, 2 * MAX, w, n, BASE);
		ASSERT_NE(0, got);
		len = got;
		if (kind == 0)
			len = rng() % (got + 1);	/* cut */
		for (int k = rng() % 4; kind == 1 && k >= 0; k--)
			tmp[rng() % got] ^= 1u << rng() % 8;
		for (size_t k = 0; kind == 2 && k < got; k++)
			tmp[k] = (uint8_t)rng();
		if (kind == 3)				/* another size than it was */
			n = (1 + rng() % 80) * 8, r.n = n;
		s = mid.end - len;
		memcpy(s, tmp, len);
		/* Start of dst at a fence in half of the rounds, its end in the others. */
		if (rng() % 2)
			refused += !!(with_ref ? gstk__codec_unpack_ref(out.map + 4096, n, s, len, BASE, &r)
					       : gstk__codec_unpack(out.map + 4096, n, s, len, BASE));
		else
			refused += !!(with_ref ? gstk__codec_unpack_ref(out.end - n, n, s, len, BASE, &r)
					       : gstk__codec_unpack(out.end - n, n, s, len, BASE));
	}
	EXPECT_GT(refused, rounds / 4);
	free(w);
	free(tmp);
	free(moves);
}

TEST(real_stacks_round_trip_and_pack_well)
{
	struct corpus_image *list, *im, *first;
	size_t total = 0, alone = 0, with_ref = 0, packed, nr = 0;
	uint8_t moves[4096];

	if (slow_variant())
		SKIP(return, "the instrumented stacks are not real ones");
	fences();
	list = corpus_collect(4);
	if (!list)
		SKIP(return, "no stack of a blocked thread could be read");
	for (first = im = list; im; im = im->next) {
		if (strcmp(first->chain, im->chain))
			first = im;
		if (im->bytes > MAX)
			continue;
		EXPECT_ROUND_TRIP(im->data, im->bytes, im->base, NULL, &packed);
		total += im->bytes;
		alone += packed;
		if (im != first && im->bytes == first->bytes) {
			struct gstk__codec_ref r = { (uint64_t *)first->data, moves, first->base,
						     first->bytes };

			gstk__codec_ref_moves(moves, first->data, first->bytes, first->base);
			EXPECT_ROUND_TRIP(im->data, im->bytes, im->base, &r, &packed);
		}
		with_ref += packed;
		nr++;
	}
	fprintf(stderr, "# %zu real stacks: ratio %.2f alone, %.2f with references\n", nr,
		(double)total / alone, (double)total / with_ref);
	EXPECT_GE(nr, 40);
	EXPECT_GE(total, alone * 3);
	EXPECT_GE(total, with_ref * 4);
	corpus_free(list);
}

TEST_HARNESS_MAIN
