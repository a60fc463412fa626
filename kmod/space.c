// SPDX-License-Identifier: GPL-2.0
#include <linux/fs_context.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "account.h"
#include "batch.h"
#include "compat/compat.h"
#include "fork.h"
#include "lazy.h"
#include "params.h"
#include "slot.h"
#include "space.h"
#include "stats.h"
#include "window.h"

/*
 * A pseudo file system, so that every open file has an inode, and with it an
 * address_space, of its own: unmap_mapping_range() must not meet other objects.
 * Pinned only while a space exists, so that the module can be removed.
 */
static struct vfsmount *space_mnt;
static int space_mnt_count;
static struct workqueue_struct *free_wq;

static int space_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, 0x67736b31) ? 0 : -ENOMEM;
}

static struct file_system_type space_fs = {
	.name = "greenstk",
	.owner = THIS_MODULE,
	.init_fs_context = space_fs_init,
	.kill_sb = kill_anon_super,
};

static struct inode *inode_create(void)
{
	struct inode *inode;
	int err;

	err = simple_pin_fs(&space_fs, &space_mnt, &space_mnt_count);
	if (err)
		return ERR_PTR(err);
	inode = alloc_anon_inode(space_mnt->mnt_sb);
	if (IS_ERR(inode))
		simple_release_fs(&space_mnt, &space_mnt_count);
	return inode;
}

static void inode_destroy(struct inode *inode)
{
	iput(inode);
	simple_release_fs(&space_mnt, &space_mnt_count);
}

static struct gsk_space *space_alloc(void)
{
	struct gsk_space *space = kzalloc(sizeof(*space), GFP_KERNEL_ACCOUNT);
	int i;

	if (!space)
		return NULL;
	kref_init(&space->ref);
	mutex_init(&space->lock);
	spin_lock_init(&space->slot_lock);
	init_waitqueue_head(&space->buf_wait);
	for (i = 0; i < GSK_NR_WAITS; i++)
		init_waitqueue_head(&space->waits[i]);
	space->owner = task_tgid_nr(current);
	INIT_LIST_HEAD(&space->node);
	return space;
}

/* For a file just opened. Return: a space, or an error pointer. */
struct gsk_space *gsk_space_create(void)
{
	struct gsk_space *space = space_alloc();
	struct inode *inode;

	if (!space)
		return ERR_PTR(-ENOMEM);
	space->user = gsk_user_get();
	if (!space->user) {
		kfree(space);
		return ERR_PTR(-ENOMEM);
	}
	inode = inode_create();
	if (IS_ERR(inode)) {
		gsk_user_put(space->user);
		kfree(space);
		return ERR_CAST(inode);
	}
	space->inode = inode;
	gsk_stats_add(space);
	return space;
}

/* For the VMA that a fork copied; the file stays the parent's. NULL without memory. */
struct gsk_space *gsk_space_create_child(struct gsk_space *parent, struct mm_struct *mm)
{
	struct gsk_space *space = space_alloc();

	if (!space)
		return NULL;
	space->state = GSK_DEAD;
	space->mm = mm;
	mmgrab(mm);
	space->user = parent->user;
	gsk_user_ref(space->user);
	space->shape = parent->shape;
	space->nr_windows = parent->nr_windows;
	space->windows_end = parent->windows_end;
	space->nr_vmas = 1;
	gsk_stats_add(space);
	return space;
}

static void space_destroy(struct gsk_space *space)
{
	u32 i;

	gsk_stats_del(space);
	for (i = 0; space->windows && i < space->nr_windows; i++)
		gsk_lazy_free(space->windows[i].lazy);
	gsk_heirloom_free(space->heirloom);
	gsk_bufs_fini(space);
	gsk_slots_fini(space);
	for (i = 0; space->words && i < space->nr_words_pages; i++)
		if (space->words[i])
			put_page(space->words[i]);
	kvfree(space->words);
	kvfree(space->windows);
	kvfree(space->cold);
	gsk_uncharge_all(space);
	gsk_uncharge_tables(space, atomic_long_read(&space->nr_table_pages));
	if (space->inode)
		inode_destroy(space->inode);
	if (space->mm)
		mmdrop(space->mm);
	gsk_user_put(space->user);
	mutex_destroy(&space->lock);
	kfree(space);
}

static void space_free(struct kref *ref)
{
	space_destroy(container_of(ref, struct gsk_space, ref));
}

static void free_work(struct work_struct *work)
{
	space_destroy(container_of(work, struct gsk_space, free_work));
}

static void space_free_later(struct kref *ref)
{
	struct gsk_space *space = container_of(ref, struct gsk_space, ref);

	INIT_WORK(&space->free_work, free_work);
	queue_work(free_wq, &space->free_work);
}

void gsk_space_get(struct gsk_space *space)
{
	kref_get(&space->ref);
}

void gsk_space_put(struct gsk_space *space)
{
	kref_put(&space->ref, space_free);
}

