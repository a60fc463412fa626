// SPDX-License-Identifier: MIT
/*
 * What a deep stack touched in its last stay comes with its top in the next (GREENSTK_BACKEND=uffd), is forgotten
 * again, and never differs from what was there. Memory that is locked is copied whole.
 */
#include "report_test.h"
#include <errno.h>
#include <sys/mman.h>
#include "host/uffd.h"

#define PAGES 150u
#define WORDS 512u

static bool available(void)
{
	bool is = gstk__uffd_open() == 0;

	gstk__uffd_close();
	return is;
}

#define NEEDS_UFFD(child)                                                \
	do {                                                             \
		if (!available())                                        \
			SKIP(return, "userfaultfd is forbidden here");   \
		ASSERT_EQ(0, in_child(child)) TH_LOG("%s", report);      \
	} while (0)

static struct gstk_stats stats(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st;
}

static void run(void (*fn)(void))
{
	static const char *const said[] = { "BACKEND", "WINDOWS", "WORKERS", "FORCE_EVICT", "FORCE_PACK", "FORCE_REMAP" };
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 4, .window_size = 1u << 20,
		.flags = GSTK_FORCE_REMAP | GSTK_FORCE_EVICT, .backend = GSTK_BACKEND_UFFD };
	char name[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) { /* each test says its own */
		snprintf(name, sizeof(name), "GREENSTK_%s", said[i]);
		unsetenv(name);
	}
	alarm(100);
	CHECK_EQ(gstk_main(body_, (void *)fn, NULL, &config), 0);
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

static void one_task(void (*fn)(void))
{
	CHECK_EQ(finish(start(on_deep_stack_, (void *)fn)), 0);
	CHECK_EQ(stats().bytes_lazy, 0);
}

static void with_the_same(void) { one_task(same_page); }
static void with_others(void) { one_task(other_pages); }
static void with_all(void) { one_task(all_pages); }

static void the_same(void) { run(with_the_same); }
static void others(void) { run(with_others); }
static void all(void) { run(with_all); }

TEST(a_page_that_is_touched_in_every_stay_is_foreseen)
{
	NEEDS_UFFD(the_same);
}

TEST(pages_that_were_not_foreseen_are_as_they_were)
{
	NEEDS_UFFD(others);
	NEEDS_UFFD(all);
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
