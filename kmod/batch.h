/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bracket: the entries that share one flush, and the memory to do it in.
 * A space has a few such buffers, each with a grave range of its own, so that
 * many threads may have a bracket open. A bracket bounds how long locks are
 * held: GSK_BRACKET_ENTRIES entries, GSK_BRACKET_CELLS pages.
 */
#ifndef GSK_BATCH_H
#define GSK_BATCH_H

#include "move.h"
#include "slot.h"
#include "space.h"

#define GSK_BRACKET_ENTRIES	128U
#define GSK_BRACKET_CELLS	(17U * 512U)
/* Addresses for that many graves, the last page of each 512 pins its table. */
#define GSK_GRAVE_PAGES		(18UL * GSK_CHUNK_PAGES)

/* Slots that are near each other, as those of one batch, are sorted by marking. */
#define GSK_SORT_SPAN		4096U

struct gsk_move {
	struct gsk_plan plan;
	struct gsk_window *window;
	struct gsk_slot *in, *out, *old;
	u32 id_in, id_out, id_old;
	u32 nr_old;			/* pages that are taken from ->old, from its lowest on */
	bool kept;			/* ->out is the slot that the stack came from, ... */
	u32 nr_grown;			/* ... with that many more pages below; */
	u64 came;			/* only these pages of the window may be present */
	u32 nr_cells;			/* of pages that leave */
	u32 at_in, at_out, at_scratch, at_old;	/* cells */
	u32 nr_below;			/* see struct gsk_exchange */
	u32 reach;			/* of the window, afterwards */
	bool locked;			/* the window is ours */
	bool live;			/* nothing refused it */
};

struct gsk_buf {
	struct gsk_space *space;
	unsigned int index;
	unsigned long grave_pgoff;
	struct vm_area_struct *vma;	/* locked alone; NULL: mmap_lock is held */
	struct vm_area_struct *grave;	/* the second mapping, or NULL */
	u32 nr_tables, tables_seq;	/* of the graves: tables kept, in which mapping */
	union {
		struct greenstk_switch sw[GSK_BRACKET_ENTRIES];
		struct greenstk_reclaim rc[GSK_BRACKET_ENTRIES];
		struct greenstk_drop dr[GSK_BRACKET_ENTRIES];
		struct greenstk_cold co[GSK_BRACKET_ENTRIES];
		struct greenstk_populate po[GSK_BRACKET_ENTRIES];
	};
	struct gsk_move moves[GSK_BRACKET_ENTRIES];
	struct {
		u32 first;		/* page of the slot */
		u32 entry;
	} order[GSK_BRACKET_ENTRIES];
	unsigned long marks[GSK_SORT_SPAN / BITS_PER_LONG];
	u8 marked[GSK_SORT_SPAN];	/* entry, where a mark is */
	u32 flags;		/* of the batch */
	bool insert;		/* PTEs may not be moved: insert.c */
	bool old_is_old;	/* no TLB has what is not marked accessed: carry.c */
	u32 nr_cells;
	u32 nr_dead;
	u32 nr_held;
	gsk_cell cells[GSK_BRACKET_CELLS];
	gsk_cell dead[GSK_BRACKET_CELLS];
	struct page *held[GSK_BRACKET_CELLS];
};

/* Where a bracket buries pages; the page before pins a table. The mm is locked. */
static inline unsigned long gsk_grave_addr(const struct gsk_buf *buf)
{
	if (buf->grave)
		return buf->grave->vm_start +
		       ((buf->index * GSK_GRAVE_PAGES + 1) << PAGE_SHIFT);
	return gsk_addr(buf->space, buf->grave_pgoff);
}

/* The second mapping: the first pin, then every buffer's graves. */
static inline unsigned long gsk_grave_vma_pages(const struct gsk_space *space)
{
	return space->nr_bufs * GSK_GRAVE_PAGES + 1;
}

int gsk_bracket_lock(struct gsk_buf *buf);
void gsk_bracket_unlock(struct gsk_buf *buf);
struct gsk_buf *gsk_buf_get(struct gsk_space *space);
void gsk_buf_put(struct gsk_buf *buf);
void gsk_bufs_fini(struct gsk_space *space);
int gsk_grave_tables(struct gsk_buf *buf, u32 nr);
bool gsk_flushed_since_written(struct gsk_space *space);
void gsk_flush_all(struct gsk_buf *buf);
void gsk_flush_dead(struct gsk_buf *buf);

int gsk_switch_bracket(struct gsk_buf *buf, u32 n);
int gsk_reclaim_bracket(struct gsk_buf *buf, u32 n);
int gsk_drop_bracket(struct gsk_buf *buf, u32 n);
int gsk_cold_bracket(struct gsk_buf *buf, u32 n);
int gsk_populate_bracket(struct gsk_buf *buf, u32 n);

#endif
