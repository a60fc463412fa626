// SPDX-License-Identifier: MIT
/* The policy, exhaustively for small inputs: what must hold of every answer. */
#include <stdlib.h>
#include "kselftest_harness.h"
#include "park/policy.h"

/* Every climate and stack of a small world, idle times from 0 to END. */
#define END 110u

struct world {
	struct gstk__climate c;
	struct gstk__stack_facts f;
};

/* The next world; false after the last. Fields are digits of a number. */
static bool next_world(struct world *w, unsigned long *number)
{
	static const uint32_t pressure[] = { 0, 10, 20, 40 }, filled[] = { 79, 90 }, cost[] = { 0, 7000, 30000 };
	unsigned long n = (*number)++;
#define DIGIT(base) ({ unsigned long d_ = n % (base); n /= (base); d_; })

	*w = (struct world){ .c = { .evict_idle_ms = 8, .pack_idle_ms = 24, .resident_budget = 1000, .min_residents = 10 } };
	w->c.pressure = pressure[DIGIT(4)];
	w->c.filled = filled[DIGIT(2)];
	w->c.evict_ns = cost[DIGIT(3)];
	w->c.trim_ns = DIGIT(2) ? 150000 : 1000;
	w->c.cold_idle_ms = w->c.evict_idle_ms * (1 + 3 * DIGIT(2));
	w->c.resident_bytes = (uint64_t[]){ 999, 1000, 1001, 1999, 2002 }[DIGIT(5)];
	w->c.residents = 9 + (uint32_t)DIGIT(2);
	w->f.resident = DIGIT(2);
	w->f.may_move = DIGIT(2);
	w->f.trimmed = DIGIT(2);
	w->f.used = DIGIT(2) ? 100000 : 200;
	w->f.history.out = DIGIT(2) * 2 & 7;
	w->f.history.pack = w->f.history.out / 2 & 7;
	return n == 0;
#undef DIGIT
}

static enum gstk__action at(struct world w, uint64_t idle_ms)
{
	w.f.idle_ms = idle_ms;
	return gstk__policy(&w.c, &w.f).action;
}

