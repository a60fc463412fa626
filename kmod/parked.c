// SPDX-License-Identifier: GPL-2.0
/* What happens to parked stacks in their slots: DROP, COLD, POPULATE. */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "account.h"
#include "batch.h"
#include "compat/compat.h"
#include "insert.h"
#include "params.h"
#include "slot.h"

static unsigned long slot_addr(struct gsk_space *space, const struct gsk_slot *slot)
{
	return gsk_addr(space, space->park_pgoff + slot->first);
}

static int claim(struct gsk_space *space, u64 handle, u32 *id)
{
	int err;

	spin_lock(&space->slot_lock);
	err = gsk_slot_claim_locked(space, handle, id);
	spin_unlock(&space->slot_lock);
	return err;
}

static void unclaim(struct gsk_space *space, u32 id)
{
	spin_lock(&space->slot_lock);
	gsk_slot_by_id(space, id)->state = GSK_SLOT_PARKED;
	spin_unlock(&space->slot_lock);
}

static void free_slot(struct gsk_space *space, u32 id)
{
	spin_lock(&space->slot_lock);
	gsk_slot_free_locked(space, id);
	spin_unlock(&space->slot_lock);
}

/* Frees the pages of a range of a claimed slot. */
static void zap_slot(struct gsk_buf *buf, unsigned long addr, u32 nr)
{
	u32 i, full = 0;

	gsk_free_begin(buf->space, nr);
	/* Counting first; a range whose tables cannot even be made is empty. */
	if (gsk_peek(current->mm, addr, nr, buf->held))
		goto out;
	gsk_zap_range(buf->space->vma, addr, (unsigned long)nr << PAGE_SHIFT);
	for (i = 0; i < nr; i++) {
		if (!buf->held[i])
			continue;
		put_page(buf->held[i]);
		full++;
	}
out:
	gsk_free_end(buf->space, nr, full);
}

static void drop_each(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	u32 i;

	for (i = 0; i < n; i++) {
		struct gsk_move *m = &buf->moves[i];

		if (!m->live)
			continue;
		zap_slot(buf, slot_addr(space, m->in), m->in->nr);
		cond_resched();
	}
}

/* As in reclaim.c: bury the pages of all slots, at most @nr, one flush. */
static void drop_together(struct gsk_buf *buf, u32 n, u32 nr)
{
	struct gsk_space *space = buf->space;
	struct mm_struct *mm = current->mm;
	u32 i, nr_dead = 0;

	gsk_free_begin(space, nr);
	gsk_flush_begin(mm);
	for (i = 0; i < n; i++) {
		struct gsk_move *m = &buf->moves[i];

		if (!m->live)
			continue;
		nr_dead += gsk_reap(mm, slot_addr(space, m->in), m->in->nr,
				    buf->dead + nr_dead, buf->held + nr_dead);
	}
	buf->nr_dead = nr_dead;
	gsk_flush_dead(buf);
	gsk_free_end(space, nr, nr_dead);
}

int gsk_drop_bracket(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	u32 i, nr_pages = 0, nr_live = 0;
	int err;

	err = gsk_bracket_lock(buf);
	if (err)
		return err;
	spin_lock(&space->slot_lock);
	for (i = 0; i < n; i++) {
		struct greenstk_drop *e = &buf->dr[i];
		struct gsk_move *m = &buf->moves[i];

		m->live = false;
		e->result = e->pad ? -EINVAL : gsk_slot_claim_locked(space, e->handle, &m->id_in);
		if (e->result)
			continue;
		m->in = gsk_slot_by_id(space, m->id_in);
		if (nr_pages + m->in->nr > GSK_BRACKET_CELLS) {
			m->in->state = GSK_SLOT_PARKED;
			break;
		}
		nr_pages += m->in->nr;
		nr_live++;
		m->live = true;
	}
	n = i;
	spin_unlock(&space->slot_lock);

	if (nr_live > 1 && !gsk_must_insert(space) && !gsk_grave_tables(buf, nr_pages))
		drop_together(buf, n, nr_pages);
	else
		drop_each(buf, n);

	spin_lock(&space->slot_lock);
	for (i = 0; i < n; i++)
		if (buf->moves[i].live)
			gsk_slot_free_locked(space, buf->moves[i].id_in);
	spin_unlock(&space->slot_lock);
	gsk_bracket_unlock(buf);
	return n;
}

/* A range of a slot in pages; 0 or -EINVAL. */
static int slot_range(u64 offset, u64 bytes, u64 slot_pages, u32 *first, u32 *nr)
{
	if (!bytes || (offset | bytes) & ~PAGE_MASK || offset >> PAGE_SHIFT >= slot_pages ||
	    bytes >> PAGE_SHIFT > slot_pages - (offset >> PAGE_SHIFT))
		return -EINVAL;
	*first = offset >> PAGE_SHIFT;
	*nr = bytes >> PAGE_SHIFT;
	return 0;
}

/* The bitmap of cold pages, made at first use. */
static int cold_map(struct gsk_space *space)
{
	unsigned long pages = DIV_ROUND_UP(space->park_pages, BITS_PER_BYTE * PAGE_SIZE);
	unsigned long *map;

	if (READ_ONCE(space->cold))
		return 0;
	if (gsk_charge_tables(space, pages))
		return -EDQUOT;
	map = kvcalloc(BITS_TO_LONGS(space->park_pages), sizeof(long), GFP_KERNEL_ACCOUNT);
	if (map && !cmpxchg(&space->cold, NULL, map))
		return 0;
	kvfree(map);
	gsk_uncharge_tables(space, pages);
	return map ? 0 : -ENOMEM;
}

