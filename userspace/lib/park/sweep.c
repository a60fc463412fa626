// SPDX-License-Identifier: MIT
/*
 * Facts to hold in mind:
 * - Windows are visited in blocks that share a page table (2 MiB). Whoever is to be touched is owned
 *   first (its word, or its shared window's), then evicted; its pages go with the batch; then it is
 *   disowned. While owned it cannot run: a wake is kept and done at the end.
 * - A block in which no stack is resident gives its guards and its page table back, too.
 * - One pass over the windows for eviction and trimming, one over the tasks for packing.
 */
#include "park/sweep.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "debug/annotate.h"
#include "debug/inject.h"
#include "debug/seal.h"
#include "host/host.h"
#include "host/lock.h"
#include "host/module.h"
#include "park/calibrate.h"
#include "park/history.h"
#include "park/sweep_batch.h"

#define BLOCK_SIZE ((size_t)2 << 20)
#define MIN_RESIDENTS 64u
#define CHANGE_LASTS_NS 300000000u

struct gstk__sweep_counts gstk__sweep_counts;

static struct {
	_Atomic uint32_t busy;
	_Atomic uint64_t due_ns;
	struct gstk__climate climate;
	uint32_t window_cursor, task_cursor;
	bool packing;		/* the present pass is over the tasks */
	uint64_t soonest_ms;	/* of this round */
	uint64_t did;		/* things done in this round */
	uint64_t seen_bytes, seen; /* pages of the residents seen in it, as far as they are known, and how many */
	_Atomic uint64_t bytes_each; /* of one, in the round before */
	_Atomic uint64_t seen_switches;
	uint64_t pressure_at_ns, changed_ns; /* since when other than so many workers run; 0: they do */
	int psi;
} sweep;

static void take_costs(void)
{
	const struct gstk__calibration *c = &gstk__calibration;

	sweep.climate.evict_ns = c->copy_cold_ns_per_kib * 4 * 2 + c->fault_ns + c->discard_many_ns;
	sweep.climate.trim_ns = c->fault_ns + c->discard_many_ns;
	sweep.climate.remap_bytes = gstk__remap.batch_bytes;
}

int gstk__sweep_init(const struct gstk__sweep_config *config, const struct gstk__sweep_ops *ops)
{
	memset(&sweep, 0, sizeof(sweep));
	memset(&gstk__batch, 0, sizeof(gstk__batch));
	gstk__batch.ops = *ops;
	sweep.climate.evict_idle_ms = config->evict_idle_ns / 1000000;
	sweep.climate.cold_idle_ms = sweep.climate.evict_idle_ms * 10;
	sweep.climate.pack_idle_ms = config->pack_idle_ns / 1000000;
	sweep.climate.resident_budget = config->resident_budget;
	sweep.climate.min_residents = MIN_RESIDENTS;
	take_costs();
	if (gstk__windows.module && sweep.climate.resident_budget > gstk__module.max_pages * 4096 / 2)
		sweep.climate.resident_budget = gstk__module.max_pages * 4096 / 2; /* its cap is a bus error */
	sweep.window_cursor = 1;
	sweep.task_cursor = 1;
	sweep.soonest_ms = UINT64_MAX;
	sweep.bytes_each = 4096;
	gstk__history_init();
	sweep.psi = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	return 0;
}

void gstk__sweep_fini(void)
{
	if (sweep.psi >= 0)
		close(sweep.psi);
	sweep.psi = -1;
	gstk__history_fini();
	memset(&gstk__sweep_counts, 0, sizeof(gstk__sweep_counts));
}

void gstk__sweep_climate(struct gstk__climate *out)
{
	while (atomic_exchange(&sweep.busy, 1)) /* whoever sweeps writes it; a slice is short */
		sched_yield();
	*out = sweep.climate;
	atomic_store(&sweep.busy, 0);
}

uint64_t gstk__sweep_resident_bytes(uint64_t residents)
{
	return residents * atomic_load_explicit(&sweep.bytes_each, memory_order_relaxed);
}

static void read_pressure(uint64_t now_ns)
{
	char buf[128], *p;
	ssize_t n;

	if (sweep.psi < 0 || now_ns < sweep.pressure_at_ns)
		return;
	sweep.pressure_at_ns = now_ns + 1000000000u;
	n = pread(sweep.psi, buf, sizeof(buf) - 1, 0);
	if (n <= 0)
		return;
	buf[n] = 0;
	p = strstr(buf, "avg10=");
	sweep.climate.pressure = p ? (uint32_t)strtoul(p + 6, NULL, 10) : 0;
}

