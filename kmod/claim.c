// SPDX-License-Identifier: GPL-2.0
/*
 * What a bracket of SWITCH entries needs before a page moves: slots, cells, page
 * tables. All that can fail, fails here, entry by entry.
 */
#include "slot.h"
#include "switch.h"
#include "window.h"

/* Scratch pages are kept when no more than these are in the way. */
#define MAX_SHIFT	8U

/*
 * OPTIONAL: a stack that leaves before all of it came goes back to its slot. Then
 * what stayed there is not touched, and of its window only what came is looked at.
 */
static noinline bool keep_locked(struct gsk_space *space, struct gsk_move *m)
{
	u32 nr_out = m->plan.nr_out, nr_slot = m->old->nr, end = space->shape.window_pages;

	m->nr_grown = nr_out > nr_slot ? nr_out - nr_slot : 0;
	if (m->nr_grown && !gsk_slot_grow_locked(space, m->old, m->nr_grown))
		return false;
	m->kept = true;
	m->out = m->old;
	m->id_out = m->id_old;
	/* What it has below belongs to nobody any more. */
	m->nr_old = nr_out < nr_slot ? nr_slot - nr_out : 0;
	if (!m->nr_old)
		m->old = NULL;
	/* Of what it grew by, nothing is known. */
	m->came = m->window->came | gsk_came_bits(&space->shape, end - nr_out, m->nr_grown);
	return true;
}

static noinline u32 nr_came(const struct gsk_space *space, const struct gsk_move *m)
{
	u32 end = space->shape.window_pages, page = end - m->plan.nr_out, nr, sum = 0;

	for (; (nr = gsk_came_run(&space->shape, m->came, &page, end)); page += nr)
		sum += nr;
	return sum;
}

/* Own slots for one entry; slot_lock held. */
static int claim_locked(struct gsk_buf *buf, struct gsk_run *run, struct gsk_move *m,
			struct greenstk_switch *e)
{
	struct gsk_space *space = buf->space;
	u32 in_pages = 0;
	int err;

	m->in = NULL;
	m->out = NULL;
	m->old = NULL;
	m->nr_old = 0;
	m->kept = false;
	m->came = GSK_CAME_ALL;
	if (e->handle_in) {
		err = gsk_slot_claim_locked(space, e->handle_in, &m->id_in);
		if (err)
			return err;
		m->in = gsk_slot_by_id(space, m->id_in);
		in_pages = m->in->nr;
	}
	err = gsk_plan_switch(&space->shape, e->out_bytes, in_pages, e->eager_pages, &m->plan);
	if (err)
		goto unclaim;
	if (m->window->slot) {
		m->id_old = m->window->slot - 1;
		m->old = gsk_slot_by_id(space, m->id_old);
		m->nr_old = m->old->nr;
	}
	m->nr_cells = m->plan.nr_out;
	if (m->old && m->plan.nr_out && !buf->insert && keep_locked(space, m)) {
		m->nr_cells = nr_came(space, m);
		run->wanted -= min(run->wanted, m->plan.nr_out);
	} else if (m->plan.nr_out) {
		err = gsk_slot_alloc_locked(space, run, m->plan.nr_out, &m->id_out);
		if (err)
			goto unclaim;
		m->out = gsk_slot_by_id(space, m->id_out);
	}
	return 0;

unclaim:
	if (m->in)
		m->in->state = GSK_SLOT_PARKED;
	return err;
}

void gsk_unclaim_locked(struct gsk_space *space, struct gsk_move *m)
{
	if (m->in)
		m->in->state = GSK_SLOT_PARKED;
	if (m->kept)
		gsk_slot_shrink_locked(space, m->out, m->nr_grown);
	else if (m->out)
		gsk_slot_free_locked(space, m->id_out);
	m->live = false;
}

/* Pages below both stacks that an exchange looks at. */
static u32 nr_below(const struct gsk_space *space, const struct gsk_plan *plan)
{
	u32 room = space->shape.window_pages - space->shape.guard_pages;
	u32 nr = abs((int)plan->nr_in - (int)plan->nr_out);

	if (!plan->nr_in || !plan->nr_out || nr > MAX_SHIFT)
		return 0;
	return min(nr, room - plan->nr_range);
}

/* Return: how many entries fit into the bracket. */
u32 gsk_claim_all(struct gsk_buf *buf, u32 n, u32 nr_out)
{
	struct gsk_space *space = buf->space;
	struct gsk_run run = { .wanted = nr_out };
	u32 i, dead = 0, nr_scratch, in, out;
	/* What follows in slots follows in cells too: pages in, pages out, the others. */
	u32 at_in = 0, at_out = GSK_BRACKET_CELLS / 2, end = GSK_BRACKET_CELLS;

	spin_lock(&space->slot_lock);
	for (i = 0; i < n; i++) {
		struct gsk_move *m = &buf->moves[i];

		if (!m->locked)
			continue;
		buf->sw[i].result = claim_locked(buf, &run, m, &buf->sw[i]);
		if (buf->sw[i].result)
			continue;
		m->live = true;
		m->nr_below = nr_below(space, &m->plan);
		m->reach = m->plan.nr_in;
		in = m->plan.nr_eager;
		out = m->nr_cells;
		nr_scratch = m->plan.nr_range - m->plan.nr_out + m->nr_old;
		/* Pages below need no cell, but may need to be held. */
		if (at_in + in > GSK_BRACKET_CELLS / 2 ||
		    at_out + out + nr_scratch + m->nr_below > end) {
			gsk_unclaim_locked(space, m);
			break;
		}
		at_in += in;
		m->at_out = at_out;
		at_out += out;
		end -= nr_scratch + m->nr_below;
		m->at_scratch = end;
		m->at_old = end + m->plan.nr_range - m->plan.nr_out;
		dead += nr_scratch;
	}
	gsk_run_end_locked(space, &run);
	spin_unlock(&space->slot_lock);
	buf->nr_dead = dead;	/* at most; counted from 0 again while moving */
	return i;
}

/* Page tables for all that will be put. Return: entries that stay. */
u32 gsk_make_tables(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	u32 i, nr_live = 0;
	int err, err_grave = 0;

	if (buf->nr_dead)
		err_grave = gsk_grave_tables(buf, buf->nr_dead);

	for (i = 0; i < n; i++) {
		struct gsk_move *m = &buf->moves[i];

		if (!m->live)
			continue;
		err = err_grave;
		if (!err)
			err = gsk_window_tables(space, buf->sw[i].window);
		if (!err && m->out)
			err = gsk_slot_tables(space, m->out);
#ifdef GSK_MUTATE_LOST_ERROR
		err = 0;
#endif
		if (err) {
			buf->sw[i].result = err;
			spin_lock(&space->slot_lock);
			gsk_unclaim_locked(space, m);
			spin_unlock(&space->slot_lock);
			continue;
		}
		nr_live++;
	}
	return nr_live;
}
