/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A space: one open file, its windows and its parking range.
 *
 * Lock order:
 *   mmap_lock for reading, or the VMA locks (a fault; a bracket where the
 *   kernel lends them, vma.c)
 *     -> window lock (window.h: waited for only while holding no other one)
 *       -> space->slot_lock (spin)
 *       -> page table lock (in move.c)
 *
 * User memory is touched with none of them held: it may lie in a window.
 */
#ifndef GSK_SPACE_H
#define GSK_SPACE_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/greenstk.h>

#include "plan.h"

struct gsk_user;
struct gsk_window;
struct gsk_slot;
struct gsk_chunk;

enum gsk_state {
	GSK_NEW,	/* opened */
	GSK_SHAPED,	/* SETUP done */
	GSK_MAPPED,	/* mapped: the only state that moves pages */
	GSK_DEAD,	/* unmapped, or the child of a fork */
};

#define GSK_NR_WAITS	16
#define GSK_MAX_BUFS	8

/* Event counters; the names are those of struct greenstk_stat. */
#define GSK_COUNTERS(X)							\
	X(switches) X(batches) X(pages_parked) X(pages_resumed)		\
	X(flushes) X(fallback_batches) X(faults_zero) X(faults_lazy)	\
	X(faults_guard) X(faults_pager) X(faults_bus)			\
	X(reclaimed_now) X(reclaimed_lazy) X(lock_waits) X(vma_locks)	\
	X(range_flushes)

enum gsk_counter {
#define X(name) GSK_N_##name,
	GSK_COUNTERS(X)
#undef X
	GSK_NR_COUNTERS
};

/* The stack that a fork gave to a child: pages until they are touched. */
struct gsk_heirloom {
	unsigned long start;	/* page offset in the object */
	unsigned long nr;
	unsigned long window;	/* the only window that works in the child */
	struct page **pages;	/* NULL: a hole, reads as zero */
};

struct gsk_space {
	struct kref ref;
	struct mutex lock;		/* SETUP, mmap, PAGER */
	enum gsk_state state;
	struct mm_struct *mm;		/* compared, never used without its lock */
	struct gsk_user *user;
	struct inode *inode;		/* own address_space, for i_mmap */

	struct gsk_shape shape;
	u32 nr_windows;
	u32 nr_words_pages;
	unsigned long windows_end;	/* pages of all windows; this page pins a table */
	unsigned long words_pgoff;
	unsigned long park_pgoff;
	unsigned long park_pages;
	unsigned long grave_pgoff;
	unsigned long map_pages;	/* the second mapping begins here */

	/* Good as long as the VMA is in the mm's tree, and that is locked: see vma.c. */
	struct vm_area_struct *vma;
	struct vm_area_struct *grave;	/* the second mapping, or NULL */
	unsigned int nr_vmas;
	u32 grave_seq;			/* counts second mappings */
	unsigned long map_addr;		/* of the two, to find their VMAs by; 0: none */
	unsigned long grave_addr;

	u32 flushed_seq;		/* of the VMA's write locks, when the mm was flushed last */
	unsigned long flushed_at;	/* jiffies of that, 0: never */

	struct gsk_window *windows;
	struct page **words;
	wait_queue_head_t waits[GSK_NR_WAITS];

	spinlock_t slot_lock;		/* slots, chunks, cold */
	struct gsk_chunk *chunks;
	unsigned long nr_chunks;
	unsigned long chunk_cursor;
	unsigned long chunk_fresh;	/* chunks from here on were never used */
	unsigned long park_free;
	struct gsk_slot **slots;	/* tables of GSK_SLOTS_PER_TABLE */
	u32 nr_slots;			/* that have a table */
	u32 max_slots;
	u32 free_slot;			/* list through ->first, id + 1 */
	u32 nr_free_slots;
	u32 nr_handles;

	struct gsk_buf *bufs[GSK_MAX_BUFS];
	unsigned long bufs_busy;	/* bit per buffer */
	unsigned int nr_bufs;
	wait_queue_head_t buf_wait;

	unsigned long *cold;		/* bit per parking page; NULL until COLD */
	unsigned long pager_addr;

	struct gsk_heirloom *heirloom;

	atomic_long_t nr_pages;		/* charged; an upper bound */
	atomic_long_t nr_pending;	/* of these, not mapped yet, or about to be unmapped */
	atomic_long_t nr_table_pages;
	atomic_long_t counters[GSK_NR_COUNTERS];
	struct list_head node;		/* of debugfs */
	struct work_struct free_work;
	pid_t owner;
};

static inline void gsk_count(struct gsk_space *space, enum gsk_counter which, long n)
{
	atomic_long_add(n, &space->counters[which]);
}

/* Address of an object offset; mmap_lock or the VMA lock held, and mapped. */
static inline unsigned long gsk_addr(const struct gsk_space *space, unsigned long pgoff)
{
	return space->vma->vm_start + (pgoff << PAGE_SHIFT);
}

/* One past the highest page of a window. */
static inline unsigned long gsk_window_base(const struct gsk_space *space, u32 window)
{
	return (unsigned long)(window + 1) * space->shape.window_pages;
}

struct gsk_space *gsk_space_create(void);
struct gsk_space *gsk_space_create_child(struct gsk_space *parent, struct mm_struct *mm);
void gsk_space_get(struct gsk_space *space);
void gsk_space_put(struct gsk_space *space);
void gsk_space_put_later(struct gsk_space *space);
int gsk_space_setup(struct gsk_space *space, struct greenstk_setup *setup);
void gsk_space_died(struct gsk_space *space);

int gsk_space_init(void);
void gsk_space_exit(void);

#endif
