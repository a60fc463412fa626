// SPDX-License-Identifier: MIT
/* Who has no memory to run waits for some, and nobody spins meanwhile. */
#include <sys/resource.h>
#include "park/arena.h"
#include "report_test.h"

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t starved(void)
{
	struct gstk_stats st = { .size = sizeof(st) };

	CHECK_EQ(gstk_stats(&st), 0);
	return st.starved;
}

/* CPU time of a fifth of a second, in which the caller only waits. */
static uint64_t cost_of_waiting(void)
{
	uint64_t before = cpu_ns();

	usleep(200000);
	return cpu_ns() - before;
}

/* ---- windows of their own ---- */

enum { MANY = 40 };
static _Atomic int ran;

static void *runs(void *arg)
{
	ran++;
	return arg;
}

static size_t mapped(void)
{
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK_EQ(fscanf(f, "%zu", &pages), 1);
	fclose(f);
	return pages * 4096;
}

static void no_address_space(void)
{
	struct rlimit none, before;
	gstk_task *t[MANY];
	uint64_t cost;

	CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
	none = before;
	none.rlim_cur = mapped() + (16 << 20);
	CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
	for (long i = 0; i < MANY; i++)
		CHECK_EQ(gstk_spawn(&t[i], runs, NULL, GSTK_OPTS(gstk_spawn_opts, .stack_size = 64 << 20,
			.flags = i % 2 ? GSTK_PINNED : 0)), 0);
	for (int ms = 0; starved() < MANY; ms++) {
		CHECK(ms < 30000);
		gstk_sleep(MS);
	}
	CHECK_EQ(ran, 0);
	cost = cost_of_waiting();
	if (cost > 60 * MS * slowness())
		fprintf(stderr, "# it cost %llu us of CPU to wait\n", (unsigned long long)cost / 1000);
	CHECK(cost < 60 * MS * slowness());
	CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
	CHECK_EQ(ran, MANY);
}

static void without_windows(void) { with_workers(2, no_address_space); }

TEST(tasks_without_a_window_wait_for_address_space_and_do_not_spin)
{
	if (UNDER_ASAN || UNDER_TSAN || EMULATED())
		SKIP(return, "the tool itself needs address space");
	ASSERT_EQ(0, in_child(without_windows));
	EXPECT_TRUE(reported("greenstk: no window of its own for a task with a stack of 67108864 bytes"));
}

/* ---- images ---- */

static _Atomic bool full, was_full;

static int fails(uint32_t bytes)
{
	return full;
}

static void *moves(void *arg)
{
	volatile char frame[1000];

	for (int round = 0; round < 20; round += was_full) { /* so all are there when there is no room */
		for (size_t i = 0; i < sizeof(frame); i++)
			frame[i] = (char)(i + (uintptr_t)arg);
		gstk_sleep(MS);
		for (size_t i = 0; i < sizeof(frame); i++)
			CHECK_EQ(frame[i], (char)(i + (uintptr_t)arg));
	}
	ran++;
	return NULL;
}

static void *no_images(void *arg)
{
	gstk_task *t[MANY];
	uint64_t cost;

	for (long i = 0; i < MANY; i++)
		CHECK_EQ(gstk_spawn(&t[i], moves, (void *)i, NULL), 0);
	gstk_sleep(5 * MS);
	full = was_full = true;
	gstk_sleep(100 * MS);
	for (int ms = 0; !starved(); ms++) {
		CHECK(ms < 30000);
		gstk_sleep(MS);
	}
	cost = cost_of_waiting();
	if (cost > 60 * MS * slowness())
		fprintf(stderr, "# it cost %llu us of CPU to wait\n", (unsigned long long)cost / 1000);
	CHECK(cost < 60 * MS * slowness());
	CHECK(ran < MANY);
	full = false;
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(gstk_join(t[i], NULL), 0);
	CHECK_EQ(ran, MANY);
	return NULL;
}

static void without_images(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 2, .flags = GSTK_NO_SWEEP };

	alarm(60);
	gstk__arena_fail = fails;
	CHECK_EQ(gstk_main(no_images, NULL, NULL, &config), 0);
}

TEST(tasks_whose_window_cannot_be_vacated_wait_and_do_not_spin)
{
	ASSERT_EQ(0, in_child(without_images));
	EXPECT_TRUE(reported("greenstk: no room to save a stack in, so a task waits for its window until there is some: "));
	EXPECT_TRUE(reported("GREENSTK_IMAGE_BYTES"));
}

/* ---- from the beginning ---- */

static void *nothing(void *arg)
{
	return arg;
}

static void too_small(void)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 16, .windows = 2, .image_bytes = 2 << 20 };

	unsetenv("GREENSTK_IMAGE_BYTES");
	CHECK_EQ(gstk_main(nothing, NULL, NULL, &config), -ENOMEM);
}

TEST(a_space_for_images_that_is_too_small_for_the_workers_is_refused_with_what_to_do)
{
	ASSERT_EQ(0, in_child(too_small));
	EXPECT_TRUE(reported("greenstk: no memory for worker "));
	EXPECT_TRUE(reported(" of 16: each keeps a block as large as a window, 256 KiB, of the 2 MiB for saved stacks; raise "
			     "gstk_config.image_bytes or GREENSTK_IMAGE_BYTES (and ulimit -v), or lower GREENSTK_WORKERS\n"));
}

static void no_space(void)
{
	struct rlimit none = { 0, 0 };

	CHECK_EQ(getrlimit(RLIMIT_AS, &none), 0);
	none.rlim_cur = mapped() + (1 << 20);
	CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
	CHECK_EQ(gstk_main(nothing, NULL, NULL, NULL), -ENOMEM);
}

TEST(without_address_space_init_says_what_it_was_for)
{
	if (UNDER_ASAN || UNDER_TSAN || EMULATED())
		SKIP(return, "the tool itself needs address space");
	ASSERT_EQ(0, in_child(no_space));
	EXPECT_TRUE(reported("greenstk: no address space for "));
	EXPECT_TRUE(reported("; raise ulimit -v (or -d), or with strict overcommit vm.overcommit_ratio, or lower gstk_config."));
}

TEST_HARNESS_MAIN