/*
 * A page that goes is flushed on every processor that runs a worker: what that costs is measured again when
 * there are more or fewer of them (1, 2, 3..4, 5..8) and that lasts.
 */
static void calibrate_again(uint64_t now_ns, uint32_t running)
{
	if (gstk__running_class(running) == gstk__running_class(gstk__calibration.running)) {
		sweep.changed_ns = 0;
		return;
	}
	if (!sweep.changed_ns)
		sweep.changed_ns = now_ns;
	if (now_ns - sweep.changed_ns < CHANGE_LASTS_NS)
		return;
	sweep.changed_ns = 0;
	gstk__calibrate_again(running);
	gstk__remap_calibrate_again();
	take_costs();
	gstk__count(&gstk__sweep_counts.recalibrations);
}

static GSTK__RACY struct gstk__history history_of(const struct gstk_task *t)
{
	bool bounced;
	struct gstk__history h = gstk__history_of(&sweep.climate, gstk__task_index(t), t->tick, &bounced);

	gstk__count_by(&gstk__sweep_counts.bounces, bounced);
	return h;
}

static GSTK__RACY void facts_of(struct gstk__park *p, struct gstk_task *t, struct gstk__window *win,
		     struct gstk__stack_facts *f)
{
	f->resident = t->tier == GSTK__TIER_RESIDENT;
	f->may_move = true;
	f->trimmed = f->resident && win->low == t->tick + 1;
	f->used = f->resident ? (uint32_t)(gstk__win_base(t->window) - (char *)t->sp) : t->used;
	f->idle_ms = (uint32_t)(p->tick - t->tick);
	f->history = history_of(t);
}

static void because(enum gstk__reason why)
{
	gstk__count(&gstk__sweep_counts.decided[why]);
}

/* Its stack is moved, or will be with this batch. */
static void moved(struct gstk__park *p, const struct gstk_task *t, const struct gstk__stack_facts *f, bool packed)
{
	sweep.did++;
	gstk__history_moved(gstk__task_index(t), f->history, p->tick, packed);
}

static void note_next(const struct gstk__stack_facts *f)
{
	uint64_t ms = gstk__policy_next(&sweep.climate, f);

	if (ms < sweep.soonest_ms)
		sweep.soonest_ms = ms;
}

/* The pages that a resident takes at least: those of its stack. */
static void note_resident(const struct gstk__stack_facts *f)
{
	if (!f->resident)
		return;
	sweep.seen++;
	sweep.seen_bytes += (f->used + 4095) & ~4095u;
}

/* The windows of one page table. */
static GSTK__RACY void sweep_block(struct gstk__park *p, uint32_t first, uint32_t nr)
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
			d = gstk__policy(&sweep.climate, &f);
			if (f.resident && d.action == GSTK__KEEP) {
				because(d.why);
				note_next(&f);
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
			because(GSTK__KEPT_BUSY);
			warm++;
			continue;
		}
		gstk__batch.owned[gstk__batch.nr_owned++] = what;
		if (!r || r->tier != GSTK__TIER_RESIDENT) {
			empty++;
			continue;
		}
		facts_of(p, r, win, &f);
		d = gstk__policy(&sweep.climate, &f);
		if (d.action == GSTK__EVICT && gstk__evict(p, r, false)) {
			d = (struct gstk__decision){ GSTK__KEEP, GSTK__KEPT_FULL };
			warm++;
		} else if (d.action == GSTK__EVICT) {
			if (what & GSTK__OWNED_WINDOW)
				win->resident = 0;
			gstk__batch_dead(i, gstk__batch_end(i));
			moved(p, r, &f, false);
			gstk__count_by(&gstk__sweep_counts.copied_small, f.used < sweep.climate.remap_bytes && gstk__windows.module);
			empty++;
			f.resident = false;
		} else if (d.action == GSTK__REMAP) {
			gstk__batch.move_why[gstk__batch.nr_moves] = (uint8_t)d.why;
			gstk__batch.move[gstk__batch.nr_moves++] = (struct gstk__move){ .out = r };
			moved(p, r, &f, false);
			warm++;
			f.resident = false;
		} else if (d.action == GSTK__TRIM) {
			gstk__batch_dead(i, r->sp);
			win->low = r->tick + 1;
			f.trimmed = true;
			sweep.did++;
			warm++;
		} else {
			warm++;
		}
		if (d.action != GSTK__REMAP) /* that is known when the batch is done */
			because(d.why);
		note_next(&f);
	}
	/* Nothing lives in this block: its guards and page table go, too. */
	if (empty == nr && !warm && gstk__batch.nr_owned - owned_from == nr && nr * gstk__windows.size == BLOCK_SIZE &&
	    gstk__windows.guard_install && !gstk__windows.module && !gstk__sealing) {
		char *from = gstk__win_group(first);

		gstk__mem_guard_remove(from, BLOCK_SIZE);
		for (uint32_t i = first; i < first + nr; i++)
			gstk__win(i)->flags &= ~GSTK__WIN_GUARDED;
		gstk__batch.nr_ranges = range_from;
		gstk__batch_range(from, from + BLOCK_SIZE);
	}
}

