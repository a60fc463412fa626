// SPDX-License-Identifier: MIT
/*
 * Tier REMAPPED by the module: SWITCH moves the page table entries of a stack between its window and a
 * slot of the parking range. A task keeps a reference to a small block of the arena:
 *
 *	->image -> { handle, slot_offset, what of it is packed: cold.h }
 *
 * The slot's last page is the window's last page, stagger included; its first holds the stack pointer.
 * A refusal never loses anything: the stack that leaves is copied, the one that comes is read from its
 * slot, whose pages are readable there.
 */
#include "park/tier.h"

#include <errno.h>
#include <string.h>
#include "debug/annotate.h"
#include "debug/probe.h"
#include "debug/trace.h"
#include "host/module.h"
#include "park/cold.h"
#include "park/packed.h"
#include "park/place.h"
#include "park/tier_pack.h"

struct gstk__remap gstk__remap = { GSTK__REMAP_NEVER, GSTK__REMAP_NEVER, 0, 0, 0, 0 };

void gstk__remap_fini(void)
{
	gstk__remap = (struct gstk__remap){ GSTK__REMAP_NEVER, GSTK__REMAP_NEVER, 0, 0, 0, 0 };
}

/* It is in no slot any more. The record of what of it is packed, or 0. */
static uint32_t leave_slot(struct gstk__park *p, struct gstk_task *t)
{
	uint32_t cold = gstk__place(t)->cold;

	gstk__arena_free(p->arena, t->image, GSTK__PLACE_BYTES);
	if (t->tier == GSTK__TIER_COLD) {
		gstk__cold_wakes(p, t, cold);
		return cold;
	}
	gstk__gauge(&p->n.remapped, -1);
	gstk__gauge(&p->n.bytes_remapped, -(int64_t)t->used);
	return cold;
}

void gstk__remap_forget(struct gstk__park *p, struct gstk_task *t)
{
	uint32_t cold = leave_slot(p, t);

	if (cold)
		gstk__cold_free(p, cold, 0);
}

/* Where the stack pointer's byte is in the slot. */
static char *slot_sp(const struct gstk_task *t)
{
	uintptr_t sp = (uintptr_t)gstk__win_base(t->window) - t->used;

	return gstk__module_slot(gstk__place(t)->slot_offset) + sp % 4096;
}

void gstk__remap_look(const struct gstk_task *t, void *to, size_t bytes)
{
	if (gstk__place(t)->cold)
		gstk__cold_look(t, to, bytes);
	else
		gstk__module_read(to, slot_sp(t), bytes);
}

static void count_refusal(struct gstk__park *p, int err)
{
	gstk__count(err == -ENOSPC ? &p->n.remap_nospace
		    : err == -ENOMEM ? &p->n.remap_nomem
		    : err == -EDQUOT ? &p->n.remap_quota : &p->n.remap_refused);
}

static void left(struct gstk__park *p, struct gstk_task *t, uint32_t place, const struct greenstk_switch *e,
		 uint32_t cold)
{
	uint32_t used = (uint32_t)(gstk__win_base(t->window) - (char *)t->sp);

	*(struct gstk__place *)gstk__arena_ptr(place) = (struct gstk__place){ e->handle_out, e->slot_offset, cold, 0 };
	if (cold)
		gstk__cold_left(t->window);
	t->used = used;
	t->image = place;
	t->tier = GSTK__TIER_REMAPPED;
	gstk__win(t->window)->flags &= ~GSTK__WIN_LAZY;
	gstk__count(&p->n.remaps);
	gstk__count(&p->n.evictions);
	gstk__count_by(&p->n.bytes_evicted, used);
	gstk__gauge(&p->n.remapped, 1);
	gstk__gauge(&p->n.bytes_remapped, used);
	gstk__gauge(&p->n.resident, -1);
	GSTK__PROBE3(evict, t, used, GSTK__TIER_REMAPPED);
	GSTK__TRACE(moved(GSTK__TRACE_EVICT, t, used, GSTK__TIER_REMAPPED));
}

static void came(struct gstk__park *p, struct gstk_task *t, uint32_t pages)
{
	char *base = gstk__win_base(t->window), *sp = base - t->used;
	enum gstk__tier from = t->tier;
	uint64_t slot_offset = gstk__place(t)->slot_offset;
	uint32_t cold = leave_slot(p, t);

	if (pages > gstk__remap.eager_pages || (cold && pages))
		gstk__win(t->window)->flags |= GSTK__WIN_LAZY;
	if (cold && pages)
		gstk__cold_open(p, t->window, cold, slot_offset, pages);
	else if (cold)
		gstk__cold_free(p, cold, 0);
	gstk__annotate_restored(t, sp, (size_t)(base - sp));
	t->sp = sp;
	t->tier = GSTK__TIER_RESIDENT;
	gstk__count(&p->n.remap_returns);
	gstk__count(&p->n.restores);
	gstk__gauge(&p->n.resident, 1);
	GSTK__PROBE3(restore, t, (uint32_t)(base - sp), from);
	GSTK__TRACE(moved(GSTK__TRACE_RESTORE, t, (uint64_t)(base - sp), from));
}

