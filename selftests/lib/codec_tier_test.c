// SPDX-License-Identifier: MIT
/* Tier PACKED: blocks that describe themselves, references, both stages, running out. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec_corpus.h"
#include "kselftest_harness.h"
#include "park/arena.h"
#include "park/codec.h"
#include "park/tier_pack.h"

#define BASE	0x7f1234580000ull
#define TASK	64	/* bytes of a task structure */

static __thread uint64_t rng_state;

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

/* The stack of task `id` in call chain `chain`: equal but for a few words and the base. */
static uint32_t chain_image(uint64_t *w, uint32_t chain, uint64_t id, uint64_t base)
{
	uint64_t x = chain * 0x9e3779b97f4a7c15ull | 1;
	uint32_t nr = 20 + chain * 7 % 200;

	for (uint32_t i = 0; i < nr; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		switch (x % 6) {
		case 0: w[i] = 0; break;
		case 1: w[i] = base - x / 8 % nr * 8; break;
		case 2: w[i] = 0x555555550000 + x / 8 % 70000; break;
		case 3: w[i] = x >> 56; break;
		case 4: w[i] = 0x7f8800000000 + x / 8 % 1000000; break;
		case 5: w[i] = x % 30 < 10 ? 0x600000000000 + id * 192 : x; break;
		}
	}
	return nr * 8;
}

FIXTURE(pack) {
	struct gstk__arena_cache *c;
};
FIXTURE_SETUP(pack)
{
	ASSERT_EQ(0, gstk__arena_init(0));
	self->c = calloc(1, sizeof(*self->c));
}
FIXTURE_TEARDOWN(pack)
{
	struct gstk__pack_stats ps;
	struct gstk__arena_stats st;

	gstk__arena_fail = NULL;
	gstk__pack_stats(&ps);
	EXPECT_EQ(0, ps.nr_live);
	EXPECT_EQ(0, ps.source_bytes);
	EXPECT_EQ(0, ps.packed_bytes);
	EXPECT_EQ(0, ps.ref_uses);
	gstk__pack_fini();
	gstk__arena_cache_flush(self->c);
	gstk__arena_stats(&st);
	EXPECT_EQ(0, st.nr_live);
	gstk__arena_fini();
	free(self->c);
}

/* Pack, look at the size, unpack elsewhere, free. Returns the block's bytes or -errno. */
static int there_and_back(struct gstk__arena_cache *c, const void *src, uint32_t bytes)
{
	uint8_t *dst = malloc(bytes);
	uint32_t packed;
	int n = gstk__pack_bytes(c, src, bytes, BASE - bytes, &packed);

	if (!n) {
		n = gstk__packed_bytes(packed);
		if (gstk__unpack_image(dst, bytes, packed, BASE - bytes) || memcmp(dst, src, bytes))
			n = -EILSEQ;
		gstk__packed_free(c, packed, bytes);
	}
	free(dst);
	return n;
}

TEST_F(pack, noise_does_not_pay)
{
	uint64_t w[512];

	seed_rng();
	for (int i = 0; i < 512; i++)
		w[i] = rng();
	for (uint32_t bytes = 8; bytes <= sizeof(w); bytes += 8)
		ASSERT_EQ(-ENOSPC, there_and_back(self->c, w, bytes));
}

TEST_F(pack, a_gain_below_an_eighth_does_not_pay)
{
	uint64_t w[512];

	seed_rng();
	for (int zeros = 0; zeros < 512; zeros += 4) {
		int n;

		for (int i = 0; i < 512; i++)
			w[i] = i < zeros ? 0 : rng() | 0x80808080808080ull << 8;
		n = there_and_back(self->c, w, sizeof(w));
		if (zeros < 512 / 8) {
			ASSERT_EQ(-ENOSPC, n);
		} else if (zeros > 512 / 8 + 16) {
			ASSERT_GT(n, 0);
			ASSERT_LE(n, 7 * 512);
		}
	}
}

TEST_F(pack, every_size_round_trips)
{
	static uint64_t w[64 << 10];

	for (uint32_t i = 0; i < sizeof(w) / 8; i++)
		w[i] = i % 5 == 0 ? BASE - i : i % 5 == 1 ? 0x555500000000u + i * 16 : i % 3u;
	for (uint32_t bytes = 40; bytes <= 9000; bytes += 8)
		ASSERT_GT(there_and_back(self->c, w, bytes), 0);
	for (uint32_t bytes = 9000; bytes <= sizeof(w) - 5000; bytes += 4 * 1232)
		ASSERT_GT(there_and_back(self->c, w, bytes), 0);
	/* At the codec's limit and beyond. */
	ASSERT_GT(there_and_back(self->c, w, GSTK__CODEC_MAX), 0);
	ASSERT_GT(there_and_back(self->c, w, GSTK__CODEC_MAX + 8), 0);
	ASSERT_GT(there_and_back(self->c, w, sizeof(w)), 0);
}

