// SPDX-License-Identifier: MIT
/*
 * Tier REMAPPED by the module: SWITCH moves the page table entries of a stack between its window and a
 * slot of the parking range. A task keeps a reference to a small block of the arena:
 *
 *	->image -> { handle, slot_offset }
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
#include "park/tier_pack.h"

struct gstk__remap gstk__remap = { GSTK__REMAP_NEVER, GSTK__REMAP_NEVER, 0, 0, 0, 0 };

struct place {
	uint64_t handle, slot_offset;
};
#define PLACE_BYTES ((uint32_t)sizeof(struct place))

static struct place *place_of(const struct gstk_task *t)
{
	return gstk__arena_ptr(t->image);
}

void gstk__remap_fini(void)
{
	gstk__remap = (struct gstk__remap){ GSTK__REMAP_NEVER, GSTK__REMAP_NEVER, 0, 0, 0, 0 };
}

void gstk__remap_forget(struct gstk__park *p, struct gstk_task *t)
{
	gstk__arena_free(p->arena, t->image, PLACE_BYTES);
	gstk__gauge(&p->n.remapped, -1);
	gstk__gauge(&p->n.bytes_remapped, -(int64_t)t->used);
}

/* Where the stack pointer's byte is in the slot. */
static char *slot_sp(const struct gstk_task *t)
{
	uintptr_t sp = (uintptr_t)gstk__win_base(t->window) - t->used;

	return gstk__module_slot(place_of(t)->slot_offset) + sp % 4096;
}

void gstk__remap_look(const struct gstk_task *t, void *to, size_t bytes)
{
	gstk__module_read(to, slot_sp(t), bytes);
}

static void count_refusal(struct gstk__park *p, int err)
{
	gstk__count(err == -ENOSPC ? &p->n.remap_nospace
		    : err == -ENOMEM ? &p->n.remap_nomem
		    : err == -EDQUOT ? &p->n.remap_quota : &p->n.remap_refused);
}

static void left(struct gstk__park *p, struct gstk_task *t, uint32_t place, const struct greenstk_switch *e)
{
	uint32_t used = (uint32_t)(gstk__win_base(t->window) - (char *)t->sp);

	*(struct place *)gstk__arena_ptr(place) = (struct place){ e->handle_out, e->slot_offset };
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

	if (pages > gstk__remap.eager_pages)
		gstk__win(t->window)->flags |= GSTK__WIN_LAZY;
	gstk__remap_forget(p, t);
	gstk__annotate_restored(t, sp, (size_t)(base - sp));
	t->sp = sp;
	t->tier = GSTK__TIER_RESIDENT;
	gstk__count(&p->n.remap_returns);
	gstk__count(&p->n.restores);
	gstk__gauge(&p->n.resident, 1);
	GSTK__PROBE3(restore, t, (uint32_t)(base - sp), GSTK__TIER_REMAPPED);
	GSTK__TRACE(moved(GSTK__TRACE_RESTORE, t, (uint64_t)(base - sp), GSTK__TIER_REMAPPED));
}

/* By hand, and cannot fail: the bytes from the slot, and its pages go. */
static void come_by_copy(struct gstk__park *p, struct gstk_task *t)
{
	struct greenstk_drop drop = { .handle = place_of(t)->handle };

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
		e->handle_in = place_of(m->in)->handle;
		e->eager_pages = gstk__remap.eager_pages;
	}
}

/* It was refused: by copying, then. */
static void fall_back(struct gstk__park *p, struct gstk__move *m, int err)
{
	struct greenstk_switch e;

	count_refusal(p, err);
	if (m->out && gstk__evict_copied(p, m->out, true)) {
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

/* @e, @place: room for @nr. */
static void moves(struct gstk__park *p, struct gstk__move *m, uint32_t nr, struct greenstk_switch *e, uint32_t *place)
{
	for (uint32_t i = 0; i < nr; i++) {
		m[i].err = 0;
		place[i] = m[i].out ? gstk__arena_alloc(p->arena, PLACE_BYTES) : 0;
		fill(&e[i], &m[i]);
		if (m[i].out && !place[i])
			e[i].flags = ~0u; /* refused there: falls back below */
		else if (m[i].out)
			gstk__annotate_evicted(m[i].out, m[i].out->sp, gstk__used(m[i].out));
		if (m[i].in)
			gstk__annotate_clean(m[i].in);
	}
	gstk__count_by(&p->n.remap_calls, (uint64_t)gstk__module_switch(e, nr));
	for (uint32_t i = 0; i < nr; i++) {
		if (__builtin_expect(e[i].result, 0)) {
			if (place[i])
				gstk__arena_free(p->arena, place[i], PLACE_BYTES);
			fall_back(p, &m[i], place[i] || !m[i].out ? e[i].result : -ENOMEM);
			continue;
		}
		if (m[i].out)
			left(p, m[i].out, place[i], &e[i]);
		if (m[i].in)
			came(p, m[i].in, e[i].in_pages);
	}
}

void gstk__remap_moves(struct gstk__park *p, struct gstk__move *m, uint32_t nr)
{
	struct greenstk_switch e[GSTK__MODULE_ENTRIES];
	uint32_t place[GSTK__MODULE_ENTRIES], n;

	for (; nr; nr -= n, m += n) {
		n = nr < GSTK__MODULE_ENTRIES ? nr : GSTK__MODULE_ENTRIES;
		moves(p, m, n, e, place);
	}
}

int gstk__remap_move(struct gstk__park *p, struct gstk_task *out, struct gstk_task *in)
{
	struct gstk__move m = { .out = out, .in = in };
	struct greenstk_switch e;
	uint32_t place;

	moves(p, &m, 1, &e, &place);
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

		e[i] = (struct greenstk_populate){ .handle = place_of(t)->handle, .result = -ECANCELED,
						   .bytes = (from + t->used + 4095) & ~(uint64_t)4095 };
	}
	gstk__count_by(&p->n.remap_pack_calls, (uint64_t)gstk__module_populate(e, nr));
	for (uint32_t i = 0; i < nr; i++) {
		struct gstk_task *t = m[i].out;
		uint32_t packed, bytes;

		m[i].err = e[i].result ? -ENOMEM
			 : gstk__pack_bytes(p->arena, slot_sp(t), t->used,
					    (uintptr_t)gstk__win_base(t->window) - t->used, &packed);
		if (m[i].err)
			continue;
		d[nr_drops++] = (struct greenstk_drop){ .handle = place_of(t)->handle };
		gstk__remap_forget(p, t);
		t->image = packed;
		t->tier = GSTK__TIER_PACKED;
		bytes = gstk__packed_bytes(packed);
		gstk__count(&p->n.packs);
		gstk__gauge(&p->n.packed, 1);
		gstk__gauge(&p->n.bytes_packed, bytes);
		gstk__gauge(&p->n.bytes_unpacked, t->used);
		GSTK__PROBE3(pack, t, t->used, bytes);
		GSTK__TRACE(moved(GSTK__TRACE_PACK, t, (uint64_t)bytes << 32 | t->used, GSTK__TIER_PACKED));
	}
	if (nr_drops)
		gstk__count_by(&p->n.remap_pack_calls, (uint64_t)gstk__module_drop(d, nr_drops));
}

void gstk__remap_packs(struct gstk__park *p, struct gstk__move *m, uint32_t nr)
{
	struct greenstk_populate e[GSTK__MODULE_ENTRIES];
	struct greenstk_drop d[GSTK__MODULE_ENTRIES];
	uint32_t n;

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