/* From reclaim, where locks may be held that freeing takes. */
void gsk_space_put_later(struct gsk_space *space)
{
	kref_put(&space->ref, space_free_later);
}

static int words_alloc(struct gsk_space *space)
{
	u32 i;

	space->words = kvcalloc(space->nr_words_pages, sizeof(*space->words), GFP_KERNEL_ACCOUNT);
	if (!space->words)
		return -ENOMEM;
	for (i = 0; i < space->nr_words_pages; i++) {
		space->words[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!space->words[i])
			return -ENOMEM;
	}
	return 0;
}

static unsigned long table_pages(struct gsk_space *space)
{
	unsigned long slot_tables = DIV_ROUND_UP(space->park_pages, GSK_SLOTS_PER_TABLE);

	return DIV_ROUND_UP(space->nr_windows * sizeof(struct gsk_window) +
			    DIV_ROUND_UP(space->park_pages, GSK_CHUNK_PAGES) *
			    sizeof(struct gsk_chunk) + slot_tables * sizeof(void *), PAGE_SIZE) +
	       space->nr_words_pages;
}

/* Give back what a failed SETUP got, so that it can be tried again. */
static void unshape(struct gsk_space *space)
{
	u32 i;

	gsk_slots_fini(space);
	for (i = 0; space->words && i < space->nr_words_pages; i++)
		if (space->words[i])
			put_page(space->words[i]);
	kvfree(space->words);
	kvfree(space->windows);
	space->words = NULL;
	space->windows = NULL;
}

/**
 * gsk_space_setup() - SETUP
 * @space: state GSK_NEW
 * @s: from user space, sizes and flags checked; offsets are filled in
 *
 * Return: 0, -EBUSY when done before, -EINVAL, -ENOMEM, -EDQUOT.
 */
int gsk_space_setup(struct gsk_space *space, struct greenstk_setup *s)
{
	unsigned long tables;
	int err;

	mutex_lock(&space->lock);
	err = -EBUSY;
	if (space->state != GSK_NEW)
		goto unlock;
	err = gsk_plan_setup(s->window_bytes, s->guard_bytes, s->park_bytes, s->nr_windows,
			     PAGE_SHIFT, READ_ONCE(gsk_max_windows),
			     gsk_max_park_bytes(), &space->shape);
	if (err)
		goto unlock;
	space->nr_windows = s->nr_windows;
	space->nr_words_pages = DIV_ROUND_UP(s->nr_windows * sizeof(u32), PAGE_SIZE);
	space->windows_end = (unsigned long)s->nr_windows * space->shape.window_pages;
	space->words_pgoff = space->windows_end + 1;
	/*
	 * Parking begins at a page table of its own when the mapping is aligned. The
	 * page before it, and the page before the graves, pin tables.
	 */
	space->park_pgoff = round_up(space->words_pgoff + space->nr_words_pages + 1, PTRS_PER_PTE);
	space->park_pages = s->park_bytes >> PAGE_SHIFT;
	space->grave_pgoff = round_up(space->park_pgoff + space->park_pages, PTRS_PER_PTE);
	space->nr_bufs = min_t(unsigned int, num_possible_cpus(), GSK_MAX_BUFS);
	/* The last page is never mapped: its zap is the flush. */
	space->map_pages = space->grave_pgoff + space->nr_bufs * GSK_GRAVE_PAGES + 1;

	tables = table_pages(space);
	err = gsk_charge_tables(space, tables);
	if (err)
		goto unlock;
	err = -ENOMEM;
	space->windows = kvcalloc(space->nr_windows, sizeof(*space->windows), GFP_KERNEL_ACCOUNT);
	if (!space->windows || words_alloc(space) || gsk_slots_init(space)) {
		unshape(space);
		gsk_uncharge_tables(space, tables);
		goto unlock;
	}
	s->windows_offset = 0;
	s->words_offset = (u64)space->words_pgoff << PAGE_SHIFT;
	s->park_offset = (u64)space->park_pgoff << PAGE_SHIFT;
	s->map_bytes = (u64)space->map_pages << PAGE_SHIFT;
	s->grave_offset = s->map_bytes;
	s->grave_bytes = (u64)gsk_grave_vma_pages(space) << PAGE_SHIFT;
	space->mm = current->mm;
	mmgrab(space->mm);
	/* Pairs with the acquire in the ioctls: the shape is complete. */
	smp_store_release(&space->state, GSK_SHAPED);
	err = 0;
unlock:
	mutex_unlock(&space->lock);
	return err;
}

/* The last VMA is gone, and its pages with it. mmap_lock is held, perhaps for reading only. */
void gsk_space_died(struct gsk_space *space)
{
	space->state = GSK_DEAD;
	space->vma = NULL;
	WRITE_ONCE(space->map_addr, 0);
	gsk_uncharge_all(space);
}

int gsk_space_init(void)
{
	free_wq = alloc_workqueue("greenstk", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	return free_wq ? 0 : -ENOMEM;
}

void gsk_space_exit(void)
{
	destroy_workqueue(free_wq);	/* waits for the last space */
}