static bool evicted(uint8_t tier)
{
	return tier == GSTK__TIER_COPIED || tier == GSTK__TIER_DEEP || tier == GSTK__TIER_REMAPPED;
}

static GSTK__RACY void pack_task(struct gstk__park *p, struct gstk_task *t)
{
	struct gstk__stack_facts f = { .may_move = true };
	uint32_t window = t->window;
	struct gstk__decision d;

	if (!evicted(t->tier) || gstk__state_of(gstk__word(t)) != GSTK__PARKED ||
	    (t->flags & (GSTK__T_FOREIGN | GSTK__T_PRIVATE)) || !window || t->tick == GSTK__TICK_UNPACKABLE)
		return;
	f.idle_ms = (uint32_t)(p->tick - t->tick);
	f.used = t->used;
	f.history = history_of(t);
	d = gstk__policy(&sweep.climate, &f);
	if (d.action != GSTK__PACK) {
		because(d.why);
		note_next(&f);
		return;
	}
	if (!gstk__batch_own_evicted(t, window)) {
		because(GSTK__KEPT_BUSY);
		return;
	}
	/* Owned: look again, it may be another task by now. */
	if (t->window == window && gstk__state_of(gstk__word(t)) >= GSTK__PARKED &&
	    gstk__state_of(gstk__word(t)) <= GSTK__OWNED && t->tier == GSTK__TIER_REMAPPED) {
		gstk__batch.pack_why[gstk__batch.nr_packs] = (uint8_t)d.why;
		gstk__batch.pack[gstk__batch.nr_packs++] = (struct gstk__move){ .out = t };
		moved(p, t, &f, true);
	} else if (t->window == window && gstk__state_of(gstk__word(t)) >= GSTK__PARKED &&
		   gstk__state_of(gstk__word(t)) <= GSTK__OWNED && evicted(t->tier)) {
		if (gstk__pack(p, t) == 0) {
			moved(p, t, &f, true);
			because(d.why);
		} else {
			t->tick = GSTK__TICK_UNPACKABLE;
			because(GSTK__KEPT_UNPACKABLE);
		}
	}
	if (gstk__batch.nr_owned >= GSTK__BATCH || gstk__batch.nr_packs >= GSTK__BATCH)
		gstk__batch_flush(p);
}

/* Stacks that never move: what is below their stack pointers. */
static GSTK__RACY void trim_private(struct gstk__park *p)
{
	uint32_t high = gstk__win_private_high();

	for (uint32_t i = (uint32_t)gstk__windows.nr + 1; i < high; i++) {
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
		f.idle_ms = (uint32_t)(p->tick - r->tick);
		d = gstk__policy(&sweep.climate, &f);
		if (d.action == GSTK__TRIM && !gstk__state_own(r))
			d = (struct gstk__decision){ GSTK__KEEP, GSTK__KEPT_BUSY };
		because(d.why);
		if (d.action == GSTK__TRIM) {
			/* Owned: it is parked for good now, here or elsewhere. */
			if (r->window == i && r->tier == GSTK__TIER_RESIDENT) {
				gstk__batch_range(gstk__win_limit(i), r->sp);
				win->low = r->tick + 1;
				f.trimmed = true;
				sweep.did++;
			}
			gstk__batch.owned[gstk__batch.nr_owned++] = ri;
			if (gstk__batch.nr_owned >= GSTK__BATCH || gstk__batch.nr_ranges >= GSTK__BATCH - 1)
				gstk__batch_flush(p);
		}
		note_next(&f);
	}
	gstk__batch_flush(p);
}

