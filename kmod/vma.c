// SPDX-License-Identifier: GPL-2.0
/*
 * The one VMA of a space. What others may do to it is decided here:
 * splitting (a part unmapped, protected, locked, advised), mprotect, mremap and
 * a second mapping are refused; munmap of the whole ends the space.
 */
#include <linux/sched.h>

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

	if (space->grave == vma)
		space->grave = NULL;
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

	if (vma_pages(vma) != space->nr_bufs * GSK_BRACKET_CELLS ||
	    (vma->vm_flags & (VM_SHARED | VM_EXEC)) != VM_SHARED)
		return -EINVAL;
	gsk_vma_set_flags(vma, VM_DONTEXPAND | VM_DONTCOPY | VM_DONTDUMP);
	mutex_lock(&space->lock);
	if (space->state == GSK_MAPPED && !space->grave) {
		gsk_space_get(space);
		space->grave = vma;
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
