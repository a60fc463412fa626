// SPDX-License-Identifier: MIT
/*
 * Deep stacks that were packed in chunks (GREENSTK_BACKEND=uffd): what is touched comes from its chunk, what is not
 * stays packed however often the stack leaves and returns, and all of it is as it was.
 */
#define ROUNDS 8
#define CROWD  8
#define PACKED GSTK__TIER_DEEP_PACKED
#include "deep_crowd.h"
#include "deep_look.h"
#include "park/deep.h"
#include "uffd_test.h"

static uint32_t workers = 1;
static size_t nr_windows = 1, image_bytes;

static void run(void (*fn)(void))
{
	struct gstk_config config = { .size = sizeof(config), .workers = workers, .windows = nr_windows,
		.window_size = 1u << 20, .backend = GSTK_BACKEND_UFFD,
		.flags = GSTK_FORCE_REMAP | GSTK_FORCE_EVICT | GSTK_FORCE_PACK, .image_bytes = image_bytes,
		.evict_idle_ns = 1 * MS, .pack_idle_ns = 10 * MS }; /* for those that a mate made leave */
	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP",
		"DEBUG" };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) { /* each test says its own */
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

static void nothing_is_left(void)
{
	struct gstk_stats st = stats();

	CHECK_EQ(st.bytes_lazy, 0);
	CHECK_EQ(st.bytes_packed, 0);
	CHECK_EQ(st.tasks_packed + st.tasks_copied, 0);
	CHECK_EQ(st.bytes_copied, 0);
}

/* ---- a crowd ---- */

static void crowd(void)
{
	struct gstk_stats st;

	run_crowd();
	st = stats();
	fprintf(stderr, "# %llu packs, %llu lazy restores, %llu faults, %llu with them, %llu pages never came\n",
		(unsigned long long)st.packs, (unsigned long long)st.lazy_restores, (unsigned long long)st.lazy_faults,
		(unsigned long long)st.lazy_prefetched, (unsigned long long)st.lazy_untouched);
	CHECK(st.packs >= CROWD * ROUNDS && st.lazy_restores >= CROWD * ROUNDS && !st.lazy_refused);
	CHECK(st.lazy_faults > CROWD && st.lazy_prefetched > 0);
	CHECK(st.lazy_untouched > st.lazy_restores * PAGES / 4);
	nothing_is_left();
}

static void one_worker(void)
{
	run(crowd);
}

static void two_workers(void)
{
	workers = 2;
	nr_windows = 3;
	run(crowd);
}

TEST(what_was_touched_and_what_was_not_is_as_it_was)
{
	NEEDS_UFFD(one_worker);
	fputs(report, stderr);
}

TEST(the_same_under_two_workers)
{
	NEEDS_UFFD(two_workers);
	fputs(report, stderr);
}

/* ---- what stays packed ---- */

static void touch_one(struct deep *d)
{
	wait_turn(d);
	rewrite(d, PAGES / 2);
	wait_turn(d);
	wait_turn(d);
}

static void *touches_one(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, touch_one);
}

static void packed_chunks(gstk_task *t, uint32_t packed[PAGES])
{
	const struct gstk__chunks *c;

	until_packed(&t, 1);
	c = gstk__chunks(gstk__deep(t->image)->chunks);
	CHECK(!gstk__deep(t->image)->block);
	CHECK(gstk__chunks_nr(c->nr_pages) < PAGES);
	memset(packed, 0, PAGES * sizeof(*packed));
	memcpy(packed, c->packed, gstk__chunks_nr(c->nr_pages) * sizeof(*packed));
}

/* Packed anew: that of the page that was written, and those of the top. */
static void stays_packed(void)
{
	uint32_t before[PAGES], after[PAGES];
	gstk_task *t = start(touches_one, (void *)1);
	unsigned int same = 0, other = 0;
	uint64_t restores;

	packed_chunks(t, before);
	restores = stats().lazy_restores;
	gstk_sem_post(&turn[0], 1);
	while (stats().lazy_restores == restores)
		gstk_sleep(1 * MS);
	packed_chunks(t, after);
	for (unsigned int c = 0; c < PAGES && before[c]; c++)
		*(before[c] == after[c] ? &same : &other) += 1;
	fprintf(stderr, "# %u chunks stayed, %u were packed again\n", same, other);
	CHECK(same >= DEEP / GSTK__CHUNK_BYTES - 8 && other >= 1);
	gstk_sem_post(&turn[0], 2);
	CHECK_EQ(finish(t), 0);
	nothing_is_left();
}

static void stay(void)
{
	run(stays_packed);
}

TEST(what_was_not_touched_is_not_packed_again)
{
	NEEDS_UFFD(stay);
	fputs(report, stderr);
}

/* ---- what packing makes no smaller ---- */

static void *half_noise(void *arg)
{
	uint64_t words[DEEP / 8], seed = 1, bad = 0;

	for (unsigned int i = 0; i < DEEP / 8; i++)
		words[i] = i & 4096 ? 0 : (seed = seed * 6364136223846793005u + 1442695040888963407u);
	__asm__ volatile("" : : "r"(words) : "memory");
	CHECK_EQ(gstk_sem_wait(&turn[0]), 0);
	seed = 1;
	for (unsigned int i = 0; i < DEEP / 8; i++)
		bad += words[i] != (i & 4096 ? 0 : (seed = seed * 6364136223846793005u + 1442695040888963407u));
	return (void *)bad;
}

