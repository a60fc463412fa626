// SPDX-License-Identifier: MIT
/* Pages that go while no stack moves: below the stack pointers of private ones, and in free windows. */
#include "park/sweep_round.h"

#define PART (GSTK__BATCH - 8) /* windows at a time */

/* Stacks that never move: what is below their stack pointers. */
static GSTK__RACY bool trim_private(struct gstk__park *p)
{
	uint32_t high = gstk__win_private_high(), to = gstk__round.private_at + PART;

	to = to < high ? to : high;
	for (uint32_t i = gstk__round.private_at; i < to; i++) {
		struct gstk__window *win = gstk__win(i);
		uint32_t ri = gstk__peek(&win->resident);
		struct gstk_task *r = gstk__task(ri);
		struct gstk__stack_facts f = { .may_move = false };
		struct gstk__decision d;

		if (!ri || r->window != i)
			continue;
		/* Not its bounds: it may be given another mapping just now. */
		f.resident = r->tier == GSTK__TIER_RESIDENT;
		f.trimmed = win->low == r->tick + 1;
		f.idle_ms = gstk__round_idle_ms(p, r->tick);
		d = gstk__policy(&gstk__round.climate, &f);
		if (d.action == GSTK__TRIM && !gstk__state_own(r))
			d = (struct gstk__decision){ GSTK__KEEP, GSTK__KEPT_BUSY };
		gstk__round_because(d.why);
		if (d.action == GSTK__TRIM) {
			/* Owned: it is parked for good now, here or elsewhere. */
			if (r->window == i && r->tier == GSTK__TIER_RESIDENT) {
				gstk__batch_range(gstk__win_limit(i), r->sp);
				win->low = r->tick + 1;
				f.trimmed = true;
				gstk__round.did++;
			}
			gstk__batch.owned[gstk__batch.nr_owned++] = ri;
		}
		gstk__round_note_next(&f);
	}
	gstk__batch_flush(p);
	gstk__round.private_at = to;
	return to >= high;
}

/* Free windows keep pages that nobody needs. */
static bool trim_free_private(struct gstk__park *p)
{
	uint32_t head = gstk__win_take_free_private(PART), i;

	for (i = head; i; i = gstk__win(i)->next_free) {
		struct gstk__window *win = gstk__win(i);

		gstk__round.free_left -= gstk__round.free_left > 0;
		if (win->low == GSTK__LOW_CLEAN || !win->map)
			continue;
		win->low = GSTK__LOW_CLEAN;
		gstk__batch_range(gstk__win_limit(i), gstk__win_base(i));
	}
	gstk__batch_flush(p);
	gstk__win_put_clean_private(head);
	return !head;
}

static bool trim_free(struct gstk__park *p)
{
	uint32_t head = gstk__win_take_free(PART), i;

	for (i = head; i; i = gstk__win(i)->next_free) {
		struct gstk__window *win = gstk__win(i);

		gstk__round.free_left -= gstk__round.free_left > 0;
		if (win->low == GSTK__LOW_CLEAN)
			continue;
		win->low = GSTK__LOW_CLEAN;
		gstk__batch_dead(i, gstk__batch_end(i));
	}
	gstk__batch_flush(p);
	gstk__win_put_clean(head);
	return !head;
}

/* Of the free ones no more than there were: others may become free as fast as they are trimmed. */
bool gstk__sweep_trim(struct gstk__park *p)
{
	gstk__batch_flush(p); /* a part is no more than a batch holds */
	if (!gstk__round.trimming) {
		gstk__round.trimming = true;
		gstk__round.free_left = (uint32_t)(gstk__windows.nr + gstk__windows.nr_private);
		gstk__round.private_at = (uint32_t)gstk__windows.nr + 1;
	}
	if (gstk__round.free_left && (!trim_free(p) || !trim_free_private(p)))
		return false;
	if (!trim_private(p))
		return false;
	gstk__round.trimming = false;
	return true;
}