/* By hand, and cannot fail: the bytes from the slot, and its pages go. */
static void come_by_copy(struct gstk__park *p, struct gstk_task *t)
{
	struct greenstk_drop drop = { .handle = gstk__place(t)->handle };

	gstk__remap_look(t, gstk__win_base(t->window) - t->used, t->used);
	gstk__module_drop(&drop, 1);
	came(p, t, 0);
}

static void fill(struct greenstk_switch *e, const struct gstk__move *m)
{
	const struct gstk_task *any = m->out ? m->out : m->in;

	*e = (struct greenstk_switch){ .window = gstk__win_number(any->window), .result = -ECANCELED };
	if (m->out)
		e->out_bytes = gstk__win_out_bytes(any->window, m->out->sp);
	if (m->in) {
		e->handle_in = gstk__place(m->in)->handle;
		e->eager_pages = gstk__remap.eager_pages;
	}
}

/* It was refused: by copying, then. */
static void fall_back(struct gstk__park *p, struct gstk__move *m, int err)
{
	struct greenstk_switch e;

	count_refusal(p, err);
	if (m->out && gstk__evict_copied(p, m->out, m->must)) {
		m->err = -ENOMEM;
		return;
	}
	if (!m->in)
		return;
	if (m->out) { /* the room for the one that leaves may have been all that was missing */
		fill(&e, &(struct gstk__move){ .in = m->in });
		gstk__count_by(&p->n.remap_calls, (uint64_t)gstk__module_switch(&e, 1));
		if (!e.result) {
			came(p, m->in, e.in_pages);
			return;
		}
	}
	come_by_copy(p, m->in);
}

/* What moves() needs for each move beside its entry. */
struct aside {
	uint32_t place, cold; /* of the one that leaves: where it will be, and its record */
};

static struct aside prepare(struct gstk__park *p, const struct gstk__move *m, struct greenstk_switch *e)
{
	struct aside a = { 0 };

	fill(e, m);
	if (m->in)
		gstk__annotate_clean(m->in);
	if (!m->out)
		return a;
	a.place = gstk__arena_alloc(p->arena, GSTK__PLACE_BYTES);
	if (!a.place) {
		e->flags = ~0u; /* refused there: falls back below */
		return a;
	}
	if (__builtin_expect(gstk__windows.lazy, 0))
		a.cold = gstk__cold_close(p, m->out->window, m->out->sp);
	gstk__annotate_evicted(m->out, m->out->sp, gstk__used(m->out));
	return a;
}

static void refused(struct gstk__park *p, struct gstk__move *m, struct aside *a, int err)
{
	if (a->place)
		gstk__arena_free(p->arena, a->place, GSTK__PLACE_BYTES);
	if (a->cold)
		gstk__cold_stays(m->out->window, a->cold);
	if (m->out && gstk__windows.lazy)
		gstk__cold_whole(p, m->out->window, m->out->sp);
	fall_back(p, m, a->place || !m->out ? err : -ENOMEM);
}

/* @e, @a: room for @nr. */
static void moves(struct gstk__park *p, struct gstk__move *m, uint32_t nr, struct greenstk_switch *e, struct aside *a)
{
	if (__builtin_expect(gstk__windows.lazy, 0))
		gstk__cold_tops(p, m, nr);
	for (uint32_t i = 0; i < nr; i++) {
		m[i].err = 0;
		a[i] = prepare(p, &m[i], &e[i]);
	}
	gstk__count_by(&p->n.remap_calls, (uint64_t)gstk__module_switch(e, nr));
	for (uint32_t i = 0; i < nr; i++) {
		if (__builtin_expect(e[i].result, 0)) {
			refused(p, &m[i], &a[i], e[i].result);
			continue;
		}
		if (m[i].out)
			left(p, m[i].out, a[i].place, &e[i], a[i].cold);
		if (m[i].in)
			came(p, m[i].in, e[i].in_pages);
	}
}

void gstk__remap_moves(struct gstk__park *p, struct gstk__move *m, uint32_t nr)
{
	struct greenstk_switch e[GSTK__MODULE_ENTRIES];
	struct aside a[GSTK__MODULE_ENTRIES];
	uint32_t n;

	for (; nr; nr -= n, m += n) {
		n = nr < GSTK__MODULE_ENTRIES ? nr : GSTK__MODULE_ENTRIES;
		moves(p, m, n, e, a);
	}
}

