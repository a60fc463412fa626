// SPDX-License-Identifier: GPL-2.0
/*
 * The one VMA of a space. What others may do to it is decided here:
 * splitting (a part unmapped, protected, locked, advised), mprotect, mremap and
 * a second mapping are refused; munmap of the whole ends the space.
 */
#include <linux/sched.h>
#include <linux/userfaultfd_k.h>

#include "batch.h"
#include "compat/compat.h"
#include "fault.h"
#include "fork.h"
#include "space.h"
#include "vma.h"

/* A second VMA of the same mm is a mremap on its way to being refused. */
static void gsk_open(struct vm_area_struct *vma)
{
	struct gsk_space *space = vma->vm_private_data;

	if (!space)
		return;
	if (vma->vm_mm != space->mm) {
		gsk_fork(vma, space);
		return;
	}
	space->nr_vmas++;
	gsk_space_get(space);
}

static void gsk_close(struct vm_area_struct *vma)
{
	struct gsk_space *space = vma->vm_private_data;

	if (!space)
		return;
	if (!--space->nr_vmas)
		gsk_space_died(space);
	gsk_space_put(space);
}

static int gsk_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	return -EINVAL;
}

static int gsk_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

static int gsk_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			unsigned long flags)
{
	return flags == vma->vm_flags ? 0 : -EACCES;
}

/* Having one lets 6.12 and 7.2 call ->fault under the VMA lock. */
static vm_fault_t gsk_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	return 0;
}

/* Having one includes the mapping in core dumps. */
static const char *gsk_name(struct vm_area_struct *vma)
{
	return "[greenstk]";
}

static const struct vm_operations_struct gsk_vm_ops = {
	.open = gsk_open,
	.close = gsk_close,
	.may_split = gsk_may_split,
	.mremap = gsk_mremap,
	.mprotect = gsk_mprotect,
	.fault = gsk_fault,
	.map_pages = gsk_map_pages,
	.name = gsk_name,
};

static void gsk_grave_close(struct vm_area_struct *vma)
{
	struct gsk_space *space = vma->vm_private_data;

	if (space->grave == vma) {
		space->grave = NULL;
		WRITE_ONCE(space->grave_addr, 0);
	}
	gsk_space_put(space);
}

/* A mremap under way, to be refused: it must not drop what it never took. */
static void gsk_grave_open(struct vm_area_struct *vma)
{
	gsk_space_get(vma->vm_private_data);
}

static vm_fault_t gsk_grave_fault(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct gsk_grave_ops = {
	.open = gsk_grave_open,
	.close = gsk_grave_close,
	.may_split = gsk_may_split,
	.mremap = gsk_mremap,
	.mprotect = gsk_mprotect,
	.fault = gsk_grave_fault,
};

/*
 * The second mapping, for the graves. Not VM_MIXEDMAP, because a zap of such a
 * VMA flushes at its end (tlb_end_vma()), and the batch's flush follows.
 */
static int grave_mmap(struct gsk_space *space, struct vm_area_struct *vma)
{
	int err = -EBUSY;

	if (vma_pages(vma) != gsk_grave_vma_pages(space) ||
	    (vma->vm_flags & (VM_SHARED | VM_EXEC)) != VM_SHARED)
		return -EINVAL;
	gsk_vma_set_flags(vma, VM_DONTEXPAND | VM_DONTCOPY | VM_DONTDUMP);
	mutex_lock(&space->lock);
	if (space->state == GSK_MAPPED && !space->grave) {
		gsk_space_get(space);
		space->grave = vma;
		space->grave_seq++;
		WRITE_ONCE(space->grave_addr, vma->vm_start);
		vma->vm_private_data = space;
		vma->vm_ops = &gsk_grave_ops;
		err = 0;
	}
	mutex_unlock(&space->lock);
	return err;
}

/* mmap(2) of the whole object, once, by the mm that did SETUP. */
int gsk_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gsk_space *space = file->private_data;
	unsigned long access = VM_READ | VM_WRITE | VM_EXEC | VM_SHARED;
	int err = 0;

	/* Pairs with the release in gsk_space_setup(). */
	if (smp_load_acquire(&space->state) == GSK_NEW)
		return -ENXIO;
	if (space->mm != current->mm)
		return -EPERM;
	if (vma->vm_pgoff == space->map_pages)
		return grave_mmap(space, vma);
	if (vma->vm_pgoff || vma_pages(vma) != space->map_pages ||
	    (vma->vm_flags & access) != (VM_READ | VM_WRITE | VM_SHARED))
		return -EINVAL;
	/*
	 * MIXEDMAP: real pages without a mapping. DONTEXPAND also blocks the
	 * mremap with old size 0 that would map pages twice. Flags first, for
	 * setting them write-locks the VMA.
	 */
	gsk_vma_set_flags(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_WIPEONFORK);
	gsk_vma_clear_flags(vma, VM_MAYEXEC);
	mutex_lock(&space->lock);
	if (space->state == GSK_SHAPED) {
		gsk_space_get(space);
		space->vma = vma;
		WRITE_ONCE(space->map_addr, vma->vm_start);
		space->nr_vmas = 1;
		vma->vm_private_data = space;
		vma->vm_ops = &gsk_vm_ops;
		space->state = GSK_MAPPED;
	} else {
		err = -EBUSY;
	}
	mutex_unlock(&space->lock);
	return err;
}

