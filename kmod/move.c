// SPDX-License-Identifier: GPL-2.0
#include <linux/mmu_notifier.h>
#include <linux/sched/signal.h>

#include "compat/compat.h"
#include "move.h"
#include "plan.h"
#include "slot.h"
#include "space.h"

static int keep_one(pte_t *ptep, unsigned long addr, void *data)
{
#ifndef GSK_MUTATE_PIN
	gsk_pin_table(data, addr, ptep);
#endif
	return 0;
}

static int keep(struct mm_struct *mm, unsigned long pin)
{
	int tries, err;

	/* A new table may be gone again before it is pinned: not for want of memory. */
	for (tries = 0; tries < 16; tries++) {
		err = apply_to_page_range(mm, pin, PAGE_SIZE, keep_one, mm);
		if (!err || !GSK_TABLES_MAY_VANISH || fatal_signal_pending(current))
			break;
	}
	return err;
}

/**
 * gsk_tables_keep() - page tables that exist from now on until the mapping ends
 * @mm: its lock or the VMA lock is held
 * @low: address of a pin
 * @high: address of the next one, at most one table's worth higher
 *
 * A table that covers anything in between covers one of the pins.
 *
 * Return: 0 or -ENOMEM.
 */
int gsk_tables_keep(struct mm_struct *mm, unsigned long low, unsigned long high)
{
	int err = keep(mm, low);

	return err ? err : keep(mm, high);
}

struct walk {
	struct mm_struct *mm;
	gsk_cell *cell;
	u32 nr;		/* PTEs of this table */
};

/*
 * Walks a range of tables that gsk_tables_keep() made, so it cannot fail. The
 * lock of a page table covers all of it: one call of @fn does all the PTEs that
 * lie in one table.
 */
static void walk_range(struct walk *walk, unsigned long addr, unsigned long nr, pte_fn_t fn)
{
	while (nr) {
		walk->nr = min(nr, PTRS_PER_PTE - pte_index(addr));
		WARN_ON_ONCE(apply_to_page_range(walk->mm, addr, PAGE_SIZE, fn, walk));
		nr -= walk->nr;
		addr += (unsigned long)walk->nr << PAGE_SHIFT;
	}
}

#ifdef GSK_MUTATE_PUT_FIRST
static int copy_run(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;
	u32 i;

	for (i = 0; i < walk->nr; i++)
		*walk->cell++ = ptep_get(ptep + i);
	return 0;
}

void gsk_copy(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	struct walk walk = { .mm = mm, .cell = cells };

	walk_range(&walk, addr, nr, copy_run);
}
#endif

static gsk_cell take_rare(struct mm_struct *mm, unsigned long addr, pte_t *ptep)
{
	pte_t pte = ptep_get(ptep);

	if (!pte_none(pte)) {
		/* Unevictable, unmovable pages leave no other kind of entry behind. */
		WARN_ON_ONCE(!gsk_pte_is_marker(pte));
		pte_clear(mm, addr, ptep);
	}
	return __pte(0);
}

/* Only a CPU that sets a flag may change it while the page table is locked. */
static __always_inline gsk_cell take(struct mm_struct *mm, unsigned long addr, pte_t *ptep)
{
	if (likely(pte_present(ptep_get(ptep))))
		return ptep_get_and_clear(mm, addr, ptep);
	return take_rare(mm, addr, ptep);
}

static __always_inline void take_all(struct mm_struct *mm, unsigned long addr, pte_t *ptep,
				     u32 nr, gsk_cell *cell)
{
	for (; nr; nr--, addr += PAGE_SIZE)
		*cell++ = take(mm, addr, ptep++);
}

static int take_run(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;

	take_all(walk->mm, addr, ptep, walk->nr, walk->cell);
	walk->cell += walk->nr;
	return 0;
}

/* The bytes arrive at this address now: tools that track writes must see it. */
static __always_inline void put(struct mm_struct *mm, unsigned long addr, pte_t *ptep,
				gsk_cell cell)
{
	/* Locks and the slot allocator own the address: nobody else maps here. */
	WARN_ON_ONCE(pte_present(ptep_get(ptep)));
	gsk_set_pte(mm, addr, ptep, pte_mksoft_dirty(cell));
}

