// SPDX-License-Identifier: GPL-2.0
/*
 * SWITCH by PARK. A bracket of entries:
 *
 *   lock windows, claim slots, make tables	(may fail, entry by entry)
 *   flush_begin
 *     take   inbound slots, leftovers of old slots
 *     take   windows, flush, put windows		(generic, and one entry alone)
 *     or exchange windows, flush		(x86)
 *     put    outbound slots
 *   free consumed slots, unlock
 *
 * The generic order maps no page before the flush, so none can be freed while a
 * TLB still reaches it. The exchange saves a walk per window. It maps inbound
 * pages before the flush, when a TLB may still hold them under their slot's
 * address. Such a page is held over the flush, unless its slot's PTE was not
 * accessed: slots are put with the accessed flag clear, and an x86 CPU sets it
 * before it caches a translation (SDM vol. 3A, 4.10.2.3 and 4.8).
 */
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>

#include "account.h"
#include "batch.h"
#include "compat/compat.h"
#include "insert.h"
#include "lazy.h"
#include "slot.h"
#include "trace.h"
#include "window.h"

static bool may_exchange(void)
{
	return IS_ENABLED(CONFIG_X86) && READ_ONCE(gsk_move_path) != GSK_PATH_GENERIC;
}

/* Scratch pages are kept when no more than these are in the way. */
#define MAX_SHIFT	8U

static unsigned long slot_addr(struct gsk_space *space, const struct gsk_slot *slot)
{
	return gsk_addr(space, space->park_pgoff + slot->first);
}

static unsigned long base_addr(struct gsk_space *space, u32 window)
{
	return gsk_addr(space, gsk_window_base(space, window));
}

/* Own slots for one entry; slot_lock held. */
static int claim_locked(struct gsk_space *space, struct gsk_run *run, struct gsk_move *m,
			struct greenstk_switch *e)
{
	u32 in_pages = 0;
	int err;

	m->in = NULL;
	m->out = NULL;
	m->old = NULL;
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
		/* Cold pages are known by their slot's offset: they cannot move. */
		if (m->old->cold && m->plan.nr_out) {
			err = -ENODATA;
			goto unclaim;
		}
	}
	if (m->plan.nr_out) {
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

static void unclaim_locked(struct gsk_space *space, struct gsk_move *m)
{
	if (m->in)
		m->in->state = GSK_SLOT_PARKED;
	if (m->out)
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
static u32 claim_all(struct gsk_buf *buf, u32 n, u32 nr_out)
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
		buf->sw[i].result = claim_locked(space, &run, m, &buf->sw[i]);
		if (buf->sw[i].result)
			continue;
		m->live = true;
		m->nr_below = nr_below(space, &m->plan);
		m->reach = m->plan.nr_in;
		in = m->plan.nr_eager;
		out = m->plan.nr_out;
		nr_scratch = m->plan.nr_range - out;
		if (m->old)
			nr_scratch += m->old->nr;
		/* Pages below need no cell, but may need to be held. */
		if (at_in + in > GSK_BRACKET_CELLS / 2 ||
		    at_out + out + nr_scratch + m->nr_below > end) {
			unclaim_locked(space, m);
			break;
		}
		at_in += in;
		m->at_out = at_out;
		at_out += out;
		end -= nr_scratch + m->nr_below;
		m->at_scratch = end;
		m->at_old = end + m->plan.nr_range - out;
		dead += nr_scratch;
	}
	gsk_run_end_locked(space, &run);
	spin_unlock(&space->slot_lock);
	buf->nr_dead = dead;	/* at most; counted from 0 again while moving */
	return i;
}

/* Page tables for all that will be put. Return: entries that stay. */
static u32 make_tables(struct gsk_buf *buf, u32 n)
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
			unclaim_locked(space, m);
			spin_unlock(&space->slot_lock);
			continue;
		}
		nr_live++;
	}
	return nr_live;
}

static void hold(struct gsk_buf *buf, gsk_cell cell)
{
	struct page *page = gsk_cell_page(cell);

	get_page(page);
	buf->held[buf->nr_held++] = page;
}

static void hold_accessed(struct gsk_buf *buf, const gsk_cell *cells, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (gsk_cell_full(cells[i]) && pte_young(cells[i]))
			hold(buf, cells[i]);
}

static void die(struct gsk_buf *buf, gsk_cell *cells, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (gsk_cell_full(cells[i])) {
			hold(buf, cells[i]);
			buf->dead[buf->nr_dead++] = cells[i];
		}
}

/*
 * Ranges that follow each other in the address space and in the cells are
 * walked in one call.
 */
typedef void (*gsk_walk_fn)(struct mm_struct *mm, unsigned long addr, unsigned long nr,
			    gsk_cell *cells);

struct run {
	gsk_walk_fn fn;
	unsigned long addr;
	gsk_cell *cells;
	u32 nr;
};

static void run_flush(struct run *run)
{
	if (run->nr)
		run->fn(current->mm, run->addr, run->nr, run->cells);
	run->nr = 0;
}

