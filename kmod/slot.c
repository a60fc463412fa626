// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "account.h"
#include "slot.h"
#include "space.h"

/* Chunks that one allocation may look into: bounds the time under the lock. */
#define MAX_TRIES	16

int gsk_slots_init(struct gsk_space *space)
{
	u32 nr_tables;

	spin_lock_init(&space->slot_lock);
	space->nr_chunks = DIV_ROUND_UP(space->park_pages, GSK_CHUNK_PAGES);
	space->park_free = space->park_pages;
	space->max_slots = min_t(unsigned long, space->park_pages, U32_MAX - 1);
	nr_tables = DIV_ROUND_UP(space->max_slots, GSK_SLOTS_PER_TABLE);
	space->chunks = kvcalloc(space->nr_chunks, sizeof(*space->chunks), GFP_KERNEL_ACCOUNT);
	space->slots = kvcalloc(nr_tables, sizeof(*space->slots), GFP_KERNEL_ACCOUNT);
	/* What was got is freed by gsk_slots_fini(). */
	return space->chunks && space->slots ? 0 : -ENOMEM;
}

void gsk_slots_fini(struct gsk_space *space)
{
	u32 i;

	if (space->slots)
		for (i = 0; i * GSK_SLOTS_PER_TABLE < space->nr_slots; i++)
			free_page((unsigned long)space->slots[i]);
	kvfree(space->slots);
	kvfree(space->chunks);
	space->slots = NULL;
	space->chunks = NULL;
}

struct gsk_slot *gsk_slot_by_id(struct gsk_space *space, u32 id)
{
	return &space->slots[id / GSK_SLOTS_PER_TABLE][id % GSK_SLOTS_PER_TABLE];
}

static void push_free_locked(struct gsk_space *space, u32 id)
{
	struct gsk_slot *slot = gsk_slot_by_id(space, id);

	slot->state = GSK_SLOT_FREE;
	slot->first = space->free_slot;
	space->free_slot = id + 1;
	space->nr_free_slots++;
}

/**
 * gsk_slots_reserve() - make it likely that slots can be had
 * @space: its space
 * @nr: how many
 *
 * Grows the table of slots; it never shrinks while the space lives. Two callers
 * may share what one of them reserved: then gsk_slot_alloc_locked() fails.
 *
 * Context: may sleep. Return: 0, -ENOMEM (no memory, or over a cap) or -ENOSPC.
 */
int gsk_slots_reserve(struct gsk_space *space, u32 nr)
{
	struct gsk_slot *table;
	u32 i, id;

	while (READ_ONCE(space->nr_free_slots) < nr) {
		if (READ_ONCE(space->nr_slots) >= space->max_slots)
			return READ_ONCE(space->nr_free_slots) ? 0 : -ENOSPC;
		if (gsk_charge_tables(space, 1))
			return -ENOMEM;
		table = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!table) {
			gsk_uncharge_tables(space, 1);
			return -ENOMEM;
		}
		spin_lock(&space->slot_lock);
		id = space->nr_slots;
		if (id >= space->max_slots) {
			spin_unlock(&space->slot_lock);
			free_page((unsigned long)table);
			gsk_uncharge_tables(space, 1);
			continue;
		}
		space->slots[id / GSK_SLOTS_PER_TABLE] = table;
		WRITE_ONCE(space->nr_slots, id + GSK_SLOTS_PER_TABLE);
		/* Lowest id first. */
		for (i = GSK_SLOTS_PER_TABLE; i-- > 0;)
			push_free_locked(space, id + i);
		spin_unlock(&space->slot_lock);
	}
	return 0;
}

/**
 * gsk_slot_claim_locked() - own the slot that a handle names
 * @space: its space, slot_lock held
 * @handle: from user space
 * @id: set
 *
 * Return: 0, or -ESTALE when the handle names nothing (any more).
 */
int gsk_slot_claim_locked(struct gsk_space *space, u64 handle, u32 *id)
{
	u32 i = (u32)handle - 1;
	struct gsk_slot *slot;

	if (i >= space->nr_slots)
		return -ESTALE;
	slot = gsk_slot_by_id(space, i);
	if (slot->state != GSK_SLOT_PARKED || slot->gen != handle >> 32)
		return -ESTALE;
	slot->state = GSK_SLOT_BUSY;
	*id = i;
	return 0;
}

