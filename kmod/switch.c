// SPDX-License-Identifier: GPL-2.0
/*
 * SWITCH by PARK. A bracket of entries:
 *
 *   lock windows, claim slots, make tables	(may fail, entry by entry: claim.c)
 *   flush_begin				(carry.c)
 *     take   inbound slots, leftovers of old slots
 *     take   windows, flush, put windows		(generic, and one entry alone)
 *     or exchange windows, flush		(x86)
 *     put    outbound slots
 *   free consumed slots, unlock
 */
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>

#include "account.h"
#include "compat/compat.h"
#include "insert.h"
#include "lazy.h"
#include "slot.h"
#include "switch.h"
#include "trace.h"
#include "window.h"

/*
 * What is still cold stays so, in the slot that its stack has now. Neither the
 * window nor the old slot has such a page: who brings one holds the window, and
 * makes it warm before that is let go.
 */
static void cold_follows_locked(struct gsk_space *space, struct gsk_move *m)
{
	u32 nr = min(m->old->nr, m->out->nr);
	u32 from = m->old->first + m->old->nr - nr, to = m->out->first + m->out->nr - nr, at;

	for (at = from; (at = find_next_bit(space->cold, from + nr, at)) < from + nr; at++) {
		__set_bit(to + at - from, space->cold);
		m->out->cold = 1;
	}
}

/* Everything is where it belongs: settle who owns which slot. */
static void settle(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	long nr_switches = 0, nr_parked = 0, nr_resumed = 0;
	struct gsk_move *m;
	u32 i;

	spin_lock(&space->slot_lock);
	for_each_live(buf, n, i, m) {
		struct greenstk_switch *e = &buf->sw[i];

		if (m->kept) {
			m->out->gen++;	/* its last handle is used up */
			if (m->nr_old)
				gsk_slot_shrink_locked(space, m->out, m->nr_old);
		} else if (m->old) {
			if (m->old->cold && m->out)
				cold_follows_locked(space, m);
			gsk_slot_free_locked(space, m->id_old);
		}
		m->window->slot = 0;
		gsk_lazy_claimed(space, e->window);
		m->window->reach = max_t(u32, m->window->reach, m->reach);
		if (m->in && (m->plan.nr_eager < m->plan.nr_in || m->in->cold)) {
			m->in->state = GSK_SLOT_ATTACHED;
			m->window->slot = m->id_in + 1;
			m->window->came = gsk_came_bits(&space->shape,
							space->shape.window_pages - m->plan.nr_in,
							m->plan.nr_eager);
		} else if (m->in) {
			gsk_slot_free_locked(space, m->id_in);
		}
		e->in_pages = m->plan.nr_in;
		if (m->out) {
			m->out->state = GSK_SLOT_PARKED;
			e->handle_out = gsk_handle(m->id_out, m->out);
			e->slot_offset = (u64)(space->park_pgoff + m->out->first) << PAGE_SHIFT;
		}
		nr_switches++;
		nr_parked += m->plan.nr_out;
		nr_resumed += m->plan.nr_eager;
	}
	spin_unlock(&space->slot_lock);
	gsk_count(space, GSK_N_switches, nr_switches);
	gsk_count(space, GSK_N_pages_parked, nr_parked);
	gsk_count(space, GSK_N_pages_resumed, nr_resumed);
	gsk_count(space, GSK_N_batches, 1);
	trace_greenstk_switch(space, n, nr_switches, nr_parked, nr_resumed, buf->nr_dead);
}

static bool holds_caller(struct gsk_space *space, u32 window)
{
	unsigned long sp = user_stack_pointer(current_pt_regs());
	unsigned long base = base_addr(space, window);

	return sp <= base && sp > base - ((unsigned long)space->shape.window_pages << PAGE_SHIFT);
}

/* Return: how many of the first @n entries have their window locked or are refused. */
static int lock_windows(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	bool first = true;
	u32 i;

	for (i = 0; i < n; i++) {
		struct greenstk_switch *e = &buf->sw[i];
		struct gsk_move *m = &buf->moves[i];

		m->live = false;
		m->locked = false;
		e->handle_out = 0;
		e->slot_offset = 0;
		e->in_pages = 0;
		if (e->flags || e->window >= space->nr_windows) {
			e->result = -EINVAL;
			continue;
		}
		if (holds_caller(space, e->window)) {
			e->result = -EDEADLK;
			continue;
		}
		m->window = &space->windows[e->window];
		if (!gsk_window_trylock(m->window)) {
			/* Never wait for one while holding another. */
			if (!first)
				break;
			if (gsk_window_lock_killable(space, e->window))
				return i ? i : -EINTR;
		}
		first = false;
		m->locked = true;
	}
	return i;
}

static void unlock_windows(struct gsk_buf *buf, u32 from, u32 n)
{
	u32 i;

	for (i = from; i < n; i++)
		if (buf->moves[i].locked)
			gsk_window_unlock(buf->space, buf->moves[i].window, buf->sw[i].window);
}

#ifdef GSK_MUTATE_SERIAL
static DEFINE_MUTEX(serial);
#endif

/**
 * gsk_switch_bracket() - do the first entries of buf->sw
 * @buf: with @n entries from user space
 * @n: 1..GSK_BRACKET_ENTRIES
 *
 * Context: current->mm is the space's; no lock held.
 * Return: how many entries have a result, at least 1, or -errno.
 */
int gsk_switch_bracket(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	u32 nr_out = 0, nr_out_pages = 0, locked, nr_live, nr_dead, i;
	int err;

	for (i = 0; i < n; i++) {
		nr_out += !!buf->sw[i].out_bytes;
		/* Nonsense is refused later. */
		nr_out_pages += min(buf->sw[i].out_bytes >> PAGE_SHIFT, GSK_MAX_WINDOW_PAGES) +
				!!(buf->sw[i].out_bytes & ~PAGE_MASK);
	}
	err = gsk_slots_reserve(space, nr_out);
	if (err && err != -ENOSPC)
		return err;
	err = gsk_bracket_lock(buf);
	if (err)
		return err;
#ifdef GSK_MUTATE_SERIAL
	mutex_lock(&serial);
#endif
	err = lock_windows(buf, n);
	if (err < 0)
		goto unlock;
	locked = err;
	buf->insert = gsk_must_insert(space);
	n = gsk_claim_all(buf, locked, nr_out_pages);
	/* An entry that lost its reserved slot to another thread comes again. */
	for (i = 0; i < n && buf->sw[i].result != -EAGAIN; i++)
		;
	if (i < n) {
		u32 j;

		spin_lock(&space->slot_lock);
		for (j = i; j < n; j++)
			if (buf->moves[j].live)
				gsk_unclaim_locked(space, &buf->moves[j]);
		spin_unlock(&space->slot_lock);
		n = i;
	}
	unlock_windows(buf, n, locked);
	nr_live = gsk_make_tables(buf, n);
	nr_dead = buf->nr_dead;
	buf->nr_dead = 0;
	buf->nr_held = 0;
	if (nr_live) {
		gsk_free_begin(space, nr_dead);
		if (buf->insert)
			gsk_switch_insert(buf, n);
		else
			gsk_carry(buf, n, nr_live);
		gsk_free_end(space, nr_dead, buf->nr_dead);
		settle(buf, n);
	}
	unlock_windows(buf, 0, n);
	err = n ? n : -EAGAIN;
unlock:
#ifdef GSK_MUTATE_SERIAL
	mutex_unlock(&serial);
#endif
	gsk_bracket_unlock(buf);
	return err;
}