TEST_F(pack, a_buffer_of_text_takes_the_second_stage)
{
	static char text[16384];
	struct gstk__pack_stats st;
	size_t n = 0;
	int got;

	for (int i = 0; n < sizeof(text); i++)
		n += snprintf(text + n, sizeof(text) - n, "X-Header-%d: some value of the header, number %d\r\n",
			      i, i * i) ;
	got = there_and_back(self->c, text, sizeof(text));
	ASSERT_GT(got, 0);
	EXPECT_LE(got, (int)sizeof(text) / 2);
	gstk__pack_stats(&st);
	EXPECT_EQ(1, st.nr_second_stage);
}

TEST_F(pack, tasks_of_one_chain_share_a_reference)
{
	enum { N = 2000 };
	static uint32_t packed[N], bytes[N];
	struct gstk__pack_stats st;
	uint64_t w[256], back[256], total = 0;

	for (int i = 0; i < N; i++) {
		uint64_t base = BASE + (i % 100) * 0x40000;

		bytes[i] = chain_image(w, i % 10, i, base);
		ASSERT_EQ(0, gstk__pack_bytes(self->c, w, bytes[i], base - bytes[i], &packed[i]));
		total += bytes[i];
	}
	gstk__pack_stats(&st);
	EXPECT_EQ(N, st.nr_live);
	EXPECT_EQ(total, st.source_bytes);
	EXPECT_GE(st.nr_refs, 1);
	EXPECT_LE(st.nr_refs, 10);
	EXPECT_GE(st.nr_ref_hits, N - 10 * 4);
	EXPECT_LE(st.packed_bytes, total / 8);
	EXPECT_EQ(st.ref_uses, st.nr_ref_hits);
	EXPECT_LE(st.ref_bytes, (64 << 10) + total / 64);
	for (int i = N - 1; i >= 0; i--) {
		uint64_t base = BASE + (i % 100) * 0x40000;

		chain_image(w, i % 10, i, base);
		ASSERT_EQ(0, gstk__unpack_image(back, bytes[i], packed[i], base - bytes[i]));
		ASSERT_EQ(0, memcmp(w, back, bytes[i]));
		gstk__packed_free(self->c, packed[i], bytes[i]);
	}
}

TEST_F(pack, references_give_way_when_nothing_uses_them)
{
	struct gstk__pack_stats st;
	uint64_t w[256];

	/* More chains than the references may take: 20,000 chains of up to 1.7 KiB. */
	for (uint32_t chain = 0; chain < (slow_variant() ? 2000 : 20000); chain++)
		for (int i = 0; i < 6; i++) {
			uint32_t bytes = chain_image(w, chain, i, BASE);

			ASSERT_GT(there_and_back(self->c, w, bytes), 0);
		}
	gstk__pack_stats(&st);
	EXPECT_LE(st.ref_bytes, 64 << 10);
	EXPECT_GT(st.nr_ref_hits, 100);
}

static int countdown;
static int fail_at(uint32_t bytes)
{
	return countdown && !--countdown;
}

TEST_F(pack, running_out_of_memory_at_each_allocation_is_clean)
{
	uint64_t w[256];
	struct gstk__pack_stats st;
	int nr_failed = 0;

	gstk__arena_fail = fail_at;
	for (int at = 1; at < 40; at++) {
		countdown = at;
		for (int i = 0; i < 12; i++) {
			int n = there_and_back(self->c, w, chain_image(w, 3, i, BASE));

			nr_failed += n == -ENOMEM;
			ASSERT_TRUE(n > 0 || n == -ENOMEM);
		}
		gstk__pack_stats(&st);
		ASSERT_EQ(0, st.nr_live);
	}
	EXPECT_GT(nr_failed, 5);
	countdown = 0;
}

TEST_F(pack, a_damaged_block_is_refused_or_harmless)
{
	uint64_t w[256], back[256];
	uint32_t packed, bytes;
	int refused = 0;

	seed_rng();
	for (int i = 0; i < 8; i++)	/* make a reference exist */
		there_and_back(self->c, w, chain_image(w, 5, i, BASE));
	for (int i = 0; i < (slow_variant() ? 3000 : 100000); i++) {
		uint8_t *p, save[4096];
		uint32_t size, k = rng() % 3;

		bytes = chain_image(w, i % 2 ? 5 : 9, i, BASE);
		ASSERT_EQ(0, gstk__pack_bytes(self->c, w, bytes, BASE - bytes, &packed));
		size = gstk__packed_bytes(packed);
		p = gstk__arena_ptr(packed);
		memcpy(save, p, size);
		/* The stream, not the head: the head is trusted for its length. */
		do
			p[4 + rng() % (size - 4)] ^= 1 << rng() % 8;
		while (k--);
		refused += !!gstk__unpack_image(back, bytes, packed, BASE - bytes);
		memcpy(p, save, size);
		ASSERT_EQ(0, gstk__unpack_image(back, bytes, packed, BASE - bytes));
		gstk__packed_free(self->c, packed, bytes);
	}
	EXPECT_GT(refused, 100);
}

