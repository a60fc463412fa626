// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "account.h"
#include "batch.h"
#include "compat/compat.h"

/**
 * gsk_buf_get() - a bracket's memory and grave range, to be owned
 * @space: whose
 *
 * Waits while all of them are in use. Context: no lock held.
 * Return: a buffer or -EINTR, -ENOMEM (no memory or over a cap).
 */
struct gsk_buf *gsk_buf_get(struct gsk_space *space)
{
	unsigned long pages = DIV_ROUND_UP(sizeof(struct gsk_buf), PAGE_SIZE);
	struct gsk_buf *buf;
	unsigned int i;

again:
	for (i = 0; i < space->nr_bufs; i++)
		if (!test_bit(i, &space->bufs_busy) && !test_and_set_bit_lock(i, &space->bufs_busy))
			break;
	if (i == space->nr_bufs) {
		if (wait_event_killable(space->buf_wait,
					hweight_long(READ_ONCE(space->bufs_busy)) < space->nr_bufs))
			return ERR_PTR(-EINTR);
		goto again;
	}
	buf = space->bufs[i];
	if (buf)
		return buf;
	buf = ERR_PTR(-ENOMEM);
	if (gsk_charge_tables(space, pages))
		goto fail;
	buf = kvmalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf) {
		gsk_uncharge_tables(space, pages);
		buf = ERR_PTR(-ENOMEM);
		goto fail;
	}
	buf->space = space;
	buf->index = i;
	buf->grave_pgoff = space->grave_pgoff + i * GSK_GRAVE_PAGES;
	buf->nr_tables = 0;
	space->bufs[i] = buf;
	return buf;

fail:
	clear_bit_unlock(i, &space->bufs_busy);
	wake_up(&space->buf_wait);
	return buf;
}

void gsk_buf_put(struct gsk_buf *buf)
{
	struct gsk_space *space = buf->space;

	clear_bit_unlock(buf->index, &space->bufs_busy);
	/* Pairs with the barrier of prepare_to_wait. */
	smp_mb__after_atomic();
	/* No waiter, no lock. */
	if (waitqueue_active(&space->buf_wait))
		wake_up(&space->buf_wait);
}

void gsk_bufs_fini(struct gsk_space *space)
{
	unsigned int i;

	for (i = 0; i < GSK_MAX_BUFS; i++)
		kvfree(space->bufs[i]);
}

/**
 * gsk_grave_tables() - page tables for graves
 * @buf: locked
 * @nr: pages that may be buried, at most GSK_BRACKET_CELLS
 *
 * Return: 0 or -ENOMEM.
 */
int gsk_grave_tables(struct gsk_buf *buf, u32 nr)
{
	u32 seq = buf->grave ? buf->space->grave_seq : 0;
	unsigned long pin;
	int err;

	if (buf->tables_seq != seq)
		buf->nr_tables = 0;
	buf->tables_seq = seq;
	for (; buf->nr_tables * GSK_CHUNK_USABLE < nr; buf->nr_tables++) {
		pin = gsk_grave_addr(buf) - PAGE_SIZE +
		      (buf->nr_tables * GSK_CHUNK_PAGES << PAGE_SHIFT);
		err = gsk_tables_keep(current->mm, pin, pin + (GSK_CHUNK_PAGES << PAGE_SHIFT));
		if (err)
			return err;
	}
	return 0;
}

/* The number that tells of it wraps: not within this time. */
#define FLUSHED_JIFFIES	(10 * HZ)

/*
 * Whether the whole mm was flushed after the VMA was last locked for writing. While a
 * bracket is open it is not: so brackets that note a flush at the same time note the same.
 */
bool gsk_flushed_since_written(struct gsk_space *space)
{
	u32 seq;

	return gsk_vma_writes(space->vma, &seq) && READ_ONCE(space->flushed_at) &&
	       READ_ONCE(space->flushed_seq) == seq &&
	       time_before(jiffies, READ_ONCE(space->flushed_at) + FLUSHED_JIFFIES);
}

static void note_flush(struct gsk_space *space, struct vm_area_struct *vma)
{
	u32 seq;

	if (!gsk_vma_writes(vma, &seq))
		return;
	WRITE_ONCE(space->flushed_seq, seq);
	WRITE_ONCE(space->flushed_at, jiffies | 1);
}

/* Ends a bracket: buries the dead, flushes, and gives back what was held. */
void gsk_flush_all(struct gsk_buf *buf)
{
	unsigned long grave = gsk_grave_addr(buf);
	struct vm_area_struct *vma = buf->space->vma;

	if (buf->nr_dead)
		gsk_bury(current->mm, grave, buf->nr_dead, buf->dead);
#ifdef GSK_MUTATE_EARLY_PUT
	while (buf->nr_held)
		put_page(buf->held[--buf->nr_held]);
#endif
	gsk_flush_end(buf->space, buf->nr_dead && buf->grave ? buf->grave : vma, grave,
		      buf->nr_dead);
	note_flush(buf->space, vma);
	while (buf->nr_held)
		put_page(buf->held[--buf->nr_held]);
}

/* Ends a bracket that took the dead only, and holds them. */
void gsk_flush_dead(struct gsk_buf *buf)
{
	buf->nr_held = buf->nr_dead;
	if (buf->nr_dead)
		gsk_flush_all(buf);
	else
		gsk_flush_none(current->mm);
}
