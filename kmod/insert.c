// SPDX-License-Identifier: GPL-2.0
/*
 * SWITCH where PTEs may not be moved behind the mm's back: secondary MMUs (KVM,
 * SVA, ODP) hear of a zap, but not of a moved PTE. A page is first inserted at
 * its new address, with a count of its own, then zapped at the old one: so each
 * step can fail without losing a page. Costs a flush per range.
 */
#include <linux/mmu_notifier.h>

#include "account.h"
#include "batch.h"
#include "compat/compat.h"
#include "insert.h"
#include "slot.h"
#include "window.h"

uint gsk_move_path;

/* mmap_lock is held, so no notifier can register until it is dropped. */
bool gsk_must_insert(struct gsk_space *space)
{
	return READ_ONCE(gsk_move_path) == GSK_PATH_INSERT || mm_has_notifiers(space->mm);
}

/* vm_insert_page() over a marker that userfaultfd may have left. -EBUSY: a page is there. */
int gsk_insert_page(struct vm_area_struct *vma, unsigned long addr, struct page *page)
{
	int err = vm_insert_page(vma, addr, page);

	if (likely(err != -EBUSY))
		return err;
	err = gsk_clear_marker(vma->vm_mm, addr);
	if (err > 0)
		return -EBUSY;
	return err ? err : vm_insert_page(vma, addr, page);
}

/* Inserts what is not NULL; stops at the first error. Return: pages done or tried. */
static u32 insert_range(struct vm_area_struct *vma, unsigned long addr, struct page **pages,
			u32 nr, int *err)
{
	u32 i;

	*err = 0;
	for (i = 0; i < nr; i++) {
		if (!pages[i])
			continue;
		*err = gsk_insert_page(vma, addr + ((unsigned long)i << PAGE_SHIFT), pages[i]);
		if (*err)
			break;
	}
	return i;
}

static void zap(struct vm_area_struct *vma, unsigned long addr, u32 nr)
{
	if (nr)
		gsk_zap_range(vma, addr, (unsigned long)nr << PAGE_SHIFT);
}

static u32 put_pages(struct page **pages, u32 nr)
{
	u32 i, full = 0;

	for (i = 0; i < nr; i++) {
		if (!pages[i])
			continue;
		put_page(pages[i]);
		full++;
	}
	return full;
}

static int leave(struct gsk_buf *buf, struct gsk_move *m, unsigned long base)
{
	struct gsk_space *space = buf->space;
	struct vm_area_struct *vma = space->vma;
	u32 nr_range = m->plan.nr_range, nr_out = m->plan.nr_out, k;
	u32 nr_old = m->old ? m->old->nr : 0;
	struct page **win = buf->held, **old = buf->held + nr_range;
	unsigned long from = base - ((unsigned long)nr_range << PAGE_SHIFT);
	unsigned long old_at = 0, out_at = 0;
	int err = 0;

	if (nr_range)
		err = gsk_peek(vma->vm_mm, from, nr_range, win);
	if (err)
		return err;
	if (m->old) {
		old_at = gsk_addr(space, space->park_pgoff + m->old->first);
		err = gsk_peek(vma->vm_mm, old_at, nr_old, old);
		if (err)
			nr_old = 0;
	}
	for (k = 1; k <= nr_old && k <= nr_out; k++) {
		if (old[nr_old - k] && !win[nr_range - k])
			swap(old[nr_old - k], win[nr_range - k]);
	}
	if (!err && nr_out) {
		out_at = gsk_addr(space, space->park_pgoff + m->out->first);
		insert_range(vma, out_at, win + nr_range - nr_out, nr_out, &err);
		if (err)
			zap(vma, out_at, nr_out);
		else
			gsk_mark_moved(vma->vm_mm, out_at, nr_out);
	}
	if (!err) {
		zap(vma, from, nr_range);
		zap(vma, old_at, nr_old);
	}
	put_pages(win + nr_range - nr_out, nr_out);
	k = put_pages(win, nr_range - nr_out) + put_pages(old, nr_old);
	if (!err)
		buf->nr_dead += k;
	return err;
}

/* What cannot be inserted now stays in the slot, and comes on touch. */
static void enter(struct gsk_buf *buf, struct gsk_move *m, unsigned long base)
{
	struct gsk_space *space = buf->space;
	struct vm_area_struct *vma = space->vma;
	unsigned long in_at = gsk_addr(space, space->park_pgoff + m->in->first);
	unsigned long to = base - ((unsigned long)m->plan.nr_in << PAGE_SHIFT);
	u32 nr = m->plan.nr_eager;
	int err;

	if (!nr)
		return;
	if (gsk_peek(vma->vm_mm, in_at, nr, buf->held)) {
		m->plan.nr_eager = 0;
		return;
	}
	m->plan.nr_eager = insert_range(vma, to, buf->held, nr, &err);
	if (m->plan.nr_eager)
		gsk_mark_moved(vma->vm_mm, to, m->plan.nr_eager);
	zap(vma, in_at, m->plan.nr_eager);
	put_pages(buf->held, nr);
}

/* The entries that are live; one that fails for want of memory is undone. */
void gsk_switch_insert(struct gsk_buf *buf, u32 n)
{
	struct gsk_space *space = buf->space;
	unsigned long base;
	u32 i;

	for (i = 0; i < n; i++) {
		struct gsk_move *m = &buf->moves[i];

		if (!m->live)
			continue;
		base = gsk_addr(space, gsk_window_base(space, buf->sw[i].window));
		buf->sw[i].result = leave(buf, m, base);
		if (buf->sw[i].result) {
			spin_lock(&space->slot_lock);
			if (m->in)
				m->in->state = GSK_SLOT_PARKED;
			if (m->out)
				gsk_slot_free_locked(space, m->id_out);
			spin_unlock(&space->slot_lock);
			m->live = false;
		} else if (m->in) {
			enter(buf, m, base);
		}
		cond_resched();
	}
	gsk_count(space, GSK_N_fallback_batches, 1);
}
