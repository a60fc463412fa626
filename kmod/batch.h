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
#include "space.h"

#define GSK_BRACKET_ENTRIES	128U
#define GSK_BRACKET_CELLS	(17U * 512U)

struct gsk_move {
	struct gsk_plan plan;
	struct gsk_window *window;
	struct gsk_slot *in, *out, *old;
	u32 id_in, id_out, id_old;
	u32 at_win, at_in, at_old;	/* cells */
	bool locked;			/* the window is ours */
	bool live;			/* nothing refused it */
};

struct gsk_buf {
	struct gsk_space *space;
	unsigned int index;
	unsigned long grave_pgoff;
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
	u32 flags;		/* of the batch */
	u32 nr_cells;
	u32 nr_dead;
	u32 nr_held;
	gsk_cell cells[GSK_BRACKET_CELLS];
	gsk_cell dead[GSK_BRACKET_CELLS];
	struct page *held[GSK_BRACKET_CELLS];
};

/* Where a bracket buries pages. mmap_lock is held. */
static inline unsigned long gsk_grave_addr(const struct gsk_buf *buf)
{
	struct gsk_space *space = buf->space;

	if (space->grave)
		return space->grave->vm_start +
		       ((unsigned long)buf->index * GSK_BRACKET_CELLS << PAGE_SHIFT);
	return gsk_addr(space, buf->grave_pgoff);
}

struct gsk_buf *gsk_buf_get(struct gsk_space *space);
void gsk_buf_put(struct gsk_buf *buf);
void gsk_bufs_fini(struct gsk_space *space);

int gsk_switch_bracket(struct gsk_buf *buf, u32 n);
int gsk_reclaim_bracket(struct gsk_buf *buf, u32 n);
int gsk_drop_bracket(struct gsk_buf *buf, u32 n);
int gsk_cold_bracket(struct gsk_buf *buf, u32 n);
int gsk_populate_bracket(struct gsk_buf *buf, u32 n);

#endif
