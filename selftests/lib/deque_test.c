// SPDX-License-Identifier: MIT
/* The work-stealing deque: grows, shrinks when it is empty, and hands out each item once. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kselftest_harness.h"
#include "sched/deque.h"

enum { MANY = 200000 };

static size_t rss_pages(void)
{
	size_t total, rss = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%zu %zu", &total, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	return rss;
}

FIXTURE(deque) {
	struct gstk__deque d;
};

FIXTURE_SETUP(deque)
{
	ASSERT_TRUE(gstk__deque_init(&self->d, 256));
}

FIXTURE_TEARDOWN(deque)
{
	gstk__deque_fini(&self->d);
}

TEST_F(deque, keeps_its_order_at_both_ends_through_growth_and_trim)
{
	for (int round = 0; round < 4; round++) {
		for (uint32_t i = 1; i <= MANY; i++)
			ASSERT_TRUE(gstk__deque_push(&self->d, i));
		gstk__deque_trim(&self->d); /* not empty: does nothing */
		ASSERT_EQ(MANY, gstk__deque_len(&self->d));
		for (uint32_t i = 1; i <= MANY / 2; i++) {
			ASSERT_EQ(i, gstk__deque_take_top(&self->d, round % 2));
			ASSERT_EQ(MANY + 1 - i, gstk__deque_take_bottom(&self->d, round % 2));
		}
		ASSERT_EQ(0, gstk__deque_take_top(&self->d, round % 2));
		gstk__deque_trim(&self->d);
		ASSERT_EQ(255, atomic_load(&self->d.ring)->mask);
	}
}

TEST_F(deque, gives_its_pages_back_when_it_is_empty)
{
	size_t before = rss_pages();

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	SKIP(return, "a sanitizer's shadow stays");
#endif
	for (uint32_t i = 1; i <= 4 * MANY; i++)
		ASSERT_TRUE(gstk__deque_push(&self->d, i));
	ASSERT_GE(rss_pages(), before + 700);
	while (gstk__deque_take_bottom(&self->d, false))
		;
	gstk__deque_trim(&self->d);
	EXPECT_LE(rss_pages(), before + 200);
}

static struct gstk__deque shared;
static _Atomic uint8_t seen[1 << 22];
static _Atomic int done;

static void *thief(void *arg)
{
	while (!atomic_load(&done)) {
		uint32_t item = gstk__deque_steal(&shared);

		if (item)
			atomic_fetch_add(&seen[item], 1);
	}
	return arg;
}

/* Bursts that grow the ring, emptied by the owner and two thieves, trimmed while these still look. */
TEST(each_item_is_taken_once_while_rings_come_and_go)
{
	uint32_t last = 0;
	pthread_t t[2];

	ASSERT_TRUE(gstk__deque_init(&shared, 256));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, thief, NULL));
	for (int round = 0; round < 60; round++) {
		uint32_t item;

		for (int i = 0; i < 20000 + round * 100; i++)
			ASSERT_TRUE(gstk__deque_push(&shared, ++last));
		while ((item = round % 2 ? gstk__deque_take_bottom(&shared, false)
					 : gstk__deque_take_top(&shared, false)) || gstk__deque_len(&shared) > 0)
			if (item)
				atomic_fetch_add(&seen[item], 1);
		gstk__deque_trim(&shared);
		ASSERT_LT(atomic_load(&shared.ring)->mask, 16383); /* thieves may have kept it small */
	}
	atomic_store(&done, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (uint32_t i = 1; i <= last; i++)
		ASSERT_EQ(1, atomic_load(&seen[i]));
	gstk__deque_fini(&shared);
}

TEST_HARNESS_MAIN