static bool chunk_take_locked(struct gsk_space *space, unsigned long c, u32 nr, u32 *first)
{
	struct gsk_chunk *chunk = &space->chunks[c];
	u32 limit, at;

	/* The last chunk may be short. */
	limit = min_t(unsigned long, GSK_CHUNK_PAGES, space->park_pages - c * GSK_CHUNK_PAGES);
	if (c >= space->chunk_fresh) {
		chunk->nr_free = limit;
		space->chunk_fresh = c + 1;
	}
	if (chunk->nr_free < nr)
		return false;
	at = bitmap_find_next_zero_area(chunk->map, limit, chunk->hint, nr, 0);
	if (at + nr > limit)
		at = bitmap_find_next_zero_area(chunk->map, limit, 0, nr, 0);
	if (at + nr > limit)
		return false;
	chunk->hint = at + nr;
	bitmap_set(chunk->map, at, nr);
	chunk->nr_free -= nr;
	space->park_free -= nr;
	*first = c * GSK_CHUNK_PAGES + at;
	return true;
}

static int pages_alloc_locked(struct gsk_space *space, u32 nr, u32 *first)
{
	unsigned long c = space->chunk_cursor;
	int tries;

	/* Next fit among used chunks, then a chunk never used, then a long look. */
	for (tries = 0; tries < MAX_TRIES && tries < space->chunk_fresh; tries++) {
		if (chunk_take_locked(space, c, nr, first)) {
			space->chunk_cursor = c;
			return 0;
		}
		if (++c >= space->chunk_fresh)
			c = 0;
	}
	if (space->chunk_fresh < space->nr_chunks) {
		c = space->chunk_fresh;
		if (chunk_take_locked(space, c, nr, first)) {
			space->chunk_cursor = c;
			return 0;
		}
	}
	for (c = 0; c < space->chunk_fresh; c++) {
		if (space->chunks[c].nr_free == GSK_CHUNK_PAGES &&
		    chunk_take_locked(space, c, nr, first)) {
			space->chunk_cursor = c;
			return 0;
		}
	}
	return -ENOSPC;
}

/**
 * gsk_slot_alloc_locked() - a slot, owned by the caller
 * @space: its space, slot_lock held
 * @nr_pages: 1..GSK_CHUNK_PAGES
 * @id: set
 *
 * Consecutive calls return consecutive pages as long as a chunk has room.
 * Return: 0 with *@id set, -ENOSPC when the parking range is full or too
 * fragmented, -EAGAIN when gsk_slots_reserve() must be called again.
 */
int gsk_slot_alloc_locked(struct gsk_space *space, u32 nr_pages, u32 *id)
{
	struct gsk_slot *slot;
	u32 first;
	int err;

	if (!space->free_slot)
		return space->nr_slots < space->max_slots ? -EAGAIN : -ENOSPC;
	err = pages_alloc_locked(space, nr_pages, &first);
	if (err)
		return err;
	*id = space->free_slot - 1;
	slot = gsk_slot_by_id(space, *id);
	space->free_slot = slot->first;
	space->nr_free_slots--;
	space->nr_handles++;
	slot->first = first;
	slot->nr = nr_pages;
	slot->cold = 0;
	slot->gen++;
	slot->state = GSK_SLOT_BUSY;
	return 0;
}

/* The pages must be gone from the page tables, and flushed. */
void gsk_slot_free_locked(struct gsk_space *space, u32 id)
{
	struct gsk_slot *slot = gsk_slot_by_id(space, id);
	struct gsk_chunk *chunk = &space->chunks[slot->first / GSK_CHUNK_PAGES];

	if (slot->cold && space->cold)
		bitmap_clear(space->cold, slot->first, slot->nr);
	bitmap_clear(chunk->map, slot->first % GSK_CHUNK_PAGES, slot->nr);
	chunk->nr_free += slot->nr;
	space->park_free += slot->nr;
	space->nr_handles--;
	push_free_locked(space, id);
}
