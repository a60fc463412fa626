// SPDX-License-Identifier: GPL-2.0
/*
 * The pages of a bracket of SWITCH entries, in one of two orders. Nothing fails.
 *
 * The generic order maps no page before the flush, so none can be freed while a
 * TLB still reaches it. The exchange saves a walk per window. It maps inbound
 * pages before the flush, when a TLB may still hold them under their slot's
 * address. Such a page is held over the flush, unless its slot's PTE was not
 * accessed: slots are put with the accessed flag clear, and an x86 CPU sets it
 * before it caches a translation (SDM vol. 3A, 4.10.2.3 and 4.8). The kernel clears
 * it without a flush: for /proc/PID/clear_refs, the VMA locked for writing. So it is
 * believed only if that did not happen since a flush of the whole mm (batch.c).
 */
#include "compat/compat.h"
#include "insert.h"
#include "move.h"
#include "switch.h"
#include "window.h"

static bool may_exchange(void)
{
	return IS_ENABLED(CONFIG_X86) && READ_ONCE(gsk_move_path) != GSK_PATH_GENERIC;
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
		if (gsk_cell_full(cells[i]) && (pte_young(cells[i]) || !buf->old_is_old))
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
			gsk_take(current->mm, slot_addr(space, m->old), m->nr_old,
				 buf->cells + m->at_old);
	}
}

/* Those of the slot that the resident came from. */
static noinline void sort_old(struct gsk_buf *buf, struct gsk_move *m)
{
	gsk_cell *out = buf->cells + m->at_out, *old = buf->cells + m->at_old;
	u32 nr_out = m->plan.nr_out, k;

	/* Pages that the resident never touched since it came back. */
	for (k = 1; !m->kept && k <= m->nr_old && k <= nr_out; k++) {
		gsk_cell *from = &old[m->nr_old - k], *to = &out[nr_out - k];

		if (gsk_cell_full(*from) && !gsk_cell_full(*to)) {
			*to = *from;
			*from = __pte(0);
		}
	}
	die(buf, old, m->nr_old);
}

/* What was in the window is in its cells: sort the living from the dead. */
static void sort_cells(struct gsk_buf *buf, struct gsk_move *m)
{
	u32 nr_scratch = m->plan.nr_range - m->plan.nr_out;

	if (unlikely(m->old))
		sort_old(buf, m);
	if (nr_scratch)
		die(buf, buf->cells + m->at_scratch, nr_scratch);
}

/* What came goes back to where it was. */
static noinline void put_back(struct gsk_buf *buf, struct run *run, struct gsk_move *m)
{
	const struct gsk_shape *shape = &buf->space->shape;
	u32 end = shape->window_pages, low = end - m->plan.nr_out, page = low, nr;
	gsk_cell *cells = buf->cells + m->at_out;

	for (; (nr = gsk_came_run(shape, m->came, &page, end)); page += nr, cells += nr)
		run_add(run, slot_addr(buf->space, m->out) +
			((unsigned long)(m->nr_old + page - low) << PAGE_SHIFT), cells, nr);
}

static void put_outbound(struct gsk_buf *buf, u32 n)
{
	struct run run = { .fn = gsk_park };
	struct gsk_move *m;
	u32 i;

	for_each_live(buf, n, i, m) {
		if (unlikely(m->kept))
			put_back(buf, &run, m);
		else if (m->nr_cells)
			run_add(&run, slot_addr(buf->space, m->out), buf->cells + m->at_out,
				m->nr_cells);
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
		    (pte_young(buf->cells[only->at_in + i]) || !buf->old_is_old))
			return NULL;
	return only->old || !only->plan.nr_range ? NULL : only;
}

/* Of a window's pages [*low, *high): where those that may be present begin and end. */
static void came_span(const struct gsk_shape *shape, u64 came, u32 *low, u32 *high)
{
	u32 page = *low, end = *high, nr;

	if (!gsk_came_run(shape, came, &page, end))
		return;
	*low = page;
	for (; (nr = gsk_came_run(shape, came, &page, end)); page += nr)
		*high = page + nr;
}

/* The windows are empty now. */
static void flush(struct gsk_buf *buf, u32 n)
{
	struct gsk_move *m = alone(buf, n);
	u32 end = buf->space->shape.window_pages, low, high;
	unsigned long base;

	if (!m) {
		gsk_flush_all(buf);
		return;
	}
	low = end - m->plan.nr_range;
	high = end;
	if (m->kept && m->plan.nr_range == m->plan.nr_out)
		came_span(&buf->space->shape, m->came, &low, &high);
	base = gsk_window_base(buf->space, buf->sw[m - buf->moves].window);
	gsk_flush_range_end(buf->space, base - (end - low), high - low);
}

/* What of an exchange concerns the stack that leaves. */
static void leaves(struct gsk_exchange *x, struct gsk_buf *buf, struct gsk_move *m)
{
	x->nr_range = m->plan.nr_range;
	x->nr_out = m->plan.nr_out;
	x->came = m->came;
	x->scratch = buf->cells + m->at_scratch;
	x->out = buf->cells + m->at_out;
}

static void move_generic(struct gsk_buf *buf, u32 n)
{
	struct gsk_exchange x = { .mm = current->mm, .shape = &buf->space->shape };
	struct mm_struct *mm = x.mm;
	struct gsk_move *m;
	u32 i;

	gsk_flush_begin(mm);
	take_inbound(buf, n, gsk_take);
	for_each_live(buf, n, i, m) {
		leaves(&x, buf, m);
		gsk_empty(&x, base_addr(buf->space, buf->sw[i].window));
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
	struct gsk_exchange x = { .mm = current->mm, .shape = &buf->space->shape };
	struct gsk_move *m;
	u32 i;

	gsk_flush_begin(x.mm);
#ifdef GSK_MUTATE_PUT_FIRST
	take_inbound(buf, n, gsk_copy);
#else
	take_inbound(buf, n, gsk_take);
#endif
	for_each_live(buf, n, i, m) {
		leaves(&x, buf, m);
		x.nr_below = m->nr_below;
		x.nr_in = m->plan.nr_in;
		x.nr_eager = m->plan.nr_eager;
		x.in = buf->cells + m->at_in;
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

/* The pages of all live entries, @nr_live of them, and one flush. */
void gsk_carry(struct gsk_buf *buf, u32 n, u32 nr_live)
{
	buf->old_is_old = gsk_flushed_since_written(buf->space);
	if (nr_live > 1 && may_exchange())
		move_exchange(buf, n);
	else
		move_generic(buf, n);
}
