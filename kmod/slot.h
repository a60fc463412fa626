/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots: runs of pages of the parking range, and the handles that name them.
 *
 * A slot lies within one chunk of 512 pages, and slots are packed without gaps,
 * so that page tables stay dense and the slots of one batch can be walked in one
 * call. The last page of a chunk pins its table (move.h) and is never used.
 */
#ifndef GSK_SLOT_H
#define GSK_SLOT_H

#include <linux/bitmap.h>
#include <linux/types.h>

#include "space.h"

#define GSK_CHUNK_PAGES		512UL
#define GSK_CHUNK_USABLE	(GSK_CHUNK_PAGES - 1)
#define GSK_SLOTS_PER_TABLE	((u32)(PAGE_SIZE / sizeof(struct gsk_slot)))

struct gsk_chunk {
	DECLARE_BITMAP(map, GSK_CHUNK_PAGES);
	u16 nr_free;
	u16 hint;		/* where the last search ended */
	bool tables;		/* its page tables are there, and stay */
};

enum gsk_slot_state {
	GSK_SLOT_FREE,
	GSK_SLOT_PARKED,	/* its handle is good */
	GSK_SLOT_BUSY,		/* an operation owns it */
	GSK_SLOT_ATTACHED,	/* holds the rest of a window's resident */
};

struct gsk_slot {
	u32 gen;
	u32 first;		/* page in the parking range; next free id + 1 when FREE */
	u16 nr;
	u8 state;
	u8 cold;		/* some page was made cold */
};

/* Pages in a row, owned: a batch cuts its slots from them. */
struct gsk_run {
	u32 first;
	u32 nr;
	u32 wanted;		/* pages that are still to be cut */
};

static inline u64 gsk_handle(u32 id, const struct gsk_slot *slot)
{
	return ((u64)slot->gen << 32) | (id + 1);
}

static inline struct gsk_slot *gsk_slot_by_id(struct gsk_space *space, u32 id)
{
	return &space->slots[id / GSK_SLOTS_PER_TABLE][id % GSK_SLOTS_PER_TABLE];
}

int gsk_slots_init(struct gsk_space *space);
void gsk_slots_fini(struct gsk_space *space);
int gsk_slots_reserve(struct gsk_space *space, u32 nr);
int gsk_slot_claim_locked(struct gsk_space *space, u64 handle, u32 *id);
int gsk_slot_alloc_locked(struct gsk_space *space, struct gsk_run *run, u32 nr_pages, u32 *id);
void gsk_run_end_locked(struct gsk_space *space, struct gsk_run *run);
int gsk_slot_tables(struct gsk_space *space, const struct gsk_slot *slot);
void gsk_slot_free_locked(struct gsk_space *space, u32 id);
bool gsk_slot_grow_locked(struct gsk_space *space, struct gsk_slot *slot, u32 nr);
void gsk_slot_shrink_locked(struct gsk_space *space, struct gsk_slot *slot, u32 nr);

#endif
