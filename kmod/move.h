/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The machine edge: page table entries and the one flush.
 *
 * Facts to hold in mind:
 * - One rmap count covers one PTE. So a PTE is taken (atomically, for the CPU
 *   may set its dirty bit) before it is put anywhere.
 * - Until the flush, other CPUs may still reach a taken page under its old
 *   address. Whoever puts it before the flush holds a reference on the page
 *   over the flush, since a madvise(MADV_DONTNEED) may zap and free it at once.
 * - A bracket: gsk_flush_begin(), edit, gsk_flush_end(). mmap_lock (or the VMA
 *   lock) is held from before begin until after end.
 * - Page tables are made before the first PTE is taken, and stay. Where an empty
 *   one may be freed under a read lock (7.2: MADV_DONTNEED) it is *pinned*: one
 *   of its entries, a page that no stack uses, holds a guard marker.
 */
#ifndef GSK_MOVE_H
#define GSK_MOVE_H

#include <linux/mm.h>

struct gsk_shape;
struct gsk_space;

/* A cell holds a taken PTE, or 0. */
typedef pte_t gsk_cell;

static inline bool gsk_cell_full(gsk_cell cell)
{
	return pte_val(cell) != 0;
}

static inline struct page *gsk_cell_page(gsk_cell cell)
{
	return pfn_to_page(pte_pfn(cell));
}

/*
 * What one entry does to its window. Numbers count from the lowest page:
 *
 *   | nr_below | nr_range                  | base
 *              | scratch |<--- nr_out ---->|
 *                 |<------- nr_in -------->|
 *
 * Scratch pages in the way of the stack that enters move below it; when it is
 * the smaller one, what lies just below the one that leaves moves up to it.
 */
struct gsk_exchange {
	struct mm_struct *mm;
	u32 nr_below, nr_range, nr_out, nr_in;
	u32 nr_eager;		/* lowest pages of the incoming stack */
	const struct gsk_shape *shape;
	u64 came;		/* of the nr_out pages, only these may be present */
	const gsk_cell *in;	/* nr_eager cells */
	gsk_cell *scratch;	/* set: nr_range - nr_out cells that were there */
	gsk_cell *out;		/* set: cells of the pages that leave and may be present */
	struct page **held;	/* set: scratch that moved, referenced */
	u32 nr_held;
	bool deeper;		/* set: there is scratch in nr_below now */
};

int gsk_tables_keep(struct mm_struct *mm, unsigned long low, unsigned long high);
#ifdef GSK_MUTATE_PUT_FIRST
void gsk_copy(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells);
#endif
void gsk_take(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells);
void gsk_put(struct mm_struct *mm, unsigned long addr, unsigned long nr, const gsk_cell *cells);
void gsk_park(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells);
void gsk_bury(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells);
void gsk_empty(struct gsk_exchange *x, unsigned long base);
void gsk_exchange(struct gsk_exchange *x, unsigned long addr);
u32 gsk_reap(struct mm_struct *mm, unsigned long addr, unsigned long nr, gsk_cell *cells,
	     struct page **held);
int gsk_peek(struct mm_struct *mm, unsigned long addr, unsigned long nr,
	     struct page **pages);
int gsk_clear_marker(struct mm_struct *mm, unsigned long addr);
#ifdef CONFIG_MEM_SOFT_DIRTY
void gsk_mark_moved(struct mm_struct *mm, unsigned long addr, unsigned long nr);
#else
static inline void gsk_mark_moved(struct mm_struct *mm, unsigned long addr, unsigned long nr) { }
#endif

void gsk_flush_begin(struct mm_struct *mm);
void gsk_flush_none(struct mm_struct *mm);
void gsk_flush_range_end(struct gsk_space *space, unsigned long pgoff, unsigned long nr);
void gsk_flush_end(struct gsk_space *space, struct vm_area_struct *vma, unsigned long grave,
		   unsigned long nr_buried);

#endif