int gstk__remap_move(struct gstk__park *p, struct gstk_task *out, struct gstk_task *in, bool must)
{
	struct gstk__move m = { .out = out, .in = in, .must = must };
	struct greenstk_switch e;
	struct aside a;

	moves(p, &m, 1, &e, &a);
	return m.err;
}

/* ---- to PACKED ---- */

static void packs(struct gstk__park *p, struct gstk__move *m, uint32_t nr, struct greenstk_populate *e,
		  struct greenstk_drop *d)
{
	uint32_t nr_drops = 0;

	/* What a stack never touched is a hole, which cannot be read in place: make it zeroes. */
	for (uint32_t i = 0; i < nr; i++) {
		const struct gstk_task *t = m[i].out;
		uint64_t from = (uintptr_t)slot_sp(t) % 4096;

		e[i] = (struct greenstk_populate){ .handle = gstk__place(t)->handle, .result = -ECANCELED,
						   .bytes = (from + t->used + 4095) & ~(uint64_t)4095 };
	}
	gstk__count_by(&p->n.remap_pack_calls, (uint64_t)gstk__module_populate(e, nr));
	for (uint32_t i = 0; i < nr; i++) {
		struct gstk_task *t = m[i].out;
		uint32_t packed;

		m[i].err = e[i].result ? -ENOMEM
			 : gstk__pack_bytes(p->arena, slot_sp(t), t->used,
					    (uintptr_t)gstk__win_base(t->window) - t->used, &packed);
		if (m[i].err)
			continue;
		d[nr_drops++] = (struct greenstk_drop){ .handle = gstk__place(t)->handle };
		gstk__remap_forget(p, t);
		t->image = packed;
		gstk__packed(p, t, GSTK__TIER_PACKED, gstk__packed_bytes(packed));
	}
	if (nr_drops)
		gstk__count_by(&p->n.remap_pack_calls, (uint64_t)gstk__module_drop(d, nr_drops));
}

void gstk__remap_packs(struct gstk__park *p, struct gstk__move *m, uint32_t nr)
{
	struct greenstk_populate e[GSTK__MODULE_ENTRIES];
	struct greenstk_drop d[GSTK__MODULE_ENTRIES];
	uint32_t n = gstk__cold_packs(p, m, nr);

	m += n;
	nr -= n;
	for (; nr; nr -= n, m += n) {
		n = nr < GSTK__MODULE_ENTRIES ? nr : GSTK__MODULE_ENTRIES;
		packs(p, m, n, e, d);
	}
}

int gstk__remap_pack(struct gstk__park *p, struct gstk_task *t)
{
	struct gstk__move m = { .out = t };
	struct greenstk_populate e;
	struct greenstk_drop d;

	if (!gstk__cold_packs(p, &m, 1))
		packs(p, &m, 1, &e, &d);
	return m.err;
}

/* ---- dead pages ---- */

/* A stack ended, or went by copy, before all of it had come: what is still in its slot is dead, too. */
static void detach(struct gstk__park *p, const struct gstk__dead *d, uint32_t nr)
{
	struct greenstk_switch e[GSTK__MODULE_ENTRIES];
	uint32_t n = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct gstk__window *win = gstk__win(d[i].window);

		if (!(win->flags & GSTK__WIN_LAZY) || gstk__win_out_bytes(d[i].window, d[i].sp))
			continue;
		win->flags &= ~GSTK__WIN_LAZY;
		e[n++] = (struct greenstk_switch){ .window = gstk__win_number(d[i].window) };
	}
	if (n)
		gstk__count_by(&p->n.remap_calls, (uint64_t)gstk__module_switch(e, n));
}

void gstk__remap_reclaim(struct gstk__park *p, const struct gstk__dead *d, uint32_t nr)
{
	struct greenstk_reclaim e[GSTK__MODULE_ENTRIES];
	uint64_t pages = 0;
	uint32_t n;

	for (; nr; nr -= n, d += n) {
		n = nr < GSTK__MODULE_ENTRIES ? nr : GSTK__MODULE_ENTRIES;
		detach(p, d, n);
		for (uint32_t i = 0; i < n; i++)
			e[i] = (struct greenstk_reclaim){ .window = gstk__win_number(d[i].window),
							  .keep_bytes = gstk__win_out_bytes(d[i].window, d[i].sp) };
		gstk__count_by(&p->n.trim_calls, (uint64_t)gstk__module_reclaim(e, n));
		gstk__count_by(&p->n.trims, n);
		for (uint32_t i = 0; i < n; i++)
			pages += e[i].result ? 0 : e[i].freed_pages;
	}
	gstk__count_by(&p->n.trim_bytes, pages * 4096);
}
