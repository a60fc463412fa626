// SPDX-License-Identifier: MIT
/* The arena of saved stacks: every class, migration, trimming, running out. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/range.h"
#include "kselftest_harness.h"
#include "park/arena.h"
#include "park/arena_heap.h"
#include "park/arena_slab.h"

#define MIB (1ul << 20)

static int slow_variant(void)
{
	const char *v = getenv("GREENSTK_TEST_VARIANT");

	return v && (strstr(v, "san") || strstr(v, "valgrind"));
}

static uint64_t rng_state;
static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	return rng_state ^= rng_state << 17;
}

static uint64_t seed_rng(void)
{
	const char *s = getenv("GREENSTK_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + getpid();

	fprintf(stderr, "# seed %llu (GREENSTK_SEED repeats it)\n", (unsigned long long)seed);
	rng_state = seed | 1;
	return seed;
}

/* Exact: the counter behind statm lags by up to a batch of pages a CPU. */
static size_t rss(void)
{
	size_t kib = 0;
	char line[256];
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Rss: %zu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

static struct gstk__arena_cache *new_cache(void)
{
	return mmap(NULL, sizeof(struct gstk__arena_cache), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void drop_cache(struct gstk__arena_cache *c)
{
	gstk__arena_cache_flush(c);
	munmap(c, sizeof(*c));
}

FIXTURE(arena) {
	struct gstk__arena_cache *c;
};
FIXTURE_SETUP(arena)
{
	ASSERT_EQ(0, gstk__arena_init(0));
	self->c = new_cache();
}
FIXTURE_TEARDOWN(arena)
{
	struct gstk__arena_stats st;

	drop_cache(self->c);
	gstk__arena_stats(&st);
	EXPECT_EQ(0, st.nr_live);
	EXPECT_EQ(0, st.live);
	EXPECT_EQ(0, st.cached);
	gstk__arena_trim(SIZE_MAX);
	gstk__arena_stats(&st);
	EXPECT_EQ(0, st.committed);
	EXPECT_EQ(0, st.huge);
	gstk__arena_fini();
}

TEST(class_sizes_waste_at_most_a_unit_then_one_in_256)
{
	uint32_t prev = 0;

	for (uint32_t bytes = 1; bytes <= GSTK__FINE_MAX; bytes++) {
		uint32_t cls = gstk__class_of(bytes), size = gstk__class_bytes(cls);

		ASSERT_LT(cls, GSTK__NR_CLASSES);
		ASSERT_GE(size, bytes);
		ASSERT_GE(cls, prev);
		ASSERT_EQ(0, size % GSTK__ARENA_UNIT);
		if (bytes <= GSTK__ARENA_MAX_CACHED) {
			ASSERT_LT(size - bytes, GSTK__ARENA_UNIT);
		} else {
			ASSERT_LE((uint64_t)(size - bytes) * 256, bytes);
		}
		prev = cls;
	}
	ASSERT_EQ(prev, GSTK__NR_CLASSES - 1);
}

TEST_F(arena, a_second_init_is_refused)
{
	EXPECT_EQ(-EBUSY, gstk__arena_init(0));
}

TEST_F(arena, blocks_of_every_size_do_not_overlap)
{
	static const uint32_t large[] = { 8193, 10000, 65536, 100001, 262144, 262145, 1 << 20,
					  (1 << 20) + 1, 5 << 20 };
	uint32_t ref[GSTK__ARENA_NR_CACHED * 2 + 16], size[GSTK__ARENA_NR_CACHED * 2 + 16], n = 0;

	for (uint32_t b = 8; b <= GSTK__ARENA_MAX_CACHED; b += 8)
		size[n++] = b;
	for (unsigned int i = 0; i < sizeof(large) / sizeof(*large); i++)
		size[n++] = large[i];
	for (uint32_t i = 0; i < n; i++) {
		ref[i] = gstk__arena_alloc(self->c, size[i]);
		ASSERT_NE(0, ref[i]);
		ASSERT_EQ(0, (uintptr_t)gstk__arena_ptr(ref[i]) % 16);
		memset(gstk__arena_ptr(ref[i]), i * 7 + 1, size[i]);
	}
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *p = gstk__arena_ptr(ref[i]);

		for (uint32_t k = 0; k < size[i]; k++)
			ASSERT_EQ((uint8_t)(i * 7 + 1), p[k]);
		gstk__arena_free(self->c, ref[i], size[i]);
	}
}

TEST_F(arena, the_block_vacated_last_is_taken_first)
{
	for (uint32_t b = 16; b <= GSTK__ARENA_MAX_CACHED; b += 16) {
		uint32_t x = gstk__arena_alloc(self->c, b), y = gstk__arena_alloc(self->c, b);

		ASSERT_NE(x, y);
		gstk__arena_free(self->c, y, b);
		gstk__arena_free(self->c, x, b);
		ASSERT_EQ(x, gstk__arena_alloc(self->c, b));
		ASSERT_EQ(y, gstk__arena_alloc(self->c, b));
		gstk__arena_free(self->c, y, b);
		gstk__arena_free(self->c, x, b);
	}
}

TEST_F(arena, the_locked_path_serves_threads_without_a_cache)
{
	uint32_t ref[3000];

	for (int i = 0; i < 3000; i++) {
		ref[i] = gstk__arena_alloc(NULL, 100);
		ASSERT_NE(0, ref[i]);
		memset(gstk__arena_ptr(ref[i]), i, 100);
	}
	for (int i = 0; i < 3000; i++) {
		ASSERT_EQ((uint8_t)i, ((uint8_t *)gstk__arena_ptr(ref[i]))[99]);
		gstk__arena_free(NULL, ref[i], 100);
	}
}

/* Random sizes, random order; each block holds a pattern made of its reference. */
TEST_F(arena, random_use_keeps_every_block_intact)
{
	enum { N = 4000 };
	static uint32_t ref[N], size[N];
	int rounds = slow_variant() ? 40000 : 400000;

	seed_rng();
	for (int r = 0; r < rounds; r++) {
		uint32_t i = rng() % N;
		struct gstk__arena_cache *c = rng() % 16 ? self->c : NULL;

		if (ref[i]) {
			uint64_t *p = gstk__arena_ptr(ref[i]);

			ASSERT_EQ(ref[i] * 0x9e3779b97f4a7c15ull, p[0]);
			ASSERT_EQ(ref[i] * 0x9e3779b97f4a7c15ull, p[size[i] / 8 - 1]);
			gstk__arena_free(c, ref[i], size[i]);
			ref[i] = 0;
		} else {
			uint64_t *p;

			size[i] = rng() % 64 ? 8 + rng() % 3000 : 8 + rng() % (600 << 10);
			ref[i] = gstk__arena_alloc(c, size[i]);
			ASSERT_NE(0, ref[i]);
			p = gstk__arena_ptr(ref[i]);
			p[0] = p[size[i] / 8 - 1] = ref[i] * 0x9e3779b97f4a7c15ull;
		}
		if (r % 50000 == 49999)
			gstk__arena_trim(SIZE_MAX);
		if (r % 20000 == 19999)
			gstk__arena_trim(rng() % (4 * MIB));
	}
	for (int i = 0; i < N; i++)
		if (ref[i]) {
			ASSERT_EQ(ref[i] * 0x9e3779b97f4a7c15ull, *(uint64_t *)gstk__arena_ptr(ref[i]));
			gstk__arena_free(self->c, ref[i], size[i]);
		}
}

static void count_memory(struct __test_metadata *_metadata, struct gstk__arena_cache *c,
			 uint32_t bytes, uint32_t nr)
{
	uint32_t *ref = mmap(NULL, nr * 4ul, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct gstk__arena_stats st;
	size_t before = rss(), after;
	double per, want = (bytes + 15) / 16 * 16;

	for (uint32_t i = 0; i < nr; i++) {
		ref[i] = gstk__arena_alloc(c, bytes);
		ASSERT_NE(0, ref[i]);
		memset(gstk__arena_ptr(ref[i]), 1, bytes);
	}
	after = rss();
	per = (double)(after - before) / nr;
	gstk__arena_stats(&st);
	fprintf(stderr, "# %u images of %u: %.1f bytes each, %+.2f %%; huge %llu MiB\n", nr, bytes, per,
	       (per / want - 1) * 100, (unsigned long long)st.huge >> 20);
	/* Besides the share, once: tables of the arena and the granule that is partly used. */
	EXPECT_LE(after - before, nr * want * 1.015 + 256 * 1024);
	for (uint32_t i = 0; i < nr; i++)
		gstk__arena_free(c, ref[i], bytes);
	gstk__arena_cache_flush(c);
	gstk__arena_trim(SIZE_MAX);
	EXPECT_LE(rss(), before + 2 * MIB);
	munmap(ref, nr * 4ul);
}

TEST_F(arena, a_hundred_thousand_images_cost_their_size_and_one_and_a_half_percent)
{
	static const uint32_t sizes[] = { 128, 200, 456, 900, 1256, 2248, 4000, 4424, 6000 };

	if (slow_variant() || EMULATED())
		SKIP(return, "shadow memory and an emulator's are not the arena's");
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		count_memory(_metadata, self->c, sizes[i], 100000);
	count_memory(_metadata, self->c, 16200, 20000);
	count_memory(_metadata, self->c, 100000, 4000);
	count_memory(_metadata, self->c, 300000, 1000);
}

TEST_F(arena, a_million_images_cost_their_size_and_one_and_a_half_percent)
{
	if (slow_variant() || EMULATED())
		SKIP(return, "shadow memory and an emulator's are not the arena's");
	count_memory(_metadata, self->c, 128, 1000000);
	count_memory(_metadata, self->c, 904, 1000000);
}

TEST_F(arena, one_image_costs_a_few_pages)
{
	struct gstk__arena_stats st;
	size_t before, growth;
	uint32_t ref;

	if (slow_variant())
		SKIP(return, "shadow memory is not the arena's");
	rss();
	before = rss();
	ref = gstk__arena_alloc(self->c, 900);
	memset(gstk__arena_ptr(ref), 1, 900);
	growth = rss() - before;
	gstk__arena_stats(&st);
	fprintf(stderr, "# first image: %zu bytes of growth\n", growth);
	EXPECT_LE(growth, 128u << 10);
	EXPECT_EQ(0, st.huge);
	gstk__arena_free(self->c, ref, 900);
}

TEST_F(arena, trim_punches_free_pages_out_of_slabs_in_use)
{
	enum { N = 40000 };
	static uint32_t ref[N];
	struct gstk__arena_stats st;
	size_t given;

	for (int i = 0; i < N; i++) {
		ref[i] = gstk__arena_alloc(self->c, 1008);
		memset(gstk__arena_ptr(ref[i]), i, 1008);
	}
	for (int i = 0; i < N; i++)
		if (i % 40)
			gstk__arena_free(self->c, ref[i], 1008);
	gstk__arena_cache_flush(self->c);
	given = gstk__arena_trim(SIZE_MAX);
	gstk__arena_stats(&st);
	EXPECT_EQ(given, st.trimmed);
	EXPECT_LE(st.committed, N / 40 * 2 * 4096ul);
	EXPECT_EQ(0, gstk__arena_trim(SIZE_MAX));
	for (int i = 0; i < N; i += 40) {
		uint8_t *p = gstk__arena_ptr(ref[i]);

		for (int k = 0; k < 1008; k++)
			ASSERT_EQ((uint8_t)i, p[k]);
		gstk__arena_free(self->c, ref[i], 1008);
	}
}

TEST_F(arena, free_slabs_serve_other_classes)
{
	enum { N = 20000 };
	static uint32_t ref[N];
	for (uint32_t b = 512; b < 2048; b += 16) {
		for (int i = 0; i < N; i++) {
			ref[i] = gstk__arena_alloc(self->c, b);
			ASSERT_NE(0, ref[i]);
		}
		for (int i = 0; i < N; i++)
			gstk__arena_free(self->c, ref[i], b);
	}
	/* 2048 * 20000 bytes are 20 chunks, and each of the 96 magazines may hold on
	 * to a chunk or two; without reuse it would be 1200. */
	EXPECT_LE(gstk__heap.low_end, 20 + 2 * 96);
}

TEST_F(arena, a_full_chunk_collapses_and_keeps_its_bytes)
{
	enum { N = 4096 };
	static uint32_t ref[N];
	struct gstk__arena_stats st;
	int n;

	for (uint32_t i = 0; i < N; i++) {
		ref[i] = gstk__arena_alloc(self->c, 4096);
		memset(gstk__arena_ptr(ref[i]), i * 13, 4096);
	}
	n = gstk__arena_collapse(1000);
	if (!n)
		SKIP(goto out, "no MADV_COLLAPSE or no huge page to be had");
	gstk__arena_stats(&st);
	EXPECT_EQ(n, (int)st.collapsed);
	EXPECT_EQ(n * 2 * MIB, st.huge);
	for (uint32_t i = 0; i < N; i++) {
		uint8_t *p = gstk__arena_ptr(ref[i]);

		for (int k = 0; k < 4096; k += 61)
			ASSERT_EQ((uint8_t)(i * 13), p[k]);
	}
	EXPECT_EQ(0, gstk__arena_collapse(1000));
out:
	for (uint32_t i = 0; i < N; i++)
		gstk__arena_free(self->c, ref[i], 4096);
}

TEST_F(arena, the_limit_fails_cleanly_and_lifts)
{
	uint32_t ref[20000], n = 0;
	struct gstk__arena_stats st;

	gstk__arena_set_limit(4 * MIB);
	while (n < 20000 && (ref[n] = gstk__arena_alloc(self->c, 1000)))
		n++;
	EXPECT_LE(n, 4 * MIB / 1008);
	EXPECT_GE(n, 3 * MIB / 1008);
	EXPECT_EQ(0, gstk__arena_alloc(self->c, 1 << 20));
	gstk__arena_stats(&st);
	EXPECT_EQ(2, st.failed);
	gstk__arena_set_limit(0);
	ref[n] = gstk__arena_alloc(self->c, 1000);
	EXPECT_NE(0, ref[n]);
	for (uint32_t i = 0; i <= n; i++)
		gstk__arena_free(self->c, ref[i], 1000);
}

static uint32_t fail_countdown;
static int fail_later(uint32_t bytes)
{
	return fail_countdown && !--fail_countdown;
}

TEST_F(arena, an_injected_failure_fails_one_allocation)
{
	uint32_t ref[10], nr_failed = 0;

	gstk__arena_fail = fail_later;
	fail_countdown = 4;
	for (int i = 0; i < 10; i++) {
		ref[i] = gstk__arena_alloc(self->c, 64);
		nr_failed += !ref[i];
	}
	EXPECT_EQ(1, nr_failed);
	EXPECT_EQ(0, ref[3]);
	gstk__arena_fail = NULL;
	for (int i = 0; i < 10; i++)
		if (ref[i])
			gstk__arena_free(self->c, ref[i], 64);
}

TEST(a_small_range_is_used_up_to_the_end_and_comes_back)
{
	struct gstk__arena_cache *c = new_cache();
	struct gstk__arena_stats st;
	uint32_t *ref = calloc(1 << 20, 4), n[3], total = 0;
	static const uint32_t size[3] = { 4096, 100000, 300000 };

	ASSERT_EQ(0, gstk__arena_init(64 * MIB));
	gstk__arena_stats(&st);
	ASSERT_GE(st.reserved, 60 * MIB);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++) {
			n[i] = 0;
			while ((ref[n[i]] = gstk__arena_alloc(c, size[i])))
				n[i]++;
			EXPECT_GE(n[i] * (uint64_t)size[i], st.reserved * 3 / 4);
			for (uint32_t k = 0; k < n[i]; k++)
				gstk__arena_free(c, ref[k], size[i]);
			gstk__arena_cache_flush(c);
		}
		if (!round)
			total = n[0] + n[1] + n[2];
		EXPECT_EQ(total, n[0] + n[1] + n[2]);
	}
	drop_cache(c);
	gstk__arena_fini();
	free(ref);
}

TEST(under_a_limited_address_space_the_range_is_lowered)
{
	struct rlimit l = { 2048 * MIB, 2048 * MIB };
	struct gstk__arena_stats st;

	if (slow_variant() || EMULATED())
		SKIP(return, "sanitizers reserve terabytes, emulators know no RLIMIT_AS");
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &l));
	ASSERT_EQ(0, gstk__arena_init(0));
	gstk__arena_stats(&st);
	EXPECT_LE(st.reserved, 1024 * MIB);
	EXPECT_GE(st.reserved, 256 * MIB);
	gstk__arena_fini();
}