static void run_add(struct run *run, unsigned long addr, gsk_cell *cells, u32 nr)
{
	if (run->nr && (addr != run->addr + ((unsigned long)run->nr << PAGE_SHIFT) ||
			cells != run->cells + run->nr))
		run_flush(run);
	if (!run->nr) {
		run->addr = addr;
		run->cells = cells;
	}
	run->nr += nr;
}

#define for_each_live(buf, n, i, m)				\
	for ((i) = 0, (m) = (buf)->moves; (i) < (n); (i)++, (m)++)	\
		if ((m)->live)

/* Insertion: few, or scattered, or sorted already. */
static void sort_few(struct gsk_buf *buf, u32 nr)
{
	u32 i, k;

	for (i = 1; i < nr; i++) {
		typeof(buf->order[0]) one = buf->order[i];

		for (k = i; k && buf->order[k - 1].first > one.first; k--)
			buf->order[k] = buf->order[k - 1];
		buf->order[k] = one;
	}
}

static void sort_near(struct gsk_buf *buf, u32 nr, u32 min, u32 max)
{
	u32 words = (max - min) / BITS_PER_LONG + 1, i, at, k = 0;
	unsigned long word;

	memset(buf->marks, 0, words * sizeof(long));
	for (i = 0; i < nr; i++) {
		at = buf->order[i].first - min;
		buf->marks[at / BITS_PER_LONG] |= 1UL << (at % BITS_PER_LONG);
		buf->marked[at] = buf->order[i].entry;
	}
	for (i = 0; i < words; i++)
		for (word = buf->marks[i]; word; word &= word - 1)
			buf->order[k++].entry = buf->marked[i * BITS_PER_LONG + __ffs(word)];
}

/*
 * Entries with inbound pages, in the order of their slots: a batch resumed in
 * another order than it was parked in is still a few runs.
 */
static u32 sort_inbound(struct gsk_buf *buf, u32 n)
{
	u32 i, nr = 0, first, min = U32_MAX, max = 0;
	bool sorted = true;
	struct gsk_move *m;

	for_each_live(buf, n, i, m) {
		if (!m->plan.nr_eager)
			continue;
		first = m->in->first;
		sorted = sorted && first >= max;
		min = min(min, first);
		max = max(max, first);
		buf->order[nr].first = first;
		buf->order[nr++].entry = i;
	}
	if (sorted)
		return nr;
	if (nr > 8 && max - min < GSK_SORT_SPAN)
		sort_near(buf, nr, min, max);
	else
		sort_few(buf, nr);
	return nr;
}

static void take_inbound(struct gsk_buf *buf, u32 n, gsk_walk_fn take)
{
	struct gsk_space *space = buf->space;
	struct run run = { .fn = take };
	u32 i, nr = sort_inbound(buf, n), in = 0;
	struct gsk_move *m;

	for (i = 0; i < nr; i++) {
		m = &buf->moves[buf->order[i].entry];
		m->at_in = in;
		run_add(&run, slot_addr(space, m->in), buf->cells + in, m->plan.nr_eager);
		in += m->plan.nr_eager;
	}
	run_flush(&run);
#ifdef GSK_MUTATE_PUT_FIRST
	if (run.fn != gsk_take)
		return;
#endif
	for_each_live(buf, n, i, m) {
		if (m->old)
			gsk_take(current->mm, slot_addr(space, m->old), m->old->nr,
				 buf->cells + m->at_old);
	}
}

/* What was in the window is in its cells: sort the living from the dead. */
static void sort_cells(struct gsk_buf *buf, struct gsk_move *m)
{
	gsk_cell *out = buf->cells + m->at_out, *old = buf->cells + m->at_old;
	u32 nr_out = m->plan.nr_out, k;

	if (m->old) {
		/* Pages that the resident never touched since it came back. */
		for (k = 1; k <= m->old->nr && k <= nr_out; k++) {
			gsk_cell *from = &old[m->old->nr - k], *to = &out[nr_out - k];

			if (gsk_cell_full(*from) && !gsk_cell_full(*to)) {
				*to = *from;
				*from = __pte(0);
			}
		}
		die(buf, old, m->old->nr);
	}
	die(buf, buf->cells + m->at_scratch, m->plan.nr_range - nr_out);
}

static void put_outbound(struct gsk_buf *buf, u32 n)
{
	struct run run = { .fn = gsk_park };
	struct gsk_move *m;
	u32 i;

	for_each_live(buf, n, i, m) {
		u32 nr_out = m->plan.nr_out;

		if (nr_out)
			run_add(&run, slot_addr(buf->space, m->out),
				buf->cells + m->at_out, nr_out);
	}
	run_flush(&run);
}

/* Where the incoming stack begins: its lowest page. */
static unsigned long landing(struct gsk_buf *buf, u32 i)
{
	return base_addr(buf->space, buf->sw[i].window) -
	       ((unsigned long)buf->moves[i].plan.nr_in << PAGE_SHIFT);
}

