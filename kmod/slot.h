/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots: runs of pages of the parking range, and the handles that name them.
 *
 * A slot lies within one chunk of 512 pages, so that its pages share a page
 * table, and slots are packed without gaps, so that tables stay dense and the
 * slots of one batch can be walked in one call.
 */
#ifndef GSK_SLOT_H
#define GSK_SLOT_H

#include <linux/bitmap.h>
#include <linux/types.h>

#define GSK_CHUNK_PAGES		512U
#define GSK_SLOTS_PER_TABLE	(PAGE_SIZE / sizeof(struct gsk_slot))

struct gsk_space;

struct gsk_chunk {
	DECLARE_BITMAP(map, GSK_CHUNK_PAGES);
	u16 nr_free;
	u16 hint;		/* where the last search ended */
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

static inline u64 gsk_handle(u32 id, const struct gsk_slot *slot)
{
	return ((u64)slot->gen << 32) | (id + 1);
}

int gsk_slots_init(struct gsk_space *space);
void gsk_slots_fini(struct gsk_space *space);
int gsk_slots_reserve(struct gsk_space *space, u32 nr);
struct gsk_slot *gsk_slot_by_id(struct gsk_space *space, u32 id);
int gsk_slot_claim_locked(struct gsk_space *space, u64 handle, u32 *id);
int gsk_slot_alloc_locked(struct gsk_space *space, u32 nr_pages, u32 *id);
void gsk_slot_free_locked(struct gsk_space *space, u32 id);

#endif
