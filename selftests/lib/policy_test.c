// SPDX-License-Identifier: MIT
/* The policy, exhaustively for small inputs: what must hold of every answer. */
#include <stdlib.h>
#include "kselftest_harness.h"
#include "park/policy.h"

/* Every climate and stack of a small world, idle times from 0 to END. */
#define END 45u

struct world {
	struct gstk__climate c;
	struct gstk__stack_facts f;
};

/* The next world; false after the last. Fields are digits of a number. */
static bool next_world(struct world *w, unsigned long *number)
{
	static const uint32_t pressure[] = { 0, 10, 20, 40 }, cost[] = { 0, 7000, 30000 };
	unsigned long n = (*number)++;
#define DIGIT(base) ({ unsigned long d_ = n % (base); n /= (base); d_; })

	*w = (struct world){ .c = { .evict_idle_ms = 8, .pack_idle_ms = 24, .resident_budget = 1000, .min_residents = 10 } };
	w->c.pressure = pressure[DIGIT(4)];
	w->c.evict_ns = cost[DIGIT(3)];
	w->c.trim_ns = DIGIT(2) ? 150000 : 1000;
	w->c.cold_idle_ms = w->c.evict_idle_ms * (1 + 3 * DIGIT(2));
	w->c.resident_bytes = 999 + DIGIT(3);
	w->c.residents = 9 + (uint32_t)DIGIT(2);
	w->f.resident = DIGIT(2);
	w->f.may_move = DIGIT(2);
	w->f.trimmed = DIGIT(2);
	w->f.used = DIGIT(2) ? 100000 : 200;
	return n == 0;
#undef DIGIT
}

static enum gstk__action at(struct world w, uint64_t idle_ms)
{
	w.f.idle_ms = idle_ms;
	return gstk__policy(&w.c, &w.f);
}

TEST(what_may_not_move_is_left_alone_and_what_is_out_is_not_moved_out_again)
{
	struct world w;
	unsigned long n = 0, seen = 0;

	while (next_world(&w, &n))
		for (uint64_t ms = 0; ms <= 4 * END; ms++, seen++) {
			enum gstk__action a = at(w, ms);

			if (!w.f.may_move) /* only what is dead below it may go */
				ASSERT_TRUE(a == GSTK__KEEP || (a == GSTK__TRIM && w.f.resident));
			ASSERT_TRUE(w.f.resident ? a != GSTK__PACK : a == GSTK__KEEP || a == GSTK__PACK);
			if (w.f.trimmed)
				ASSERT_NE(GSTK__TRIM, a);
			if (w.c.residents < w.c.min_residents && w.f.resident)
				ASSERT_TRUE(a == GSTK__KEEP || a == GSTK__TRIM);
		}
	EXPECT_LT(500000, seen);
}

TEST(what_left_at_some_idle_time_also_leaves_at_every_longer_one)
{
	struct world w;
	unsigned long n = 0, left = 0;

	while (next_world(&w, &n)) {
		bool gone = false;

		for (uint64_t ms = 0; ms <= 4 * END; ms++) {
			enum gstk__action a = at(w, ms);

			if (gone)
				ASSERT_TRUE(a != GSTK__KEEP && a != GSTK__TRIM);
			gone |= a != GSTK__KEEP && a != GSTK__TRIM;
		}
		left += gone;
	}
	EXPECT_LT(100, left);
}

TEST(pressure_and_a_full_budget_never_make_it_later)
{
	struct world w, more;
	unsigned long n = 0;

	while (next_world(&w, &n))
		for (uint64_t ms = 0; ms <= 4 * END; ms++) {
			enum gstk__action a = at(w, ms);

			if (a == GSTK__KEEP || a == GSTK__TRIM)
				continue;
			more = w;
			more.c.pressure += 10;
			ASSERT_EQ(a, at(more, ms));
			more = w;
			more.c.resident_bytes += 10;
			if (w.c.evict_idle_ms <= w.c.cold_idle_ms)
				ASSERT_EQ(a, at(more, ms));
		}
}

TEST(the_time_until_the_next_change_is_exact)
{
	struct world w;
	unsigned long n = 0, waits = 0;

	while (next_world(&w, &n))
		for (uint64_t ms = 0; ms <= END; ms++) {
			uint64_t next;

			if (at(w, ms) != GSTK__KEEP)
				continue;
			w.f.idle_ms = ms;
			next = gstk__policy_next(&w.c, &w.f);
			if (next == UINT64_MAX) {
				ASSERT_EQ(GSTK__KEEP, at(w, 1000000000));
				continue;
			}
			ASSERT_LT(0, next);
			ASSERT_EQ(GSTK__KEEP, at(w, ms + next - 1));
			ASSERT_NE(GSTK__KEEP, at(w, ms + next));
			waits++;
		}
	EXPECT_LT(1000, waits);
}

TEST(no_move_costs_more_than_a_thousandth_of_the_idle_time)
{
	struct world w;
	unsigned long n = 0;

	while (next_world(&w, &n))
		for (uint64_t ms = 0; ms <= 4 * END; ms++) {
			enum gstk__action a = at(w, ms);
			uint64_t cost = a == GSTK__EVICT ? w.c.evict_ns : a == GSTK__TRIM ? w.c.trim_ns : 0;

			ASSERT_LE(cost / 1000, ms * 1000);
		}
}

TEST_HARNESS_MAIN