static int cold_one(struct gsk_buf *buf, struct greenstk_cold *e)
{
	struct gsk_space *space = buf->space;
	struct gsk_slot *slot;
	u32 id, first, nr;
	int err;

	if (e->pad)
		return -EINVAL;
	err = cold_map(space);
	if (err)
		return err;
	err = claim(space, e->handle, &id);
	if (err)
		return err;
	slot = gsk_slot_by_id(space, id);
	err = slot_range(e->offset, e->bytes, slot->nr, &first, &nr);
	if (!err) {
		zap_slot(buf, slot_addr(space, slot) + ((unsigned long)first << PAGE_SHIFT), nr);
		spin_lock(&space->slot_lock);
		bitmap_set(space->cold, slot->first + first, nr);
		slot->cold = 1;
		spin_unlock(&space->slot_lock);
	}
	unclaim(space, id);
	return err;
}

int gsk_cold_bracket(struct gsk_buf *buf, u32 n)
{
	u32 i;
	int err;

	err = gsk_bracket_lock(buf);
	if (err)
		return err;
	for (i = 0; i < n; i++) {
		if (i && fatal_signal_pending(current))
			break;
		buf->co[i].result = cold_one(buf, &buf->co[i]);
		cond_resched();
	}
	gsk_bracket_unlock(buf);
	return i;
}

/* Some page could not be made: what is cold must not be there, for it would be zeroes. */
static void unfill(struct gsk_buf *buf, struct gsk_slot *slot, u32 first, u32 nr)
{
	struct gsk_space *space = buf->space;
	u32 i;

	for (i = first; i < first + nr; i++)
		if (test_bit(slot->first + i, space->cold))
			zap_slot(buf, slot_addr(space, slot) + ((unsigned long)i << PAGE_SHIFT), 1);
}

/*
 * Makes holes of a claimed slot present and zero. On error the rest stay holes, and
 * what is cold stays so.
 */
static int fill(struct gsk_buf *buf, struct gsk_slot *slot, u32 first, u32 nr)
{
	struct gsk_space *space = buf->space;
	unsigned long addr = slot_addr(space, slot) + ((unsigned long)first << PAGE_SHIFT);
	struct page *page;
	int err = 0;
	u32 i;

	for (i = 0; i < nr && !err; i++, addr += PAGE_SIZE) {
		err = gsk_peek(current->mm, addr, 1, &page);
		if (err)
			break;
		if (page) {
			put_page(page);
			continue;
		}
		err = gsk_charge_pages(space, 1);
		if (err)
			break;
		page = alloc_page(GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT);
		err = page ? gsk_insert_page(space->vma, addr, page) : -ENOMEM;
		if (page)
			put_page(page);
		gsk_charge_end(space, 1, !err);
	}
	if (slot->cold && err) {
		unfill(buf, slot, first, i);
	} else if (slot->cold) {
		spin_lock(&space->slot_lock);
		bitmap_clear(space->cold, slot->first + first, nr);
		slot->cold = find_next_bit(space->cold, slot->first + slot->nr, slot->first) <
			     slot->first + slot->nr;
		spin_unlock(&space->slot_lock);
	}
	return err;
}

static int populate_new(struct gsk_buf *buf, struct greenstk_populate *e)
{
	u32 room = buf->space->shape.window_pages - buf->space->shape.guard_pages;
	struct gsk_space *space = buf->space;
	struct gsk_run run = {};
	struct gsk_slot *slot;
	u32 id, first, nr;
	int err;

	err = slot_range(e->offset, e->bytes, room, &first, &nr);
	if (err || first)
		return -EINVAL;
	err = gsk_slots_reserve(space, 1);
	if (err)
		return err;
	spin_lock(&space->slot_lock);
	err = gsk_slot_alloc_locked(space, &run, nr, &id);
	gsk_run_end_locked(space, &run);
	spin_unlock(&space->slot_lock);
	if (err)
		return err;	/* EAGAIN: another thread took it, the caller may come again */
	slot = gsk_slot_by_id(space, id);
	err = gsk_slot_tables(space, slot);
	if (!err)
		err = fill(buf, slot, 0, nr);
	if (err) {
		zap_slot(buf, slot_addr(space, slot), nr);
		free_slot(space, id);
		return err;
	}
	e->handle = gsk_handle(id, slot);
	e->slot_offset = (u64)(space->park_pgoff + slot->first) << PAGE_SHIFT;
	unclaim(space, id);
	return 0;
}

static int populate_old(struct gsk_buf *buf, struct greenstk_populate *e)
{
	struct gsk_space *space = buf->space;
	struct gsk_slot *slot;
	u32 id, first, nr;
	int err;

	err = claim(space, e->handle, &id);
	if (err)
		return err;
	slot = gsk_slot_by_id(space, id);
	err = slot_range(e->offset, e->bytes, slot->nr, &first, &nr);
	if (!err)
		err = fill(buf, slot, first, nr);
	e->slot_offset = (u64)(space->park_pgoff + slot->first) << PAGE_SHIFT;
	unclaim(space, id);
	return err;
}

int gsk_populate_bracket(struct gsk_buf *buf, u32 n)
{
	u32 i;
	int err;

	err = gsk_bracket_lock(buf);
	if (err)
		return err;
	for (i = 0; i < n; i++) {
		struct greenstk_populate *e = &buf->po[i];

		if (i && fatal_signal_pending(current))
			break;
		if (e->pad)
			e->result = -EINVAL;
		else if (e->handle)
			e->result = populate_old(buf, e);
		else
			e->result = populate_new(buf, e);
		cond_resched();
	}
	gsk_bracket_unlock(buf);
	return i;
}
