// SPDX-License-Identifier: MIT
#include "park/sweep_round.h"

#include "debug/annotate.h"
#include "debug/inject.h"
#include "host/host.h"

struct gstk__batch gstk__batch;

void gstk__batch_range(char *from, char *to)
{
	char *a = (char *)(((uintptr_t)from + 4095) & ~(uintptr_t)4095);
	char *b = (char *)((uintptr_t)to & ~(uintptr_t)4095);
	struct iovec *last = gstk__batch.nr_ranges ? &gstk__batch.range[gstk__batch.nr_ranges - 1] : NULL;

	if (a >= b)
		return;
	if (last && (char *)last->iov_base + last->iov_len == a) {
		last->iov_len += (size_t)(b - a);
		return;
	}
	gstk__batch.range[gstk__batch.nr_ranges].iov_base = a;
	gstk__batch.range[gstk__batch.nr_ranges++].iov_len = (size_t)(b - a);
}

void gstk__batch_dead(uint32_t i, char *sp)
{
	if (gstk__windows.module)
		gstk__batch.dead[gstk__batch.nr_dead++] = (struct gstk__dead){ i, sp };
	else
		gstk__batch_range(gstk__win_limit(i), sp);
}

/* The batch's stacks move, with as few calls as they need; what they leave behind goes back. */
static void flush_moves(struct gstk__park *p)
{
	gstk__remap_moves(p, gstk__batch.move, gstk__batch.nr_moves);
	for (uint32_t i = 0; i < gstk__batch.nr_moves; i++) {
		struct gstk_task *t = gstk__batch.move[i].out;
		struct gstk__window *win = gstk__win(t->window);

		gstk__count(&gstk__sweep_counts.decided[t->tier == GSTK__TIER_RESIDENT ? GSTK__KEPT_FULL : gstk__batch.move_why[i]]);
		if (t->tier == GSTK__TIER_RESIDENT)
			continue;
		if ((atomic_load_explicit(&win->word, memory_order_relaxed) & GSTK__WIN_STATE_MASK) == GSTK__WIN_OWNED)
			win->resident = 0;
		if (t->tier == GSTK__TIER_COPIED || win->low != t->tick + 1)
			gstk__batch_dead(t->window, gstk__batch_end(t->window));
	}
	gstk__remap_packs(p, gstk__batch.pack, gstk__batch.nr_packs);
	for (uint32_t i = 0; i < gstk__batch.nr_packs; i++) {
		if (gstk__batch.pack[i].err)
			gstk__round_not_packed(gstk__batch.pack[i].out, gstk__batch.pack[i].err);
		else
			gstk__round_because((enum gstk__reason)gstk__batch.pack_why[i]);
	}
	gstk__remap_reclaim(p, gstk__batch.dead, gstk__batch.nr_dead);
	gstk__batch.nr_dead = gstk__batch.nr_moves = gstk__batch.nr_packs = 0;
}

void gstk__batch_flush(struct gstk__park *p)
{
	if (gstk__windows.module)
		flush_moves(p);
	if (gstk__batch.nr_ranges) {
		uint64_t bytes = 0;

		for (uint32_t i = 0; i < gstk__batch.nr_ranges; i++)
			bytes += gstk__batch.range[i].iov_len;
		gstk__count_by(&p->n.trim_calls, (uint64_t)gstk__mem_discard_many(gstk__batch.range, (int)gstk__batch.nr_ranges));
		gstk__count_by(&p->n.trims, gstk__batch.nr_ranges);
		gstk__count_by(&p->n.trim_bytes, bytes);
	}
	for (uint32_t i = 0; i < gstk__batch.nr_owned; i++) {
		uint32_t o = gstk__batch.owned[i];

		if (o & GSTK__OWNED_WINDOW)
			gstk__batch.ops.release_window(o & ~GSTK__OWNED_WINDOW);
		else
			gstk__batch.ops.let_go(gstk__task(o));
	}
	gstk__batch.nr_ranges = gstk__batch.nr_owned = 0;
}

uint32_t gstk__batch_own(uint32_t i, struct gstk_task **r)
{
	struct gstk__window *win = gstk__win(i);
	uint64_t word = atomic_load_explicit(&win->word, memory_order_acquire);
	uint32_t ri;

	if (word == GSTK__WIN_IDLE) {
		if (!atomic_compare_exchange_strong(&win->word, &word, GSTK__WIN_OWNED))
			return 0;
		*r = win->resident ? gstk__task(win->resident) : NULL;
		return GSTK__OWNED_WINDOW | i;
	}
	if (word != GSTK__WIN_SOLO)
		return 0;
	ri = gstk__peek(&win->resident);
	GSTK__INJECT(sweep_own);
	if (!ri || !gstk__state_own(gstk__task(ri)))
		return 0;
	*r = gstk__task(ri);
	if ((*r)->window == i && win->resident == ri)
		return ri;
	gstk__batch.ops.let_go(*r);
	return 0;
}

static bool owned_already(uint32_t what)
{
	for (uint32_t i = gstk__batch.nr_owned; i-- > 0;)
		if (gstk__batch.owned[i] == what)
			return true;
	return false;
}

bool gstk__batch_own_evicted(struct gstk_task *t, uint32_t window)
{
	uint32_t word = gstk__word(t), what = GSTK__OWNED_WINDOW | window;
	uint64_t idle = GSTK__WIN_IDLE;

	if (!(word & GSTK__SHARED)) {
		what = gstk__task_index(t);
		if (!gstk__state_own(t))
			return false;
	} else if (!atomic_compare_exchange_strong(&gstk__win(window)->word, &idle, GSTK__WIN_OWNED)) {
		return owned_already(what); /* by this batch: few windows have many mates */
	}
	gstk__batch.owned[gstk__batch.nr_owned++] = what;
	return true;
}