/* Advice for a part of a mapping makes three of it. */
TEST(with_all_mappings_taken_advice_is_refused_and_not_tried_for_ever)
{
	size_t bytes = 8 * MIB, most = 70000, nr;
	int err, advice;
	char *p, *all;

	if (slow_variant() || EMULATED())
		SKIP(return, "sanitizers and emulators need mappings themselves");
	p = gstk__range_reserve(&bytes, bytes, 2 * MIB, "a test", &err);
	ASSERT_NE(NULL, p);
	all = mmap(NULL, 2 * most * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)all);
	for (nr = 0; nr < most && !mprotect(all + (2 * nr + 1) * 4096, 4096, PROT_NONE);)
		nr++;
	alarm(20);
	advice = gstk__range_huge(p + 2 * MIB, 2 * MIB);
	munmap(all, 2 * most * 4096);
	if (nr == most)
		SKIP(return, "vm.max_map_count is too large");
	EXPECT_EQ(-EAGAIN, advice);
	EXPECT_EQ(0, gstk__range_huge(p + 2 * MIB, 2 * MIB));
	gstk__range_release(p, bytes);
}

/* Two threads hand blocks to each other, a third trims and collapses. */
struct pass {
	uint32_t ref[1024], size[1024];
	uint32_t head, tail;
	int stop;
};

