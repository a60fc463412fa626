// SPDX-License-Identifier: MIT
/* Windows become shared when tasks are many, and are given back when they are few again. */
#include "wait_test.h"

enum { N = 12 };
static gstk_sem go[N];
static gstk_task *task[N];
static _Atomic int ran;

static struct gstk_stats stats(void)
{
	struct gstk_stats s = { .size = sizeof(s) };

	CHECK_EQ(gstk_stats(&s), 0);
	return s;
}

/* A task that was joined may not have let go of its window yet. */
static void settles(uint64_t shared, uint64_t bound)
{
	for (int ms = 0; stats().windows_shared != shared || stats().windows_bound != bound; ms++) {
		CHECK(ms < 20000);
		gstk_sleep(MS);
	}
}

/* A wait for each post; ends at the one that finds it told to. */
static _Atomic int told[N];

static void *member(void *arg)
{
	int i = (int)(long)arg, turns = 0;
	unsigned char mark[200];

	memset(mark, i + 1, sizeof(mark));
	do {
		atomic_fetch_add(&ran, 1);
		CHECK_EQ(gstk_sem_wait(&go[i]), 0);
		for (size_t k = 0; k < sizeof(mark); k++)
			CHECK_EQ(mark[k], i + 1);
		turns++;
	} while (!atomic_load(&told[i]));
	return (void *)(long)turns;
}

static void wait_ran(int n)
{
	for (int ms = 0; atomic_load(&ran) < n; ms++) {
		CHECK(ms < 20000);
		gstk_sleep(MS);
	}
}

static void crowd(void)
{
	atomic_store(&ran, 0);
	for (int i = 0; i < N; i++) {
		go[i] = (gstk_sem)GSTK_SEM_INIT(0);
		atomic_store(&told[i], 0);
		task[i] = start(member, (void *)(long)i);
	}
	wait_ran(N);
}

static void end(int i)
{
	atomic_store(&told[i], 1);
	CHECK_EQ(gstk_sem_post(&go[i], 1), 0);
	CHECK(finish(task[i]) >= 1);
}

static void last_one_left(void)
{
	uint64_t restores;
	int turns;

	for (int round = 0; round < 3; round++) {
		crowd();
		CHECK(stats().windows_shared >= 1);
		for (int i = 1; i < N; i++)
			end(i);
		/* Not before whoever asked to share has had time to come. */
		for (turns = 0; turns == 0 || stats().windows_shared; turns++) {
			CHECK(turns < 20000);
			gstk_sleep(MS);
			CHECK_EQ(gstk_sem_post(&go[0], 1), 0);
			wait_ran(N + turns + 1);
		}
		settles(0, 1);
		/* It is an ordinary task alone in its window again: it wakes and moves no more. */
		restores = stats().restores;
		for (int i = 0; i < 50; i++) {
			CHECK_EQ(gstk_sem_post(&go[0], 1), 0);
			wait_ran(N + turns + 1 + i);
		}
		if (!getenv("GREENSTK_FORCE_EVICT"))
			CHECK_EQ(stats().restores, restores);
		end(0);
		settles(0, 0);
	}
}

TEST(the_last_task_of_a_shared_window_gets_it_for_itself_again)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 1, .windows = 1 };

	alarm(60);
	ASSERT_EQ(gstk_main(body_, (void *)last_one_left, NULL, &config), 0);
}

TEST(and_so_it_does_with_two_workers)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 2 };

	alarm(60);
	ASSERT_EQ(gstk_main(body_, (void *)last_one_left, NULL, &config), 0);
}

static void all_ended(void)
{
	for (int round = 0; round < 5; round++) {
		crowd();
		for (int i = 0; i < N; i++)
			end(i);
		settles(0, 0);
	}
}

TEST(a_shared_window_whose_tasks_have_ended_is_free)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 2 };

	alarm(60);
	ASSERT_EQ(gstk_main(body_, (void *)all_ended, NULL, &config), 0);
}

/* Short tasks come and go beside two that stay: windows change between shared, solo and free, while
 * others bind to them, on two workers. */
static void *passing(void *arg)
{
	unsigned char mark[64];

	memset(mark, (int)(long)arg, sizeof(mark));
	gstk_yield();
	for (size_t k = 0; k < sizeof(mark); k++)
		CHECK_EQ(mark[k], (unsigned char)(long)arg);
	return NULL;
}

static void come_and_go(void)
{
	int rounds = getenv("GREENSTK_TEST_VARIANT") && strcmp(getenv("GREENSTK_TEST_VARIANT"), "plain") ? 100 : 1000;

	crowd();
	for (int i = 2; i < N; i++)
		end(i);
	for (int r = 0; r < rounds; r++) {
		gstk_task *t[6];

		for (int i = 0; i < 6; i++)
			t[i] = start(passing, (void *)(long)(r + i));
		CHECK_EQ(gstk_sem_post(&go[r % 2], 1), 0);
		for (int i = 0; i < 6; i++)
			CHECK_EQ(finish(t[i]), 0);
	}
	end(0);
	end(1);
	settles(0, 0);
}

TEST(windows_change_hands_while_others_bind_to_them)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 3 };

	alarm(100);
	ASSERT_EQ(gstk_main(body_, (void *)come_and_go, NULL, &config), 0);
}

/*
 * As the last task of a window is about to get it for itself, another one comes. Built with injection
 * points, as the planted bugs are, there is a pause just then.
 */
static void comes_late(void)
{
	unsigned long rounds = scaled(150);
	uint32_t seed = 1;

	atomic_store(&ran, 0);
	go[0] = (gstk_sem)GSTK_SEM_INIT(0);
	atomic_store(&told[0], 0);
	task[0] = start(member, (void *)0L);
	wait_ran(1);
	for (unsigned long r = 0; r < rounds; r++) {
		gstk_task *t[2];

		finish(start(passing, (void *)1L)); /* shared, and then its only one again */
		gstk_sleep(11 * MS);		     /* nobody waits for who asked to share any more */
		CHECK_EQ(gstk_sem_post(&go[0], 1), 0);
		for (uint64_t end = gstk_now() + rnd(&seed) % 30000; gstk_now() < end;)
			;
		t[0] = start(passing, (void *)2L);
		t[1] = start(passing, (void *)3L);
		finish(t[0]);
		finish(t[1]);
	}
	end(0);
	settles(0, 0);
}

TEST(who_comes_as_a_window_is_given_back_is_not_lost)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 1 };

	alarm(25);
	ASSERT_EQ(gstk_main(body_, (void *)comes_late, NULL, &config), 0);
}

/* ---- free windows ---- */

static _Atomic int nr_ended;

static void *ends_at_once(void *arg)
{
	atomic_fetch_add(&nr_ended, 1);
	return NULL;
}

/* The worker that freed the only window goes on for as long as another does not get it. */
static void free_for_all(void)
{
	nr_ended = 0;
	for (int i = 0; i < 100; i += 2) {
		finish(start(ends_at_once, NULL));
		CHECK_EQ(gstk_go(ends_at_once, NULL), 0);
		for (uint64_t end = gstk_now() + 20000 * MS; atomic_load(&nr_ended) < i + 2;)
			CHECK(gstk_now() < end);
	}
}

TEST(a_free_window_can_be_had_by_every_worker)
{
	struct gstk_config config = { .size = sizeof(config), .workers = 2, .windows = 1 };

	alarm(60);
	ASSERT_EQ(gstk_main(body_, (void *)free_for_all, NULL, &config), 0);
}

TEST_HARNESS_MAIN