static void trim_free_private(struct gstk__park *p)
{
	uint32_t head = gstk__win_take_free_private(), i;

	for (i = head; i; i = gstk__win(i)->next_free) {
		struct gstk__window *win = gstk__win(i);

		if (win->low == GSTK__LOW_CLEAN || !win->map)
			continue;
		win->low = GSTK__LOW_CLEAN;
		gstk__batch_range(gstk__win_limit(i), gstk__win_base(i));
		if (gstk__batch.nr_ranges >= GSTK__BATCH - 1)
			gstk__batch_flush(p);
	}
	gstk__batch_flush(p);
	gstk__win_put_list_private(head);
}

/* Free windows keep pages that nobody needs. */
static void trim_free(struct gstk__park *p)
{
	uint32_t head = gstk__win_take_free(), i;

	for (i = head; i; i = gstk__win(i)->next_free) {
		struct gstk__window *win = gstk__win(i);

		if (win->low == GSTK__LOW_CLEAN)
			continue;
		win->low = GSTK__LOW_CLEAN;
		gstk__batch_dead(i, gstk__batch_end(i));
		if (gstk__batch.nr_ranges >= GSTK__BATCH - 8 || gstk__batch.nr_dead >= GSTK__BATCH)
			gstk__batch_flush(p);
	}
	gstk__batch_flush(p);
	gstk__win_put_list(head);
}

uint64_t gstk__sweep_slice(struct gstk__park *p, uint64_t now_ns, uint64_t budget_ns, uint64_t residents,
			   uint64_t switches, uint32_t running)
{
	uint64_t due = atomic_load_explicit(&sweep.due_ns, memory_order_relaxed);
	uint64_t until = now_ns + budget_ns;
	uint32_t per_block = (uint32_t)(BLOCK_SIZE / gstk__windows.size);

	if (due == UINT64_MAX && switches != sweep.seen_switches)
		due = 0;
	if (now_ns < due || atomic_exchange(&sweep.busy, 1))
		return due > now_ns ? due : now_ns + 1000000;
	p->tick = (uint32_t)(now_ns / 1000000);
	per_block = per_block ? per_block : 1;
	read_pressure(now_ns);
	calibrate_again(now_ns, running);
	sweep.climate.residents = (uint32_t)residents;
	sweep.climate.resident_bytes = residents * sweep.bytes_each;
	due = 0;
	for (int steps = 0; !due; steps++) {
		uint32_t fresh = atomic_load_explicit(&gstk__windows.fresh, memory_order_acquire);
		uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);

		if (steps % 16 == 15 && gstk__now_ns() > until) {
			due = now_ns + 5 * budget_ns;
			break;
		}
		if (!sweep.packing) {
			uint32_t nr = per_block;

			if (sweep.window_cursor >= fresh) {
				sweep.packing = true;
				sweep.task_cursor = 1;
				trim_free(p);
				trim_private(p);
				trim_free_private(p);
				continue;
			}
			if (sweep.window_cursor + nr > gstk__windows.nr + 1)
				nr = (uint32_t)gstk__windows.nr + 1 - sweep.window_cursor;
			sweep_block(p, sweep.window_cursor, nr);
			sweep.window_cursor += nr;
			if (gstk__batch.nr_ranges + 2 * per_block > GSTK__BATCH || gstk__batch.nr_owned + per_block > GSTK__BATCH)
				gstk__batch_flush(p);
			continue;
		}
		for (uint32_t to = sweep.task_cursor + 64; sweep.task_cursor < to && sweep.task_cursor < high;
		     sweep.task_cursor++)
			pack_task(p, gstk__task(sweep.task_cursor));
		if (sweep.task_cursor < high)
			continue;
		/* The round is over. */
		sweep.packing = false;
		sweep.window_cursor = 1;
		gstk__count(&p->n.sweeps);
		if (sweep.did)
			gstk__arena_trim(SIZE_MAX);
		if (sweep.soonest_ms == UINT64_MAX && switches == sweep.seen_switches && !sweep.did)
			due = UINT64_MAX;
		else
			due = now_ns + (sweep.soonest_ms < 50 ? 50 : sweep.soonest_ms > 1000 ? 1000 : sweep.soonest_ms) *
					       1000000;
		sweep.seen_switches = switches;
		sweep.soonest_ms = UINT64_MAX;
		sweep.did = 0;
		if (sweep.seen)
			sweep.bytes_each = sweep.seen_bytes / sweep.seen;
		sweep.seen = sweep.seen_bytes = 0;
	}
	gstk__batch_flush(p);
	atomic_store_explicit(&sweep.due_ns, due, memory_order_relaxed);
	atomic_store(&sweep.busy, 0);
	return due;
}