static __always_inline void put_all(struct mm_struct *mm, unsigned long addr, pte_t *ptep,
				    u32 nr, const gsk_cell *cell)
{
	for (; nr; nr--, cell++, ptep++, addr += PAGE_SIZE)
		if (gsk_cell_full(*cell))
			put(mm, addr, ptep, pte_mkyoung(*cell));
}

static int put_run(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;

	put_all(walk->mm, addr, ptep, walk->nr, walk->cell);
	walk->cell += walk->nr;
	return 0;
}

/* Not accessed, until somebody reads the slot: see the exchange in carry.c. */
static int park_run(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;
	gsk_cell *cell = walk->cell, *end = cell + walk->nr;

	for (; cell < end; cell++, ptep++, addr += PAGE_SIZE)
		if (gsk_cell_full(*cell))
			put(walk->mm, addr, ptep, pte_mkold(*cell));
	walk->cell = end;
	return 0;
}

/* Clean and old, so that the zap that follows need not flush for dirt. */
static int bury_run(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;
	gsk_cell *cell = walk->cell, *end = cell + walk->nr;

	for (; cell < end; cell++, ptep++, addr += PAGE_SIZE)
		gsk_set_pte(walk->mm, addr, ptep, pte_mkold(pte_mkclean(*cell)));
	walk->cell = end;
	return 0;
}

/* Clears the PTEs of a range and keeps them: a cell is 0 where nothing was. */
void gsk_take(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	struct walk walk = { .mm = mm, .cell = cells };

	walk_range(&walk, addr, nr, take_run);
}

/* Maps cells where nothing is mapped. */
void gsk_put(struct mm_struct *mm, unsigned long addr, unsigned long nr, const gsk_cell *cells)
{
	struct walk walk = { .mm = mm, .cell = (gsk_cell *)cells };

	walk_range(&walk, addr, nr, put_run);
}

/* Maps cells in a slot. */
void gsk_park(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	struct walk walk = { .mm = mm, .cell = cells };

	walk_range(&walk, addr, nr, park_run);
}

/* Maps full cells in the grave range, to be zapped by gsk_flush_end(). */
void gsk_bury(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	struct walk walk = { .mm = mm, .cell = cells };
	unsigned long run;

	for (; nr; nr -= run) {
		run = min_t(unsigned long, nr, GSK_CHUNK_USABLE);
		walk_range(&walk, addr, run, bury_run);
		addr += GSK_CHUNK_PAGES << PAGE_SHIFT;
	}
}

/* Moves one scratch page; it may be in a TLB under its old address. */
static __always_inline void put_scratch(struct gsk_exchange *x, unsigned long addr, pte_t *ptep,
					gsk_cell cell)
{
	struct page *page = gsk_cell_page(cell);

	get_page(page);
	x->held[x->nr_held++] = page;
	put(x->mm, addr, ptep, cell);
}

/* @ptep: of the lowest page of nr_below. */
static void shift_scratch(struct gsk_exchange *x, unsigned long addr, pte_t *ptep)
{
	u32 far = x->nr_in > x->nr_out ? x->nr_in - x->nr_out : x->nr_out - x->nr_in, i;
	gsk_cell cell;

	/* The room that is left may be less than what there is to move. */
	if (x->nr_in > x->nr_out) {
		for (i = far - x->nr_below; i < far; i++) {
			u32 to = i - (far - x->nr_below);

			if (!gsk_cell_full(x->scratch[i]) || !pte_none(ptep_get(ptep + to)))
				continue;
			put_scratch(x, addr + to * PAGE_SIZE, ptep + to, x->scratch[i]);
			x->scratch[i] = __pte(0);
			x->deeper = true;
		}
		return;
	}
	for (i = 0; i < x->nr_below; i++) {
		cell = take(x->mm, addr + i * PAGE_SIZE, ptep + i);
		if (gsk_cell_full(cell))
			put_scratch(x, addr + (i + far) * PAGE_SIZE, ptep + i + far, cell);
	}
}

/* @ptep: of the lowest of the nr_out pages. Rare, and not in the way of what is not. */
static noinline void take_came(struct gsk_exchange *x, unsigned long addr, pte_t *ptep)
{
	u32 end = x->shape->window_pages, low = end - x->nr_out, page = low, nr;
	gsk_cell *out = x->out;

	for (; (nr = gsk_came_run(x->shape, x->came, &page, end)); page += nr, out += nr)
		take_all(x->mm, addr + (page - low) * PAGE_SIZE, ptep + page - low, nr, out);
}

