// SPDX-License-Identifier: MIT
/* The sweep's visit to a task whose stack is in no window: packed once it was away for long. */
#include "park/sweep_round.h"

static bool evicted(uint8_t tier)
{
	return tier == GSTK__TIER_COPIED || tier == GSTK__TIER_DEEP || tier == GSTK__TIER_REMAPPED;
}

GSTK__RACY void gstk__sweep_task(struct gstk__park *p, struct gstk_task *t)
{
	struct gstk__stack_facts f = { .may_move = true };
	uint32_t window = t->window;
	struct gstk__decision d;

	if (!evicted(t->tier) || gstk__state_of(gstk__word(t)) != GSTK__PARKED ||
	    (gstk__flags(t) & (GSTK__T_FOREIGN | GSTK__T_PRIVATE)) || !window || t->tick == GSTK__TICK_UNPACKABLE)
		return;
	f.idle_ms = gstk__round_idle_ms(p, t->tick);
	f.used = t->used;
	f.history = gstk__round_history(t);
	d = gstk__policy(&gstk__round.climate, &f);
	if (d.action != GSTK__PACK) {
		gstk__round_because(d.why);
		gstk__round_note_next(&f);
		return;
	}
	if (gstk__round.full) {
		gstk__round_because(GSTK__KEPT_FULL);
		gstk__round_note_next(&f);
		return;
	}
	if (!gstk__batch_own_evicted(t, window)) {
		gstk__round_because(GSTK__KEPT_BUSY);
		return;
	}
	/* Owned: look again, it may be another task by now. */
	if (t->window == window && gstk__state_of(gstk__word(t)) >= GSTK__PARKED &&
	    gstk__state_of(gstk__word(t)) <= GSTK__OWNED && t->tier == GSTK__TIER_REMAPPED) {
		gstk__batch.pack_why[gstk__batch.nr_packs] = (uint8_t)d.why;
		gstk__batch.pack[gstk__batch.nr_packs++] = (struct gstk__move){ .out = t };
		gstk__round_moved(p, t, &f, true);
	} else if (t->window == window && gstk__state_of(gstk__word(t)) >= GSTK__PARKED &&
		   gstk__state_of(gstk__word(t)) <= GSTK__OWNED && evicted(t->tier)) {
		int err = gstk__pack(p, t);

		if (err) {
			gstk__round_not_packed(t, err);
			if (gstk__round.full)
				gstk__round_note_next(&f);
		} else {
			gstk__round_moved(p, t, &f, true);
			gstk__round_because(d.why);
		}
	}
	if (gstk__batch.nr_owned >= GSTK__BATCH || gstk__batch.nr_packs >= GSTK__BATCH)
		gstk__batch_flush(p);
}