/* What packing is for: real call chains, many tasks in each, everything counted. */
TEST_F(pack, real_chains_take_at_most_055_of_copied)
{
	struct corpus_image *list, *im;
	struct gstk__pack_stats st;
	static uint32_t packed[4096];
	uint64_t copied = 0, now = 0, nr = 0, alone = 0;
	static uint64_t back[64 << 10];

	if (slow_variant())
		SKIP(return, "the instrumented stacks are not real ones");
	list = corpus_collect(16);
	if (!list)
		SKIP(return, "no stack of a blocked thread could be read");
	for (im = list; im; im = im->next, nr++) {
		uintptr_t sp = im->base - im->bytes;
		uint64_t copy = TASK + (im->bytes + 15) / 16 * 16;

		ASSERT_LT(nr, 4096);
		ASSERT_EQ(0, gstk__pack_bytes(self->c, im->data, im->bytes, sp, &packed[nr]));
		copied += copy;
		now += TASK + gstk__packed_bytes(packed[nr]);
		/* The first of a chain has no reference, the last has one. Its addresses differ from
		 * run to run: one step of the size classes for short images. */
		alone += !im->copy;
		if (!im->copy || im->copy == 15)
			EXPECT_LE(TASK + gstk__packed_bytes(packed[nr]),
				  copy * (im->copy ? 0.55 : 0.65) + 16)
				TH_LOG("%s %d: %zu bytes packed to %u", im->chain, im->copy,
				       im->bytes, gstk__packed_bytes(packed[nr]));
	}
	gstk__pack_stats(&st);
	fprintf(stderr, "# %llu tasks of %llu chains: packed %.3f of copied, task included; "
		"references %llu of %llu bytes, with them %.3f; hits %llu, two stages %llu\n",
		(unsigned long long)nr, (unsigned long long)alone, (double)now / copied,
		(unsigned long long)st.nr_refs, (unsigned long long)st.ref_bytes,
		(double)(now + st.ref_bytes) / copied, (unsigned long long)st.nr_ref_hits,
		(unsigned long long)st.nr_second_stage);
	EXPECT_LE(now + st.ref_bytes, copied * 0.55);
	nr = 0;
	for (im = list; im; im = im->next, nr++) {
		ASSERT_EQ(0, gstk__unpack_image(back, im->bytes, packed[nr], im->base - im->bytes));
		ASSERT_EQ(0, memcmp(back, im->data, im->bytes));
		gstk__packed_free(self->c, packed[nr], im->bytes);
	}
	corpus_free(list);
}

/* Four threads pack, unpack and free each other's images, with references coming and going. */
#define NR_SLOTS	512
static struct slot {
	pthread_mutex_t lock;
	uint32_t packed, chain;
	uint64_t id;
} slots[NR_SLOTS];

static void *stress_main(void *arg)
{
	struct gstk__arena_cache *c = calloc(1, sizeof(*c));
	int rounds = slow_variant() ? 4000 : 60000;
	uint64_t w[256], back[256], bad = 0;

	rng_state = (uint64_t)(uintptr_t)arg | 1;
	for (int i = 0; i < rounds; i++) {
		struct slot *s = &slots[rng() % NR_SLOTS];
		uint32_t bytes;

		pthread_mutex_lock(&s->lock);
		if (s->packed) {
			bytes = chain_image(w, s->chain, s->id, BASE);
			bad += gstk__unpack_image(back, bytes, s->packed, BASE - bytes) ||
			       memcmp(w, back, bytes);
			gstk__packed_free(c, s->packed, bytes);
			s->packed = 0;
		} else {
			/* The chains of the time: references of earlier ones fall out of use. */
			s->chain = rng() % 16 + i / 256 * 16;
			s->id = rng() % 100000;
			bytes = chain_image(w, s->chain, s->id, BASE);
			bad += !!gstk__pack_bytes(c, w, bytes, BASE - bytes, &s->packed);
		}
		pthread_mutex_unlock(&s->lock);
	}
	gstk__arena_cache_flush(c);
	free(c);
	return (void *)(uintptr_t)bad;
}

TEST_F(pack, threads_share_references_that_come_and_go)
{
	struct gstk__pack_stats st;
	uint64_t w[256];
	pthread_t t[4];
	void *bad;

	seed_rng();
	for (int i = 0; i < NR_SLOTS; i++)
		pthread_mutex_init(&slots[i].lock, NULL);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, stress_main, (void *)(uintptr_t)rng()));
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
	gstk__pack_stats(&st);
	EXPECT_GT(st.nr_ref_hits, 100);
	for (int i = 0; i < NR_SLOTS; i++)
		if (slots[i].packed)
			gstk__packed_free(self->c, slots[i].packed,
					  chain_image(w, slots[i].chain, slots[i].id, BASE));
}

TEST_HARNESS_MAIN