/* The only live entry of a bracket, if the flush may spare what it did not touch. */
static struct gsk_move *alone(struct gsk_buf *buf, u32 n)
{
	struct gsk_move *m, *only = NULL;
	u32 i;

	if (buf->nr_dead || !may_exchange() || !GSK_CAN_FLUSH_RANGE)
		return NULL;
	for_each_live(buf, n, i, m) {
		if (only)
			return NULL;
		only = m;
	}
	/* A slot that was looked at is a second range. */
	for (i = 0; i < only->plan.nr_eager; i++)
		if (gsk_cell_full(buf->cells[only->at_in + i]) &&
		    pte_young(buf->cells[only->at_in + i]))
			return NULL;
	return only->old || !only->plan.nr_range ? NULL : only;
}

/* The windows are empty now. */
static void flush(struct gsk_buf *buf, u32 n)
{
	struct gsk_move *m = alone(buf, n);
	u32 window;

	if (!m) {
		gsk_flush_all(buf);
		return;
	}
	window = buf->sw[m - buf->moves].window;
	gsk_flush_range_end(buf->space, gsk_window_base(buf->space, window) - m->plan.nr_range,
			    m->plan.nr_range);
}

static void move_generic(struct gsk_buf *buf, u32 n)
{
	struct mm_struct *mm = current->mm;
	struct gsk_move *m;
	u32 i;

	gsk_flush_begin(mm);
	take_inbound(buf, n, gsk_take);
	for_each_live(buf, n, i, m) {
		gsk_empty(mm, base_addr(buf->space, buf->sw[i].window), m->plan.nr_range,
			  m->plan.nr_out, buf->cells + m->at_scratch, buf->cells + m->at_out);
		sort_cells(buf, m);
	}
	flush(buf, n);
	for_each_live(buf, n, i, m) {
		if (m->plan.nr_eager)
			gsk_put(mm, landing(buf, i), m->plan.nr_eager, buf->cells + m->at_in);
	}
	put_outbound(buf, n);
}

static void move_exchange(struct gsk_buf *buf, u32 n)
{
	struct gsk_exchange x = { .mm = current->mm };
	struct gsk_move *m;
	u32 i;

	gsk_flush_begin(x.mm);
#ifdef GSK_MUTATE_PUT_FIRST
	take_inbound(buf, n, gsk_copy);
#else
	take_inbound(buf, n, gsk_take);
#endif
	for_each_live(buf, n, i, m) {
		x.nr_below = m->nr_below;
		x.nr_range = m->plan.nr_range;
		x.nr_out = m->plan.nr_out;
		x.nr_in = m->plan.nr_in;
		x.nr_eager = m->plan.nr_eager;
		x.in = buf->cells + m->at_in;
		x.scratch = buf->cells + m->at_scratch;
		x.out = buf->cells + m->at_out;
		hold_accessed(buf, x.in, x.nr_eager);
		x.held = buf->held + buf->nr_held;
		x.nr_held = 0;
		x.deeper = false;
		if (x.nr_range)
			gsk_exchange(&x, base_addr(buf->space, buf->sw[i].window) -
				     ((unsigned long)(x.nr_range + x.nr_below) << PAGE_SHIFT));
		buf->nr_held += x.nr_held;
		if (x.deeper)
			m->reach += x.nr_below;
		sort_cells(buf, m);
	}
	gsk_flush_all(buf);
#ifdef GSK_MUTATE_PUT_FIRST
	take_inbound(buf, n, gsk_take);
#endif
	put_outbound(buf, n);
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

		if (m->old)
			gsk_slot_free_locked(space, m->id_old);
		m->window->slot = 0;
		gsk_lazy_claimed(space, e->window);
		m->window->reach = max_t(u32, m->window->reach, m->reach);
		if (m->in && (m->plan.nr_eager < m->plan.nr_in || m->in->cold)) {
			m->in->state = GSK_SLOT_ATTACHED;
			m->window->slot = m->id_in + 1;
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
	u32 nr_out = 0, nr_out_pages = 0, locked, nr_live, i;
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
	n = claim_all(buf, locked, nr_out_pages);
	/* An entry that lost its reserved slot to another thread comes again. */
	for (i = 0; i < n && buf->sw[i].result != -EAGAIN; i++)
		;
	if (i < n) {
		u32 j;

		spin_lock(&space->slot_lock);
		for (j = i; j < n; j++)
			if (buf->moves[j].live)
				unclaim_locked(space, &buf->moves[j]);
		spin_unlock(&space->slot_lock);
		n = i;
	}
	unlock_windows(buf, n, locked);
	nr_live = make_tables(buf, n);
	buf->nr_dead = 0;
	buf->nr_held = 0;
	if (nr_live) {
		if (gsk_must_insert(space))
			gsk_switch_insert(buf, n);
		else if (nr_live > 1 && may_exchange())
			move_exchange(buf, n);
		else
			move_generic(buf, n);
		if (buf->nr_dead)
			gsk_uncharge_pages(space, buf->nr_dead);
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
