// SPDX-License-Identifier: GPL-2.0
#include <linux/sched/mm.h>
#include <linux/delay.h>

#include "compat/compat.h"
#include "move.h"
#include "space.h"

/* Makes the page tables of a range; nothing below can fail for want of them. */
int gsk_tables_alloc(struct mm_struct *mm, unsigned long addr, unsigned long nr)
{
	return apply_to_page_range(mm, addr, nr << PAGE_SHIFT, NULL, NULL);
}

struct walk {
	struct mm_struct *mm;
	gsk_cell *cell;
	const gsk_cell *in;	/* of an exchange */
};

/*
 * Walks a range; cannot fail, for pages in cells are mapped nowhere. The tables
 * were made by gsk_tables_alloc(); where they may vanish (7.2: MADV_DONTNEED of
 * all of an emptied table) they are made again, from the reserves if need be,
 * which also lets the charge exceed the memcg's limit.
 */
static void walk_range(struct mm_struct *mm, unsigned long addr, unsigned long nr,
		       gsk_cell *cells, const gsk_cell *in, pte_fn_t fn)
{
	struct walk walk = { .mm = mm, .cell = cells, .in = in };
	unsigned long done;
	unsigned int flags;

	if (likely(!apply_to_page_range(mm, addr, nr << PAGE_SHIFT, fn, &walk)))
		return;
#ifdef GSK_MUTATE_LOST_ERROR
	return;
#endif
	flags = memalloc_noreclaim_save();
	while ((done = walk.cell - cells) < nr) {
		if (!apply_to_page_range(mm, addr + (done << PAGE_SHIFT),
					 (nr - done) << PAGE_SHIFT, fn, &walk))
			break;
		msleep(1);
	}
	memalloc_noreclaim_restore(flags);
}

#ifdef GSK_MUTATE_PUT_FIRST
static int copy_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;

	*walk->cell++ = ptep_get(ptep);
	return 0;
}

void gsk_copy(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	walk_range(mm, addr, nr, cells, NULL, copy_one);
}
#endif

static __always_inline gsk_cell take(struct mm_struct *mm, unsigned long addr, pte_t *ptep)
{
	pte_t pte = ptep_get(ptep);

	if (pte_none(pte))
		return __pte(0);
	pte = ptep_get_and_clear(mm, addr, ptep);
	if (likely(pte_present(pte)))
		return pte;
	/* Unevictable, unmovable pages leave no other kind of entry behind. */
	WARN_ON_ONCE(!gsk_pte_is_marker(pte));
	return __pte(0);
}

static int take_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;

	*walk->cell++ = take(walk->mm, addr, ptep);
	return 0;
}

/* The bytes arrive at this address now: tools that track writes must see it. */
static void put_cell(struct mm_struct *mm, unsigned long addr, pte_t *ptep, gsk_cell cell)
{
	set_pte_at(mm, addr, ptep, pte_mksoft_dirty(cell));
}

static int put_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;
	gsk_cell cell = *walk->cell++;

	if (gsk_cell_full(cell)) {
		/* Locks and the slot allocator own the address: nobody else maps here. */
		WARN_ON_ONCE(pte_present(ptep_get(ptep)));
		put_cell(walk->mm, addr, ptep, pte_mkyoung(cell));
	}
	return 0;
}

/* Not accessed, until somebody reads the slot: see the exchange in switch.c. */
static int park_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;
	gsk_cell cell = *walk->cell++;

	if (gsk_cell_full(cell)) {
		WARN_ON_ONCE(pte_present(ptep_get(ptep)));
		put_cell(walk->mm, addr, ptep, pte_mkold(cell));
	}
	return 0;
}

/* Clean and old, so that the zap that follows need not flush for dirt. */
static int bury_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;
	gsk_cell cell = *walk->cell++;

	set_pte_at(walk->mm, addr, ptep, pte_mkold(pte_mkclean(cell)));
	return 0;
}

static int exchange_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct walk *walk = data;
	gsk_cell cell = *walk->in++;

	*walk->cell++ = take(walk->mm, addr, ptep);
	if (gsk_cell_full(cell))
		put_cell(walk->mm, addr, ptep, pte_mkyoung(cell));
	return 0;
}

/* Clears the PTEs of a range and keeps them: a cell is 0 where nothing was. */
void gsk_take(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	walk_range(mm, addr, nr, cells, NULL, take_one);
}

/* Maps cells where nothing is mapped. */
void gsk_put(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	walk_range(mm, addr, nr, cells, NULL, put_one);
}

/* Maps cells in a slot. */
void gsk_park(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	walk_range(mm, addr, nr, cells, NULL, park_one);
}

/* Maps full cells in the grave range, to be zapped by gsk_flush_end(). */
void gsk_bury(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells)
{
	walk_range(mm, addr, nr, cells, NULL, bury_one);
}

/* Take and put in one walk. The page is mapped before the flush: hold a reference. */
void gsk_exchange(struct mm_struct *mm, unsigned long addr, unsigned long nr,
		  const gsk_cell *in, gsk_cell *out)
{
	walk_range(mm, addr, nr, out, in, exchange_one);
}

