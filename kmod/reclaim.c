// SPDX-License-Identifier: GPL-2.0
/*
 * RECLAIM: LAZY is in lazy.c. NOW: what lies below the stacks of many windows,
 * with one flush. The dead PTEs are moved, clean and old, to the bracket's dense grave range, and
 * one zap of that range is also the flush of the whole batch.
 */
#include <linux/sched/signal.h>

#include "account.h"
#include "batch.h"
#include "compat/compat.h"
#include "insert.h"
#include "lazy.h"
#include "trace.h"
#include "window.h"

static int check(struct gsk_space *space, const struct greenstk_reclaim *e, u32 *keep)
{
	u32 shift = space->shape.page_shift;
	u64 room = (u64)(space->shape.window_pages - space->shape.guard_pages) << shift;

	if (e->window >= space->nr_windows || e->keep_bytes > room)
		return -EINVAL;
	*keep = DIV_ROUND_UP((u32)e->keep_bytes, PAGE_SIZE);
	return 0;
}

/* Which pages are dead is known from the window's reach: no empty PTE is looked at. */
static u32 lock_windows(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	u32 i, keep, cells = 0;
	bool first = true;

	for (i = 0; i < n; i++) {
		struct greenstk_reclaim *e = &buf->rc[i];
		struct gsk_move *m = &buf->moves[i];

		m->locked = false;
		e->freed_pages = 0;
		e->result = check(space, e, &keep);
		if (e->result)
			continue;
		m->window = &space->windows[e->window];
		if (!gsk_window_trylock(m->window)) {
			if (!first)
				break;
			if (gsk_window_lock_killable(space, e->window))
				break;
		}
		first = false;
		m->plan.nr_range = m->window->reach > keep ? m->window->reach - keep : 0;
		if (cells + m->plan.nr_range > GSK_BRACKET_CELLS) {
			gsk_window_unlock(space, m->window, e->window);
			break;
		}
		m->locked = true;
		cells += m->plan.nr_range;
	}
	buf->nr_cells = cells;
	return i;
}

static unsigned long dead_addr(struct gsk_space *space, u32 window)
{
	return gsk_addr(space, gsk_window_base(space, window) - space->windows[window].reach);
}

static void reap(struct gsk_buf *buf, u32 i)
{
	u32 nr = gsk_reap(current->mm, dead_addr(buf->space, buf->rc[i].window),
			  buf->moves[i].plan.nr_range, buf->dead + buf->nr_dead,
			  buf->held + buf->nr_dead);

	buf->rc[i].freed_pages = nr;
	buf->nr_dead += nr;
}

/* With notifiers: a zap, and a flush, a window. */
static void zap_dead(struct gsk_buf *buf, u32 i)
{
	struct gsk_space *space = buf->space;
	struct gsk_move *m = &buf->moves[i];
	unsigned long addr = dead_addr(space, buf->rc[i].window);
	u32 k, nr = 0;

	if (gsk_peek(current->mm, addr, m->plan.nr_range, buf->held)) {
		buf->rc[i].result = -ENOMEM;
		return;
	}
	gsk_zap_range(space->vma, addr, (unsigned long)m->plan.nr_range << PAGE_SHIFT);
	for (k = 0; k < m->plan.nr_range; k++) {
		if (!buf->held[k])
			continue;
		put_page(buf->held[k]);
		nr++;
	}
	buf->rc[i].freed_pages = nr;
	buf->nr_dead += nr;
}

static int mark_idle(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	u32 i, keep;

	for (i = 0; i < n; i++) {
		struct greenstk_reclaim *e = &buf->rc[i];

		e->freed_pages = 0;
		e->result = check(space, e, &keep);
		if (e->result)
			continue;
		if (gsk_window_lock_killable(space, e->window))
			return i ? i : -EINTR;
		e->result = gsk_lazy_add(space, e->window, keep);
		gsk_window_unlock(space, &space->windows[e->window], e->window);
	}
	return i;
}

/**
 * gsk_reclaim_bracket() - do the first entries of buf->rc
 * @buf: with @n entries from user space
 * @n: 1..GSK_BRACKET_ENTRIES
 *
 * Context and return: as gsk_switch_bracket().
 */
int gsk_reclaim_bracket(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	bool insert;
	u32 i;
	int err;

	err = gsk_bracket_lock(buf);
	if (err)
		return err;
	if (buf->flags & GREENSTK_RECLAIM_LAZY) {
		err = mark_idle(buf, n);
		goto unlock;
	}
	n = lock_windows(buf, n);
	if (!n) {
		err = -EINTR;
		goto unlock;
	}
	insert = gsk_must_insert(space);
	buf->nr_dead = 0;
	if (buf->nr_cells && !insert) {
		err = gsk_grave_tables(buf, buf->nr_cells);
		if (err)
			goto unlock_windows;
		gsk_flush_begin(current->mm);
	}
	gsk_free_begin(space, buf->nr_cells);
	for (i = 0; i < n; i++) {
		struct gsk_move *m = &buf->moves[i];

		if (!m->locked || !m->plan.nr_range)
			continue;
		if (insert)
			zap_dead(buf, i);
		else
			reap(buf, i);
		if (!buf->rc[i].result)
			m->window->reach -= m->plan.nr_range;
	}
	if (buf->nr_cells && !insert)
		gsk_flush_dead(buf);
	gsk_free_end(space, buf->nr_cells, buf->nr_dead);
	gsk_count(space, GSK_N_reclaimed_now, buf->nr_dead);
	trace_greenstk_reclaim(space, false, n, buf->nr_dead);
	err = n;
unlock_windows:
	for (i = 0; i < n; i++)
		if (buf->moves[i].locked)
			gsk_window_unlock(space, buf->moves[i].window, buf->rc[i].window);
unlock:
	gsk_bracket_unlock(buf);
	return err;
}