struct side {
	struct pass *in, *out;
	uint64_t seed, rounds, bad;
};

static void *side_main(void *arg)
{
	struct side *s = arg;
	struct gstk__arena_cache *c = new_cache();
	uint64_t x = s->seed | 1;
	int more = 1;

	for (uint64_t r = 0; more; r++) {
		uint32_t h = s->out->head, t;

		if (r < s->rounds && h - __atomic_load_n(&s->out->tail, __ATOMIC_ACQUIRE) < 1024) {
			uint32_t bytes;

			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			bytes = 16 + x % 2000 / 8 * 8;
			s->out->ref[h % 1024] = gstk__arena_alloc(c, bytes);
			s->out->size[h % 1024] = bytes;
			memset(gstk__arena_ptr(s->out->ref[h % 1024]), (uint8_t)bytes, bytes);
			__atomic_store_n(&s->out->head, h + 1, __ATOMIC_RELEASE);
		} else if (r >= s->rounds) {
			__atomic_store_n(&s->out->stop, 1, __ATOMIC_RELEASE);
		}
		t = s->in->tail;
		if (t != __atomic_load_n(&s->in->head, __ATOMIC_ACQUIRE)) {
			uint32_t bytes = s->in->size[t % 1024];
			uint8_t *p = gstk__arena_ptr(s->in->ref[t % 1024]);

			s->bad += p[0] != (uint8_t)bytes || p[bytes - 1] != (uint8_t)bytes;
			gstk__arena_free(c, s->in->ref[t % 1024], bytes);
			__atomic_store_n(&s->in->tail, t + 1, __ATOMIC_RELEASE);
		} else if (r >= s->rounds && __atomic_load_n(&s->in->stop, __ATOMIC_ACQUIRE) &&
			   t == __atomic_load_n(&s->in->head, __ATOMIC_ACQUIRE)) {
			more = 0;
		}
	}
	drop_cache(c);
	return NULL;
}

