// SPDX-License-Identifier: MIT
/*
 * A stack that nobody runs is owned as the sweep owns it, and goes where the policy would not have sent it:
 * out, packed, back, trimmed, without regard to how long it has been idle.
 */
#include "torture.h"

#include <string.h>
#include "debug/annotate.h"
#include "host/host.h"
#include "park/lazy.h"
#include "park/tier.h"
#include "sched/worker.h"

struct walked walked;

/* What owns the bytes of a parked task: its word, or (@shared) its window's. False: somebody else has it. */
static bool own(struct gstk_task *t, uint32_t *window, bool *shared)
{
	uint64_t idle = GSTK__WIN_IDLE;
	enum gstk__state state;

	*window = gstk__peek(&t->window);
	if (!*window || *window > gstk__windows.nr)
		return false;
	*shared = gstk__word(t) & GSTK__SHARED;
	if (*shared ? !atomic_compare_exchange_strong(&gstk__win(*window)->word, &idle, GSTK__WIN_OWNED)
		    : !gstk__state_own(t))
		return false;
	state = gstk__state_of(gstk__word(t));
	if (t->window == *window && (state == GSTK__PARKED || state == GSTK__OWNED) && t->tier != GSTK__TIER_NONE)
		return true;
	*shared = *shared ? (gstk__window_release(gstk__self(), *window), true) : false;
	if (!*shared)
		gstk__let_go(t);
	return false;
}

static void let_go(struct gstk_task *t, uint32_t window, bool shared)
{
	if (shared)
		gstk__window_release(gstk__self(), window);
	else
		gstk__let_go(t);
}

/* Pages below @sp go. */
static void trim(struct gstk__park *p, uint32_t window, char *sp)
{
	char *from = gstk__win_limit(window), *to = (char *)((uintptr_t)sp & ~(uintptr_t)4095);
	struct gstk__dead dead = { window, sp };

	if (gstk__windows.module)
		gstk__remap_reclaim(p, &dead, 1);
	else if (from < to)
		gstk__mem_discard(from, (size_t)(to - from));
	walked.trims++;
}

static void leave(struct gstk__park *p, struct rng *r, struct gstk_task *t, bool shared)
{
	if (rnd(r) % 4 == 0) {
		trim(p, t->window, t->sp);
		gstk__win(t->window)->low = t->tick + 1;
		if (rnd(r) % 2)
			return;
	}
	if (gstk__evict(p, t, false)) {
		walked.refused++;
		return;
	}
	if (shared)
		gstk__win(t->window)->resident = 0;
	if (rnd(r) % 2)
		trim(p, t->window, gstk__win_start(t->window) + gstk__windows.stride);
	if (rnd(r) % 4 == 0 && gstk__pack(p, t))
		walked.refused++;
}

/* The bytes as a report would read them, wherever they are: nothing may move or fault. */
static void look(struct gstk_task *t)
{
	char buf[4096 * 3];
	uint32_t n = t->used < sizeof(buf) ? t->used : (uint32_t)sizeof(buf);

	if (t->tier == GSTK__TIER_RESIDENT)
		gstk__lazy_look(t->window, buf, t->sp, 64);
	else if (t->tier == GSTK__TIER_REMAPPED)
		gstk__remap_look(t, buf, n);
	else if (gstk__is_deep(t->tier))
		gstk__lazy_look_away(t, buf, n);
	walked.looks++;
}

void walk(struct rng *r, gstk_task *t)
{
	struct gstk__park *p;
	uint32_t window;
	uint8_t from;
	bool shared;

	if (!own(t, &window, &shared))
		return;
	p = &gstk__self()->park;
	from = t->tier;
	walked.taken++;
	if (rnd(r) % 8 == 0)
		look(t);
	if (from == GSTK__TIER_RESIDENT)
		leave(p, r, t, shared);
	else if (from != GSTK__TIER_PACKED && from != GSTK__TIER_DEEP_PACKED && rnd(r) % 2)
		walked.refused += gstk__pack(p, t) != 0;
	else
		walked.refused += gstk__claim(p, t) != 0;
	walked.edge[from][t->tier]++;
	let_go(t, window, shared);
}