static enum gstk__reason why(struct world w, uint64_t idle_ms)
{
	w.f.idle_ms = idle_ms;
	return gstk__policy(&w.c, &w.f).why;
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

static bool is_short(const struct gstk__climate *c)
{
	return c->pressure >= 10 || c->filled >= 80;
}

TEST(pressure_a_near_limit_and_a_full_budget_never_make_it_later)
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
			for (more = w; more.c.filled < 100; more.c.filled++)
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

TEST(the_reason_says_what_the_decision_was)
{
	struct world w, plain;
	unsigned long n = 0, of[GSTK__NR_REASONS] = { 0 };

	while (next_world(&w, &n))
		for (uint64_t ms = 0; ms <= 4 * END; ms++) {
			enum gstk__action a = at(w, ms);
			enum gstk__reason r = why(w, ms);
			bool full = w.c.resident_bytes > w.c.resident_budget;

			of[r]++;
			if (a == GSTK__EVICT || a == GSTK__REMAP)
				ASSERT_LE(r, GSTK__MOVED_PRESSURE);
			ASSERT_EQ(a == GSTK__PACK, r == GSTK__PACKED_IDLE || r == GSTK__PACKED_PRESSURE);
			ASSERT_EQ(a == GSTK__TRIM, r == GSTK__TRIMMED_IDLE);
			ASSERT_EQ(a == GSTK__KEEP, r >= GSTK__KEPT_YOUNG);
			plain = w; /* what would have come of it with all the room and patience there is */
			plain.c.pressure = 0;
			plain.c.filled = 0;
			plain.c.resident_bytes = 0;
			if (r == GSTK__MOVED_COLD)
				ASSERT_TRUE(at(plain, ms) == a);
			if (r == GSTK__MOVED_BUDGET)
				ASSERT_TRUE(full && !is_short(&w.c) && at(plain, ms) != a);
			if (r == GSTK__MOVED_PRESSURE)
				ASSERT_TRUE(is_short(&w.c) && at(plain, ms) != a);
			if (r == GSTK__PACKED_PRESSURE)
				ASSERT_TRUE(is_short(&w.c) && at(plain, ms) == GSTK__KEEP);
			plain = w;
			plain.f.history = (struct gstk__history){ 0 };
			if (r == GSTK__KEPT_BOUNCING)
				ASSERT_TRUE(at(plain, ms) == GSTK__PACK || at(plain, ms) == GSTK__EVICT ||
					    at(plain, ms) == GSTK__REMAP || w.c.residents < w.c.min_residents);
			plain = w;
			plain.c.residents = plain.c.min_residents;
			if (r == GSTK__KEPT_FEW)
				ASSERT_TRUE(at(plain, ms) == GSTK__EVICT && w.c.residents < w.c.min_residents);
			if (r == GSTK__KEPT_YOUNG)
				ASSERT_EQ(GSTK__KEEP, at(plain, ms));
		}
	for (int r = 0; r <= GSTK__KEPT_PRIVATE; r++)
		EXPECT_LT(0, of[r]);
}

TEST(what_bounced_goes_later_but_goes_and_not_later_where_memory_is_short)
{
	struct world w, more;
	unsigned long n = 0, later = 0;

	while (next_world(&w, &n))
		for (uint64_t ms = 0; ms <= 8 * END; ms++) {
			enum gstk__action a = at(w, ms);

			more = w;
			more.f.history.out = GSTK__BOUNCES_MOST;
			more.f.history.pack = GSTK__PACK_BOUNCES_MOST;
			/* Never sooner; and 2^3 times 32 ms is the end of it. */
			if (a == GSTK__KEEP || a == GSTK__TRIM || is_short(&w.c) || (w.f.resident && w.c.resident_bytes >= 2002) ||
			    ms >= 8 * 32)
				ASSERT_EQ(a, at(more, ms));
			later += at(more, ms) != a;
		}
	EXPECT_LT(1000, later);
}

TEST(the_nearer_the_limit_of_the_group_the_sooner_they_go_as_with_stalls)
{
	static const struct { uint32_t filled, pressure, evict_ms, pack_ms; } of[] = {
		{ 0, 0, 800, 2400 }, { 79, 9, 800, 2400 }, { 80, 10, 40, 1200 }, { 89, 19, 40, 1200 }, { 90, 20, 20, 600 },
		{ 94, 39, 20, 600 }, { 95, 40, 10, 300 }, { 100, 100, 10, 300 },
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++)
		for (int which = 0; which < 3; which++) { /* by one of them, the other, and both */
			struct gstk__climate c = { .evict_idle_ms = 80, .cold_idle_ms = 800, .pack_idle_ms = 2400,
				.resident_budget = 1000, .residents = 100, .min_residents = 10,
				.filled = which != 1 ? of[i].filled : 0, .pressure = which ? of[i].pressure : 0 };
			struct gstk__stack_facts f = { .resident = true, .may_move = true, .trimmed = true, .used = 900 };

			EXPECT_EQ(of[i].evict_ms, gstk__policy_next(&c, &f));
			f.resident = false;
			EXPECT_EQ(of[i].pack_ms, gstk__policy_next(&c, &f));
		}
}

/* A stack that is moved whenever the policy says so, and wakes after @idle_ms each time: how often does it bounce? */
static unsigned int bounces_of(const struct gstk__climate *c, uint64_t idle_ms, int wakes, unsigned int *moves)
{
	struct gstk__history h = { 0 };
	uint64_t now = 1000;
	unsigned int bounces = 0;

	*moves = 0;
	for (; wakes; wakes--) {
		struct gstk__stack_facts f = { .resident = true, .may_move = true, .trimmed = true, .used = 900,
			.history = gstk__policy_history(c, h, (uint32_t)now) };

		bounces += f.history.out > h.out;
		h = f.history;
		f.idle_ms = gstk__policy_next(c, &f);
		if (f.idle_ms < idle_ms) {
			h = gstk__policy_moved(h, (uint32_t)(now + f.idle_ms), false);
			++*moves;
		}
		now += idle_ms;
	}
	return bounces;
}

TEST(a_regular_stack_bounces_once_or_twice_and_then_stays)
{
	struct gstk__climate c = { .evict_idle_ms = 1000, .cold_idle_ms = 10000, .pack_idle_ms = 30000, .resident_bytes = 1001,
		.resident_budget = 1000, .min_residents = 1, .residents = 100 };
	unsigned int moves;

	for (uint64_t idle_ms = 8; idle_ms < 100000; idle_ms += 8) {
		unsigned int bounces = bounces_of(&c, idle_ms, 100, &moves);

		ASSERT_GE(2, bounces);
		if (idle_ms > 1008 && idle_ms < 1992) /* within twice the time: one lesson is enough */
			ASSERT_EQ(1, moves) TH_LOG("%lu ms", (unsigned long)idle_ms);
		if (idle_ms > 2100) /* away for longer than it had been idle: that was worth it */
			ASSERT_EQ(100, moves + (idle_ms < 4 * 1000 ? bounces : 0)) TH_LOG("%lu ms", (unsigned long)idle_ms);
	}
	c.pressure = 10;
	bounces_of(&c, 1500, 100, &moves);
	EXPECT_EQ(100, moves);
}

TEST(a_move_is_judged_once_and_forgotten_when_it_paid)
{
	struct gstk__climate c = { .evict_idle_ms = 1000, .cold_idle_ms = 1000, .pack_idle_ms = 30000, .resident_budget = 1,
		.min_residents = 1, .residents = 100 };
	struct gstk__history h = gstk__policy_moved((struct gstk__history){ 0 }, 5000, false), same;

	EXPECT_EQ(0, +gstk__policy_history(&c, h, 4000).out); /* parked before: it is away still */
	EXPECT_EQ(0, +gstk__policy_history(&c, h, 5000).out);
	EXPECT_EQ(1, +gstk__policy_history(&c, h, 5900).out);
	EXPECT_EQ(1, +gstk__policy_history(&c, h, 6000).out);
	EXPECT_EQ(0, +gstk__policy_history(&c, h, 6100).out);
	same = gstk__policy_history(&c, gstk__policy_history(&c, h, 5900), 90000);
	EXPECT_EQ(1, +same.out); /* later parks tell nothing more of that move */
	for (int i = 0; i < 10; i++)
		h = gstk__policy_history(&c, gstk__policy_moved(h, 5000, false), 5900);
	EXPECT_EQ(GSTK__BOUNCES_MOST, +h.out);
	for (int i = 0; i < 10; i++)
		h = gstk__policy_history(&c, gstk__policy_moved(h, 5000, false), 90000);
	EXPECT_EQ(0, +h.out);
	/* Packs have a count of their own. */
	for (int i = 0; i < 10; i++)
		h = gstk__policy_history(&c, gstk__policy_moved(h, 5000, true), 6000);
	EXPECT_EQ(GSTK__PACK_BOUNCES_MOST, +h.pack);
	EXPECT_EQ(0, +h.out);
	h = gstk__policy_history(&c, gstk__policy_moved(h, 5000, true), 5000 + 61000);
	EXPECT_EQ(0, +h.pack);
	/* The clock wraps. */
	h = gstk__policy_moved((struct gstk__history){ 0 }, UINT32_MAX - 100, false);
	EXPECT_EQ(0, +gstk__policy_history(&c, h, UINT32_MAX - 2000).out);
	EXPECT_EQ(1, +gstk__policy_history(&c, h, 300).out);
}

TEST_HARNESS_MAIN