/*
 * One of the two VMAs, if it is mapped; mmap_lock is held. munmap() takes a VMA out
 * of the tree, goes on under mmap_lock for reading to free its page tables, and calls
 * ->close last. So only the tree knows: state and pointers of the space may be old.
 */
static struct vm_area_struct *find_ours(struct gsk_space *space, unsigned long addr,
					const struct vm_operations_struct *ops)
{
	struct vm_area_struct *vma = addr ? find_vma(space->mm, addr) : NULL;

	return vma && vma->vm_ops == ops && vma->vm_private_data == space ? vma : NULL;
}

/* mmap_lock is held. Return: whether pages may be moved until it is dropped. */
bool gsk_is_mapped(struct gsk_space *space)
{
	return find_ours(space, READ_ONCE(space->map_addr), &gsk_vm_ops);
}

/* Finds one of the two VMAs and locks it alone. */
static struct vm_area_struct *lock_vma(struct gsk_space *space, unsigned long addr,
				       const struct vm_operations_struct *ops)
{
	struct vm_area_struct *vma = addr ? gsk_vma_start_read(current->mm, addr) : NULL;

	if (vma && (vma->vm_ops != ops || vma->vm_private_data != space)) {
		gsk_vma_end_read(vma);
		vma = NULL;
	}
	return vma;
}

/*
 * Page faults, switches of other windows and mmap() elsewhere go on. What a
 * bracket relies on changes only under the write lock of these VMAs: that they
 * are mapped, userfaultfd, and whether the mm has notifiers (mm_take_all_locks).
 * Both locks are tried, never waited for.
 */
static bool lock_vmas(struct gsk_buf *buf)
{
	unsigned long grave_addr = READ_ONCE(buf->space->grave_addr);
	struct gsk_space *space = buf->space;

	buf->vma = lock_vma(space, READ_ONCE(space->map_addr), &gsk_vm_ops);
	if (!buf->vma)
		return false;
	buf->grave = lock_vma(space, grave_addr, &gsk_grave_ops);
	if (buf->vma == space->vma && space->state == GSK_MAPPED && (buf->grave || !grave_addr) &&
	    !userfaultfd_armed(buf->vma)) {
		gsk_count(space, GSK_N_vma_locks, 1);
		return true;
	}
	if (buf->grave)
		gsk_vma_end_read(buf->grave);
	gsk_vma_end_read(buf->vma);
	return false;
}

/**
 * gsk_bracket_lock() - lock the mm so that pages may be moved
 * @buf: of a space of current->mm
 *
 * Locks the VMAs alone where the kernel lends that to modules (7.2), else
 * mmap_lock for reading.
 *
 * Return: 0, -EINTR, -ENXIO when it is not mapped (any more), -EBUSY when
 * userfaultfd watches the mapping.
 */
int gsk_bracket_lock(struct gsk_buf *buf)
{
	struct gsk_space *space = buf->space;
	int err = 0;

	if (lock_vmas(buf))
		return 0;
	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	buf->vma = NULL;
	buf->grave = find_ours(space, READ_ONCE(space->grave_addr), &gsk_grave_ops);
	if (!gsk_is_mapped(space))
		err = -ENXIO;
	else if (userfaultfd_armed(space->vma))
		err = -EBUSY;
	if (err)
		mmap_read_unlock(current->mm);
	return err;
}

void gsk_bracket_unlock(struct gsk_buf *buf)
{
	if (!buf->vma) {
		mmap_read_unlock(current->mm);
		return;
	}
	if (buf->grave)
		gsk_vma_end_read(buf->grave);
	gsk_vma_end_read(buf->vma);
}