static void *trimmer_main(void *arg)
{
	struct gstk__arena_stats st;

	while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE)) {
		gstk__arena_trim(MIB);
		gstk__arena_collapse(1);
		gstk__arena_stats(&st);
		usleep(500);
	}
	return NULL;
}

TEST_F(arena, blocks_migrate_between_threads_while_a_third_trims)
{
	static struct pass a, b;
	uint64_t seed = seed_rng(), rounds = slow_variant() ? 60000 : 1000000;
	struct side s[2] = { { &a, &b, seed, rounds, 0 }, { &b, &a, ~seed, rounds, 0 } };
	pthread_t t[3];
	int stop = 0;

	ASSERT_EQ(0, pthread_create(&t[2], NULL, trimmer_main, &stop));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, side_main, &s[i]));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(t[2], NULL);
	EXPECT_EQ(0, s[0].bad + s[1].bad);
}

/* The harness takes SIGABRT for its own, so the deaths happen in a child. */
static int dies(void (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		fclose(stderr);
		gstk__arena_init(0);
		fn();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void free_twice(void)
{
	uint32_t ref = gstk__arena_alloc(NULL, 64);

	gstk__arena_alloc(NULL, 64);
	gstk__arena_free(NULL, ref, 64);
	gstk__arena_free(NULL, ref, 64);
}

static void free_other_size(void)
{
	gstk__arena_free(NULL, gstk__arena_alloc(NULL, 64), 80);
}

static void free_inside(void)
{
	gstk__arena_free(NULL, gstk__arena_alloc(NULL, 640) + 1, 640);
}

static void free_nothing(void)
{
	gstk__arena_free(NULL, 0, 64);
}

static void free_once(void)
{
	gstk__arena_free(NULL, gstk__arena_alloc(NULL, 64), 64);
}

TEST(misuse_of_a_reference_kills)
{
	EXPECT_FALSE(dies(free_once));
	EXPECT_TRUE(dies(free_twice));
	EXPECT_TRUE(dies(free_other_size));
	EXPECT_TRUE(dies(free_inside));
	EXPECT_TRUE(dies(free_nothing));
}

TEST_HARNESS_MAIN