/* All of the window's part lies in this table. */
static int exchange_run(pte_t *ptep, unsigned long addr, void *data)
{
	struct gsk_exchange *x = data;
	u32 at = x->nr_below, nr_scratch = x->nr_range - x->nr_out;

	if (nr_scratch)
		take_all(x->mm, addr + at * PAGE_SIZE, ptep + at, nr_scratch, x->scratch);
	at += nr_scratch;
	if (likely(x->came == GSK_CAME_ALL))
		take_all(x->mm, addr + at * PAGE_SIZE, ptep + at, x->nr_out, x->out);
	else
		take_came(x, addr + at * PAGE_SIZE, ptep + at);
	at = x->nr_below + x->nr_range - x->nr_in;
	put_all(x->mm, addr + at * PAGE_SIZE, ptep + at, x->nr_eager, x->in);
	if (x->nr_below)
		shift_scratch(x, addr, ptep);
	return 0;
}

/**
 * gsk_exchange() - take what is in a window, and put the stack that enters
 * @x: what to do
 * @addr: of the lowest page, nr_below included
 *
 * Inbound pages and scratch are mapped before the flush: hold references.
 */
void gsk_exchange(struct gsk_exchange *x, unsigned long addr)
{
	unsigned long nr = x->nr_below + x->nr_range;

	if (likely(pte_index(addr) + nr <= PTRS_PER_PTE)) {
		WARN_ON_ONCE(apply_to_page_range(x->mm, addr, PAGE_SIZE, exchange_run, x));
		return;
	}
	/* A window across two tables: no scratch is kept. */
	addr += nr << PAGE_SHIFT;
	gsk_empty(x, addr);
	gsk_put(x->mm, addr - ((unsigned long)x->nr_in << PAGE_SHIFT), x->nr_eager, x->in);
}

static noinline void empty_came(struct gsk_exchange *x, unsigned long base)
{
	u32 end = x->shape->window_pages, page = end - x->nr_out, nr;
	gsk_cell *out = x->out;

	for (; (nr = gsk_came_run(x->shape, x->came, &page, end)); page += nr, out += nr)
		gsk_take(x->mm, base - ((unsigned long)(end - page) << PAGE_SHIFT), nr, out);
}

/* Takes what is in a window, nr_range pages up to @base. */
void gsk_empty(struct gsk_exchange *x, unsigned long base)
{
	gsk_take(x->mm, base - ((unsigned long)x->nr_range << PAGE_SHIFT),
		 x->nr_range - x->nr_out, x->scratch);
	if (likely(x->came == GSK_CAME_ALL))
		gsk_take(x->mm, base - ((unsigned long)x->nr_out << PAGE_SHIFT), x->nr_out, x->out);
	else
		empty_came(x, base);
}

struct reap {
	struct walk walk;
	struct page **held;
};

static int reap_run(pte_t *ptep, unsigned long addr, void *data)
{
	struct reap *reap = data;
	gsk_cell cell;
	u32 i;

	for (i = 0; i < reap->walk.nr; i++, addr += PAGE_SIZE) {
		if (!pte_present(ptep_get(ptep + i)))
			continue;
		cell = ptep_get_and_clear(reap->walk.mm, addr, ptep + i);
		*reap->walk.cell++ = cell;
		*reap->held = gsk_cell_page(cell);
		get_page(*reap->held++);
	}
	return 0;
}

/**
 * gsk_reap() - take the present PTEs of a range, for the grave
 * @mm: current->mm
 * @addr: first page
 * @nr: pages
 * @cells: set, without gaps
 * @held: set to their pages, referenced, to be put after the flush: a zap frees
 *	in portions, and none may be free while a TLB reaches it
 *
 * Return: how many there were.
 */
u32 gsk_reap(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells,
	     struct page **held)
{
	struct reap reap = { .walk = { .mm = mm, .cell = cells }, .held = held };

	walk_range(&reap.walk, addr, nr, reap_run);
	return reap.walk.cell - cells;
}