struct reap {
	struct walk walk;
	struct page **held;
};

static int reap_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct reap *reap = data;
	gsk_cell cell;

	if (!pte_present(ptep_get(ptep)))
		return 0;
	cell = ptep_get_and_clear(reap->walk.mm, addr, ptep);
	*reap->walk.cell++ = cell;
	*reap->held = gsk_cell_page(cell);
	get_page(*reap->held++);
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
 * A range whose page table is missing, and cannot be made, is empty.
 * Return: how many there were.
 */
u32 gsk_reap(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells,
	     struct page **held)
{
	struct reap reap = { .walk = { .mm = mm, .cell = cells }, .held = held };
	unsigned long end = addr + (nr << PAGE_SHIFT), next;

	for (; addr < end; addr = next) {
		next = min(end, (addr | ~PMD_MASK) + 1);
		apply_to_page_range(mm, addr, next - addr, reap_one, &reap);
	}
	return reap.walk.cell - cells;
}

struct peek {
	struct page **page;
};

static int peek_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct peek *peek = data;
	pte_t pte = ptep_get(ptep);

	*peek->page = NULL;
	if (pte_present(pte)) {
		*peek->page = pfn_to_page(pte_pfn(pte));
		get_page(*peek->page);
	}
	peek->page++;
	return 0;
}

/**
 * gsk_peek() - the pages of a range, referenced, NULL for holes
 * @mm: its lock or the VMA lock is held
 * @addr: first page
 * @nr: pages
 * @pages: set
 *
 * Return: 0, or -ENOMEM with no reference held.
 */
int gsk_peek(struct mm_struct *mm, unsigned long addr, unsigned long nr,
	     struct page **pages)
{
	struct peek peek = { .page = pages };
	int err;

	err = apply_to_page_range(mm, addr, nr << PAGE_SHIFT, peek_one, &peek);
	if (err)
		while (peek.page-- > pages)
			if (*peek.page)
				put_page(*peek.page);
	return err;
}

static int clear_marker_one(pte_t *ptep, unsigned long addr, void *data)
{
	pte_t pte = ptep_get(ptep);

	if (!pte_none(pte) && !pte_present(pte) && gsk_pte_is_marker(pte))
		pte_clear((struct mm_struct *)data, addr, ptep);
	return pte_present(ptep_get(ptep)) ? 1 : pte_none(ptep_get(ptep)) ? 0 : -EFAULT;
}

/* Return: 1 a page is present, 0 nothing is (any more), -errno. */
int gsk_clear_marker(struct mm_struct *mm, unsigned long addr)
{
	return apply_to_page_range(mm, addr, PAGE_SIZE, clear_marker_one, mm);
}

#ifdef CONFIG_MEM_SOFT_DIRTY
static int mark_one(pte_t *ptep, unsigned long addr, void *data)
{
	pte_t pte = ptep_get(ptep);

	if (pte_present(pte) && !pte_soft_dirty(pte)) {
		pte = ptep_get_and_clear((struct mm_struct *)data, addr, ptep);
		set_pte_at((struct mm_struct *)data, addr, ptep, pte_mksoft_dirty(pte));
	}
	return 0;
}

/* What put_cell() does, for pages that vm_insert_page() brought. */
void gsk_mark_moved(struct mm_struct *mm, unsigned long addr, unsigned long nr)
{
	apply_to_page_range(mm, addr, nr << PAGE_SHIFT, mark_one, mm);
}
#endif

/*
 * The flush. No function that flushes a TLB is exported, so the batch uses the
 * one that every kernel gives to modules: a zap. A zap that ends while another
 * batch of PTE changes is pending on the mm (mm_tlb_flush_nested()) flushes the
 * whole mm, once, since it cannot know what the other one has deferred. So
 * announce a batch, change PTEs anywhere, zap: the graveyard's dead pages, or a
 * page that never was. See tlb_finish_mmu(). selftests/uapi counts the IPIs.
 */
void gsk_flush_begin(struct mm_struct *mm)
{
	inc_tlb_flush_pending(mm);
}

/**
 * gsk_flush_end() - flush the TLB of the mm everywhere
 * @space: whose lock is held
 * @grave: address of buried pages
 * @nr_buried: how many; they are unmapped
 */
void gsk_flush_end(struct gsk_space *space, unsigned long grave, unsigned long nr_buried)
{
	struct vm_area_struct *vma = space->vma;

	/* In the VM_MIXEDMAP VMA the zap flushes its own range too, before the whole mm. */
	if (nr_buried)
		gsk_zap_range(space->grave ? space->grave : vma, grave, nr_buried << PAGE_SHIFT);
#ifndef GSK_MUTATE_FLUSH
	else
		gsk_zap_range(vma, vma->vm_end - PAGE_SIZE, PAGE_SIZE);
#endif
	dec_tlb_flush_pending(vma->vm_mm);
	gsk_count(space, GSK_N_flushes, 1);
}
