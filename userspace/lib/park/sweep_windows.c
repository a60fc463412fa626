// SPDX-License-Identifier: MIT
/*
 * Facts to hold in mind:
 * - Windows are visited in blocks that share a page table (2 MiB). Whoever is to be touched is owned
 *   first (its word, or its shared window's), then evicted; its pages go with the batch; then it is
 *   disowned. While owned it cannot run: a wake is kept and done at the end.
 * - A block in which no stack is resident gives its guards and its page table back, too.
 */
#include "debug/seal.h"
#include "host/host.h"
#include "park/sweep_round.h"

static GSTK__RACY void facts_of(struct gstk__park *p, struct gstk_task *t, struct gstk__window *win,
		     struct gstk__stack_facts *f)
{
	f->resident = t->tier == GSTK__TIER_RESIDENT;
	f->may_move = true;
	f->trimmed = f->resident && win->low == t->tick + 1;
	f->used = f->resident ? (uint32_t)(gstk__win_base(t->window) - (char *)t->sp) : t->used;
	f->idle_ms = gstk__round_idle_ms(p, t->tick);
	f->history = gstk__round_history(t);
}

/* The pages that a resident takes at least: those of its stack. */
static void note_resident(const struct gstk__stack_facts *f)
{
	if (!f->resident)
		return;
	gstk__round.seen++;
	gstk__round.seen_bytes += (f->used + 4095) & ~4095u;
}

GSTK__RACY void gstk__sweep_windows(struct gstk__park *p, uint32_t first, uint32_t nr)
{
	uint32_t empty = 0, warm = 0, owned_from = gstk__batch.nr_owned, range_from = gstk__batch.nr_ranges;

	for (uint32_t i = first; i < first + nr; i++) {
		struct gstk__window *win = gstk__win(i);
		uint64_t word = atomic_load_explicit(&win->word, memory_order_relaxed);
		struct gstk__stack_facts f;
		struct gstk_task *r;
		uint32_t what, ri = gstk__peek(&win->resident);
		struct gstk__decision d;

		if ((word != GSTK__WIN_SOLO && word != GSTK__WIN_IDLE) || (word == GSTK__WIN_SOLO && !ri)) {
			warm++;
			continue;
		}
		if (ri) { /* a look without owning: may be stale, is checked again below */
			r = gstk__task(ri);
			facts_of(p, r, win, &f);
			note_resident(&f);
			d = gstk__policy(&gstk__round.climate, &f);
			if (f.resident && d.action == GSTK__KEEP) {
				gstk__round_because(d.why);
				gstk__round_note_next(&f);
				warm++;
				continue;
			}
		}
		if (!(win->flags & GSTK__WIN_GUARDED)) {
			empty++; /* the block was given back before */
			continue;
		}
		what = gstk__batch_own(i, &r);
		if (!what) {
			gstk__round_because(GSTK__KEPT_BUSY);
			warm++;
			continue;
		}
		gstk__batch.owned[gstk__batch.nr_owned++] = what;
		if (!r || r->tier != GSTK__TIER_RESIDENT) {
			empty++;
			continue;
		}
		facts_of(p, r, win, &f);
		d = gstk__policy(&gstk__round.climate, &f);
		if (d.action == GSTK__EVICT && gstk__evict(p, r, false)) {
			d = (struct gstk__decision){ GSTK__KEEP, GSTK__KEPT_FULL };
			warm++;
		} else if (d.action == GSTK__EVICT) {
			if (what & GSTK__OWNED_WINDOW)
				win->resident = 0;
			gstk__batch_dead(i, gstk__batch_end(i));
			gstk__round_moved(p, r, &f, false);
			gstk__count_by(&gstk__sweep_counts.copied_small,
				       f.used < gstk__round.climate.remap_bytes && gstk__windows.module);
			empty++;
			f.resident = false;
		} else if (d.action == GSTK__REMAP) {
			gstk__batch.move_why[gstk__batch.nr_moves] = (uint8_t)d.why;
			gstk__batch.move[gstk__batch.nr_moves++] = (struct gstk__move){ .out = r };
			gstk__round_moved(p, r, &f, false);
			warm++;
			f.resident = false;
		} else if (d.action == GSTK__TRIM) {
			gstk__batch_dead(i, r->sp);
			win->low = r->tick + 1;
			f.trimmed = true;
			gstk__round.did++;
			warm++;
		} else {
			warm++;
		}
		if (d.action != GSTK__REMAP) /* that is known when the batch is done */
			gstk__round_because(d.why);
		gstk__round_note_next(&f);
	}
	/* Nothing lives in this block: its guards and page table go, too. */
	if (empty == nr && !warm && gstk__batch.nr_owned - owned_from == nr &&
	    nr * gstk__windows.size == GSTK__SWEEP_BLOCK && gstk__windows.guard_install && !gstk__windows.module && !gstk__sealing) {
		char *from = gstk__win_group(first);

		gstk__mem_guard_remove(from, GSTK__SWEEP_BLOCK);
		for (uint32_t i = first; i < first + nr; i++)
			gstk__win(i)->flags &= ~GSTK__WIN_GUARDED;
		gstk__batch.nr_ranges = range_from;
		gstk__batch_range(from, from + GSTK__SWEEP_BLOCK);
	}
}
