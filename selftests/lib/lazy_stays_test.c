// SPDX-License-Identifier: MIT
/*
 * What a deep stack touched in its last stay comes with its top in the next (GREENSTK_BACKEND=uffd), is forgotten
 * again, and never differs from what was there. Memory that is locked is copied whole.
 */
#include "uffd_test.h"
#include <errno.h>
#include <sys/mman.h>

#define PAGES 150u
#define WORDS 512u

static void run_in(uint32_t nr_windows, uint32_t flags, void (*fn)(void))
{
	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP" };
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = nr_windows,
		.window_size = 1u << 20, .flags = GSTK_FORCE_REMAP | flags, .backend = GSTK_BACKEND_UFFD };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) { /* each test says its own */
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	alarm(100);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
}

static void run(void (*fn)(void))
{
	run_in(4, GSTK_FORCE_EVICT, fn);
}

static uint64_t (*page)[WORDS]; /* of the one task, on its stack */
static uint64_t turn[PAGES];

static void write_page(unsigned int k)
{
	turn[k]++;
	for (unsigned int i = 0; i < WORDS; i++)
		page[k][i] = k * 1000003u + i + (turn[k] << 40);
}

static void check_page(unsigned int k)
{
	uint64_t bad = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		bad += page[k][i] != k * 1000003u + i + (turn[k] << 40);
	CHECK_EQ(bad, 0);
}

/* Leaves and comes back, then touches that page; the faults that this took. */
static uint64_t stay(unsigned int k)
{
	uint64_t before = stats().lazy_faults;

	gstk_yield();
	check_page(k);
	write_page(k);
	return stats().lazy_faults - before;
}

static __attribute__((noinline)) void on_deep_stack(void (*fn)(void))
{
	uint64_t pages[PAGES][WORDS];

	page = pages;
	for (unsigned int k = 0; k < PAGES; k++)
		write_page(k);
	fn();
	for (unsigned int k = 0; k < PAGES; k++)
		check_page(k);
}

static void *on_deep_stack_(void *fn)
{
	on_deep_stack((void (*)(void))fn);
	return NULL;
}

static void same_page(void)
{
	uint64_t faults = 0;

	for (int i = 0; i < 80; i++)
		faults += stay(100);
	CHECK(faults >= 5 && faults <= 20); /* the first one, and each time that it was forgotten */
	CHECK(stats().lazy_foreseen >= 60);
}

static void other_pages(void)
{
	uint32_t seed = 12345;

	for (int i = 0; i < 400; i++)
		stay(i % 3 ? rnd(&seed) % PAGES : 100);
}

static void all_pages(void)
{
	for (int i = 0; i < 20; i++)
		for (unsigned int k = 0; k < PAGES; k++) {
			if (k == PAGES / 2)
				gstk_yield();
			check_page(k);
			if (k % 7 == (unsigned int)i % 7)
				write_page(k);
		}
}

static void new_pages(void)
{
	uint64_t before = stats().lazy_foreseen;

	for (unsigned int i = 0; i < 80; i++)
		stay(i * 37 % PAGES);
	CHECK(stats().lazy_foreseen - before <= 10);
}

static void upwards(void)
{
	uint64_t before;

	gstk_yield();
	before = stats().lazy_faults;
	for (unsigned int k = 2; k < PAGES; k++)
		check_page(k);
	CHECK(stats().lazy_faults - before <= PAGES / 8);
}

static void one_task(void (*fn)(void))
{
	CHECK_EQ(finish(start(on_deep_stack_, (void *)fn)), 0);
	CHECK_EQ(stats().bytes_lazy, 0);
}

static void with_the_same(void) { one_task(same_page); }
static void with_others(void) { one_task(other_pages); }
static void with_all(void) { one_task(all_pages); }

static void with_new(void) { one_task(new_pages); }
static void with_more(void) { one_task(upwards); }

static void the_same(void) { run(with_the_same); }
static void others(void) { run(with_others); }
static void all(void) { run(with_all); }
static void new(void) { run(with_new); }
static void more(void) { run(with_more); }

TEST(a_page_that_is_touched_in_every_stay_is_foreseen)
{
	NEEDS_UFFD(the_same);
}

TEST(nothing_is_foreseen_for_who_touches_another_page_each_time)
{
	NEEDS_UFFD(new);
}