static void *all_noise(void *arg)
{
	uint64_t words[DEEP / 8], seed = 1, bad = 0;

	for (unsigned int i = 0; i < DEEP / 8; i++)
		words[i] = seed = seed * 6364136223846793005u + 1442695040888963407u;
	__asm__ volatile("" : : "r"(words) : "memory");
	CHECK_EQ(gstk_sem_wait(&turn[0]), 0);
	seed = 1;
	for (unsigned int i = 0; i < DEEP / 8; i++)
		bad += words[i] != (seed = seed * 6364136223846793005u + 1442695040888963407u);
	return (void *)bad;
}

static void noise(void)
{
	gstk_task *t = start(half_noise, NULL);

	until_packed(&t, 1);
	CHECK(stats().bytes_packed < DEEP / 4 * 3);
	gstk_sem_post(&turn[0], 1);
	CHECK_EQ(finish(t), 0);
	t = start(all_noise, NULL);
	while (tier(t) != GSTK__TIER_DEEP)
		gstk_sleep(1 * MS);
	CHECK_EQ(gstk_sem_post(&turn[0], 1), 0);
	CHECK_EQ(finish(t), 0);
	nothing_is_left();
}

static void noisy(void)
{
	run(noise);
}

TEST(chunks_that_do_not_shrink_are_kept_as_they_are_and_a_stack_of_them_is_not_packed)
{
	NEEDS_UFFD(noisy);
}

/* ---- no memory for a block when it leaves ---- */

#define BLOCK (256u << 10)

static void no_room(void)
{
	uint32_t taken[256], nr = 0;
	uint64_t restores;
	gstk_task *t = start(touches_one, (void *)1);

	until_packed(&t, 1);
	restores = stats().lazy_restores;
	while (nr < 256 && (taken[nr] = gstk__arena_alloc(NULL, BLOCK)))
		nr++;
	CHECK(nr > 4 && nr < 256);
	gstk_sem_post(&turn[0], 1);
	while (stats().lazy_restores == restores || stats().bytes_lazy)
		gstk_sleep(1 * MS);
	CHECK(tier(t) != GSTK__TIER_DEEP && tier(t) != GSTK__TIER_DEEP_PACKED);
	while (nr)
		gstk__arena_free(NULL, taken[--nr], BLOCK);
	gstk_sem_post(&turn[0], 2);
	CHECK_EQ(finish(t), 0);
	nothing_is_left();
}

static void refused(void)
{
	image_bytes = 16u << 20;
	run(no_room);
}

TEST(without_memory_for_its_pages_a_stack_is_made_whole_and_leaves_as_any_other)
{
	NEEDS_UFFD(refused);
}

/* ---- who looks ---- */

static __attribute__((noinline)) void seen_in_the_dump(struct deep *d)
{
	for (int i = 0; i < 2; i++)
		wait_turn(d);
	__asm__ volatile("" : : "r"(d) : "memory");
}

static void *dumped(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, seen_in_the_dump);
}

static void (*look)(void);

static void looked_at(void)
{
	gstk_task *t = start(dumped, (void *)1);
	uint64_t faults = stats().lazy_faults;

	until_packed(&t, 1);
	look();
	CHECK_EQ(stats().lazy_faults, faults); /* looking brings nothing */
	gstk_sem_post(&turn[0], 2);
	CHECK_EQ(finish(t), 0);
}

static void dumps(void)
{
	look = dump;
	run(looked_at);
}

TEST(a_dump_sees_what_is_packed)
{
	NEEDS_UFFD(dumps);
	EXPECT_EQ(1, whole_stacks()) TH_LOG("%s", report);
}

static void attaches(void)
{
	look = attach;
	run(looked_at);
}

TEST(so_does_gdb)
{
	NEEDS_GDB();
	NEEDS_UFFD(attaches);
	EXPECT_EQ(1, whole_stacks()) TH_LOG("%s", report);
}

/* ---- forks and ends ---- */

static void fork_now(struct deep *d)
{
	wait_turn(d);
	child_has_all(d);
}

static void *forker(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, fork_now);
}

static void fork_one(void)
{
	gstk_task *t = start(forker, (void *)1);

	until_packed(&t, 1);
	gstk_sem_post(&turn[0], 1);
	CHECK_EQ(finish(t), 0);
	nothing_is_left();
}

static void forks(void)
{
	run(fork_one);
}

TEST(a_child_of_fork_has_all_of_the_stack)
{
	NEEDS_UFFD(forks);
}

static void wait_for_the_end(struct deep *d)
{
	while (gstk_sem_wait(&turn[0]) == 0)
		;
	CHECK_EQ(wrong(d, 100), 0);
}

static void *stays(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, wait_for_the_end);
}

static void leave_them(void)
{
	for (uintptr_t i = 0; i < CROWD; i++)
		CHECK_EQ(gstk_detach(start(stays, (void *)(i + 1))), 0);
	while (stats().tasks_packed < CROWD)
		gstk_sleep(1 * MS);
}

static void ends(void)
{
	run(leave_them);
	run(leave_them); /* and again in the same process */
}

TEST(a_shutdown_ends_stacks_that_are_packed)
{
	NEEDS_UFFD(ends);
}

TEST_HARNESS_MAIN
