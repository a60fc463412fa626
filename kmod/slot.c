// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "account.h"
#include "move.h"
#include "slot.h"
#include "space.h"

/* Chunks that one allocation may look into: bounds the time under the lock. */
#define MAX_TRIES	16

int gsk_slots_init(struct gsk_space *space)
{
	u32 nr_tables;

	spin_lock_init(&space->slot_lock);
	space->nr_chunks = DIV_ROUND_UP(space->park_pages, GSK_CHUNK_PAGES);
	space->park_free = space->park_pages - space->park_pages / GSK_CHUNK_PAGES;
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
	limit = min_t(unsigned long, GSK_CHUNK_USABLE, space->park_pages - c * GSK_CHUNK_PAGES);
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

/* Next fit among a few chunks that are used already. */
static bool pages_next_locked(struct gsk_space *space, u32 nr, u32 *first)
{
	unsigned long c = space->chunk_cursor;
	int tries;

	for (tries = 0; tries < MAX_TRIES && tries < space->chunk_fresh; tries++) {
		if (chunk_take_locked(space, c, nr, first)) {
			space->chunk_cursor = c;
			return true;
		}
		if (++c >= space->chunk_fresh)
			c = 0;
	}
	return false;
}

static int pages_alloc_locked(struct gsk_space *space, u32 nr, u32 *first)
{
	unsigned long c;

	/* Then a chunk never used, then a long look. */
	if (pages_next_locked(space, nr, first))
		return 0;
	if (space->chunk_fresh < space->nr_chunks) {
		c = space->chunk_fresh;
		if (chunk_take_locked(space, c, nr, first)) {
			space->chunk_cursor = c;
			return 0;
		}
	}
	for (c = 0; c < space->chunk_fresh; c++) {
		if (space->chunks[c].nr_free == GSK_CHUNK_USABLE &&
		    chunk_take_locked(space, c, nr, first)) {
			space->chunk_cursor = c;
			return 0;
		}
	}
	return -ENOSPC;
}

static void pages_free_locked(struct gsk_space *space, u32 first, u32 nr)
{
	struct gsk_chunk *chunk = &space->chunks[first / GSK_CHUNK_PAGES];

	bitmap_clear(chunk->map, first % GSK_CHUNK_PAGES, nr);
	chunk->nr_free += nr;
	space->park_free += nr;
}

/* Give back what was not cut. */
void gsk_run_end_locked(struct gsk_space *space, struct gsk_run *run)
{
	if (run->nr)
		pages_free_locked(space, run->first, run->nr);
	run->nr = 0;
}

/* OPTIONAL: a run for all that is wanted; without it, for one slot. */
static int run_begin_locked(struct gsk_space *space, struct gsk_run *run, u32 nr_pages)
{
	u32 nr = min_t(u32, run->wanted, GSK_CHUNK_USABLE);
	int err;

	gsk_run_end_locked(space, run);
	if (nr <= nr_pages || !pages_next_locked(space, nr, &run->first)) {
		nr = nr_pages;
		err = pages_alloc_locked(space, nr, &run->first);
		if (err)
			return err;
	}
	run->nr = nr;
	return 0;
}

/**
 * gsk_slot_alloc_locked() - a slot, owned by the caller
 * @space: its space, slot_lock held
 * @run: of this batch; give it back in the end
 * @nr_pages: 1..GSK_CHUNK_USABLE
 * @id: set
 *
 * Consecutive calls return consecutive pages as long as a chunk has room.
 * Return: 0 with *@id set, -ENOSPC when the parking range is full or too
 * fragmented, -EAGAIN when gsk_slots_reserve() must be called again.
 */
int gsk_slot_alloc_locked(struct gsk_space *space, struct gsk_run *run, u32 nr_pages, u32 *id)
{
	struct gsk_slot *slot;
	int err;

	if (!space->free_slot)
		return space->nr_slots < space->max_slots ? -EAGAIN : -ENOSPC;
	if (run->nr < nr_pages) {
		err = run_begin_locked(space, run, nr_pages);
		if (err)
			return err;
	}
	*id = space->free_slot - 1;
	slot = gsk_slot_by_id(space, *id);
	space->free_slot = slot->first;
	space->nr_free_slots--;
	space->nr_handles++;
	slot->first = run->first;
	run->first += nr_pages;
	run->nr -= nr_pages;
	run->wanted -= min(run->wanted, nr_pages);
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

	if (slot->cold && space->cold)
		bitmap_clear(space->cold, slot->first, slot->nr);
	pages_free_locked(space, slot->first, slot->nr);
	space->nr_handles--;
	push_free_locked(space, id);
}

/**
 * gsk_slot_grow_locked() - more pages below those of a slot, empty ones
 * @space: its space, slot_lock held
 * @slot: owned
 * @nr: how many
 *
 * Return: whether they were free.
 */
bool gsk_slot_grow_locked(struct gsk_space *space, struct gsk_slot *slot, u32 nr)
{
	struct gsk_chunk *chunk = &space->chunks[slot->first / GSK_CHUNK_PAGES];
	u32 end = slot->first % GSK_CHUNK_PAGES;

	if (nr > end || find_next_bit(chunk->map, end, end - nr) < end)
		return false;
	bitmap_set(chunk->map, end - nr, nr);
	chunk->nr_free -= nr;
	space->park_free -= nr;
	slot->first -= nr;
	slot->nr += nr;
	return true;
}

/* Without its lowest @nr pages, which are gone from the page tables, and flushed. */
void gsk_slot_shrink_locked(struct gsk_space *space, struct gsk_slot *slot, u32 nr)
{
	if (slot->cold)
		bitmap_clear(space->cold, slot->first, nr);
	pages_free_locked(space, slot->first, nr);
	slot->first += nr;
	slot->nr -= nr;
	if (slot->cold)
		slot->cold = find_next_bit(space->cold, slot->first + slot->nr, slot->first) <
			     slot->first + slot->nr;
}

/* Page tables for a slot. mmap_lock or the VMA lock is held. Return: 0 or -ENOMEM. */
int gsk_slot_tables(struct gsk_space *space, const struct gsk_slot *slot)
{
	unsigned long c = slot->first / GSK_CHUNK_PAGES;
	unsigned long end = space->park_pgoff + (c + 1) * GSK_CHUNK_PAGES;
	int err;

	if (likely(READ_ONCE(space->chunks[c].tables)))
		return 0;
	err = gsk_tables_keep(space->mm, gsk_addr(space, end - GSK_CHUNK_PAGES - 1),
			      gsk_addr(space, end - 1));
	if (!err)
		WRITE_ONCE(space->chunks[c].tables, true);
	return err;
}
