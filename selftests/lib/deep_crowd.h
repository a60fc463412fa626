/* SPDX-License-Identifier: MIT */
/*
 * A crowd of deep stacks that is woken a few times: each round a little deeper or shallower than the last one, and a few
 * pages are looked at, some of them rewritten. Define ROUNDS, CROWD and PACKED, the tier that they get into, first.
 */
#ifndef GREENSTK_TEST_DEEP_CROWD_H
#define GREENSTK_TEST_DEEP_CROWD_H

#include "debug/annotate.h"
#include "deep_stack.h"
#include "task/task.h"

static gstk_sem turn[CROWD];
static _Atomic int woke; /* how many did, in all */

static void wait_turn(const struct deep *d)
{
	CHECK_EQ(gstk_sem_wait(&turn[d->tag - 1]), 0);
	woke++;
}

static __attribute__((noinline)) void deeper(const struct deep *d, unsigned int pages)
{
	volatile char more[4096];

	more[0] = (char)pages;
	more[4095] = 1;
	if (pages)
		deeper(d, pages - 1);
	else
		wait_turn(d);
	CHECK_EQ(more[0], (char)pages);
}

static void touch_some(struct deep *d)
{
	uint64_t seed = d->tag;

	for (int round = 0; round < ROUNDS; round++) {
		deeper(d, (unsigned int)(round * 5 + (int)d->tag) % 13);
		for (int i = round % 4; i > 0; i--) {
			unsigned int k = random_page(&seed);

			CHECK_EQ(wrong(d, k), 0);
			if (i & 1)
				rewrite(d, k);
		}
		for (unsigned int k = 20; round == ROUNDS - 2 && k < 60; k++) /* as frames that are left: upwards */
			CHECK_EQ(wrong(d, k), 0);
		if (round == ROUNDS / 2) /* an edge: the last page, beyond which the window ends */
			rewrite(d, PAGES - 1);
	}
}

static void *toucher(void *arg)
{
	return (void *)on_deep_stack((uintptr_t)arg, touch_some);
}

/* All have their turn, and have begun it. */
static void wake_all(int round)
{
	for (int i = 0; i < CROWD; i++)
		gstk_sem_post(&turn[i], 1);
	while (woke < (round + 1) * CROWD) /* else who has not run yet would still be where it was */
		gstk_sleep(1 * MS);
}

/* A look without owning it: once packed it stays so until it is woken. */
static unsigned int tier(const gstk_task *t)
{
	return gstk__peek_byte(&t->tier);
}

static void until_packed(gstk_task **t, int nr)
{
	int packed = 0;

	for (int i = 0; i < 60000 && packed < nr; i++) {
		gstk_sleep(1 * MS);
		packed = 0;
		for (int k = 0; k < nr; k++)
			packed += tier(t[k]) == PACKED;
	}
	CHECK_EQ(packed, nr);
}

/* To the end of all of them. */
static void run_crowd(void)
{
	gstk_task *t[CROWD];

	for (uintptr_t i = 0; i < CROWD; i++)
		t[i] = start(toucher, (void *)(i + 1));
	for (int round = 0; round < ROUNDS; round++) {
		until_packed(t, CROWD);
		wake_all(round);
	}
	for (int i = 0; i < CROWD; i++)
		CHECK_EQ(finish(t[i]), 0);
}

#endif