TEST(who_goes_up_the_stack_is_brought_more_and_more)
{
	NEEDS_UFFD(more);
}

TEST(pages_that_were_not_foreseen_are_as_they_were)
{
	NEEDS_UFFD(others);
	NEEDS_UFFD(all);
}

/* ---- in one window, one after the other ---- */

#define MATES 4u

static gstk_sem turn_of[2 * MATES]; /* they wake one another in a ring, so each wake is a claim */
static unsigned int nr_mates;

/* Up the whole stack, down it, or anywhere: what is there, as it was written. */
static uint64_t look(uint64_t (*mine)[WORDS], const uint64_t *turns, uint64_t me, unsigned int k)
{
	uint64_t bad = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		bad += mine[k][i] != me * 7919 + k * 1000003u + i + (turns[k] << 40);
	return bad;
}

static __attribute__((noinline)) uint64_t mate(uint64_t me, unsigned int deeper)
{
	uint64_t mine[PAGES][WORDS], turns[PAGES] = { 0 }, bad = 0;
	volatile char *more = __builtin_alloca(deeper * 4096 + 1);
	uint32_t seed = (uint32_t)me + 1;

	more[0] = 0;
	for (unsigned int k = 0; k < PAGES; k++)
		for (unsigned int i = 0; i < WORDS; i++)
			mine[k][i] = me * 7919 + k * 1000003u + i;
	for (int round = 0; round < 60; round++) {
		CHECK_EQ(gstk_sem_wait(&turn_of[me]), 0);
		CHECK_EQ(gstk_sem_post(&turn_of[(me + 1) % nr_mates], 1), 0);
		for (unsigned int n = rnd(&seed) % 4; n-- > 0;) {
			unsigned int k = me % 2 ? rnd(&seed) % PAGES : 100;

			bad += look(mine, turns, me, k);
			turns[k]++;
			for (unsigned int i = 0; i < WORDS; i++)
				mine[k][i] = me * 7919 + k * 1000003u + i + (turns[k] << 40);
		}
		for (unsigned int k = 0; round % 16 == 9 && k < PAGES; k++)
			bad += look(mine, turns, me, me & 2 ? PAGES - 1 - k : k);
	}
	for (unsigned int k = 0; k < PAGES; k++)
		bad += look(mine, turns, me, k);
	return bad;
}

static void *mate_(void *arg)
{
	return (void *)(uintptr_t)mate((uintptr_t)arg, (uintptr_t)arg >= MATES ? (unsigned int)(uintptr_t)arg * 3 : 0);
}

/* Of one depth, so that one gives way to the next; and of depths that differ. */
static void with_mates(void)
{
	gstk_task *t[2 * MATES];

	for (nr_mates = MATES; nr_mates <= 2 * MATES; nr_mates += MATES) {
		for (uintptr_t i = 0; i < nr_mates; i++) {
			turn_of[i] = (gstk_sem)GSTK_SEM_INIT(0);
			t[i] = start(mate_, (void *)i);
		}
		CHECK_EQ(gstk_sem_post(&turn_of[0], 1), 0);
		for (unsigned int i = 0; i < nr_mates; i++)
			CHECK_EQ(finish(t[i]), 0);
	}
	CHECK(stats().lazy_restores > 400);
	CHECK_EQ(stats().bytes_lazy, 0);
}

static void mates(void)
{
	run_in(1, 0, with_mates);
}

TEST(stacks_that_give_way_to_each_other_keep_their_bytes)
{
	NEEDS_UFFD(mates);
}

/* ---- locked memory cannot be made missing ---- */

static bool may_lock;

static void locked_stays(void)
{
	uint32_t seed = 99;

	if (mlock2(page, sizeof(*page) * PAGES, MLOCK_ONFAULT))
		return;
	may_lock = true;
	for (int i = 0; i < 50; i++)
		stay(rnd(&seed) % PAGES);
	CHECK(stats().lazy_refused > 0);
}

static void with_locked(void)
{
	one_task(locked_stays);
	if (!may_lock)
		fprintf(stderr, "# memory may not be locked here\n");
}

static void locked(void) { run(with_locked); }

TEST(a_stack_in_locked_memory_comes_back_whole)
{
	NEEDS_UFFD(locked);
	if (strstr(report, "may not be locked"))
		SKIP(return, "RLIMIT_MEMLOCK");
}

TEST_HARNESS_MAIN
