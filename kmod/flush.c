// SPDX-License-Identifier: GPL-2.0
/*
 * The flush. No function that flushes a TLB is exported, so the batch uses the
 * one that every kernel gives to modules: a zap. A zap that ends while another
 * batch of PTE changes is pending on the mm (mm_tlb_flush_nested()) flushes the
 * whole mm, once, since it cannot know what the other one has deferred. So
 * announce a batch, change PTEs anywhere, zap: the graveyard's dead pages, or a
 * page that never was. See tlb_finish_mmu(). selftests/uapi counts the IPIs.
 */
#include "compat/compat.h"
#include "move.h"
#include "slot.h"
#include "space.h"

void gsk_flush_begin(struct mm_struct *mm)
{
	inc_tlb_flush_pending(mm);
}

/* Ends a bracket in which no PTE was changed: there is nothing to flush. */
void gsk_flush_none(struct mm_struct *mm)
{
	dec_tlb_flush_pending(mm);
}

/**
 * gsk_flush_end() - flush the TLB of the mm everywhere
 * @space: whose lock is held
 * @vma: that holds the graves
 * @grave: address of buried pages
 * @nr_buried: how many; they are unmapped
 */
void gsk_flush_end(struct gsk_space *space, struct vm_area_struct *vma, unsigned long grave,
		   unsigned long nr_buried)
{
	/* In the VM_MIXEDMAP VMA the zap flushes its own range too, before the whole mm. */
	if (nr_buried)
		gsk_zap_range(vma, grave, (nr_buried + (nr_buried - 1) / GSK_CHUNK_USABLE) <<
			      PAGE_SHIFT);
#ifndef GSK_MUTATE_FLUSH
	else
		gsk_zap_range(vma, vma->vm_end - PAGE_SIZE, PAGE_SIZE);
#endif
	dec_tlb_flush_pending(vma->vm_mm);
	gsk_count(space, GSK_N_flushes, 1);
}

/**
 * gsk_flush_range_end() - flush a part of a window everywhere
 * @space: whose lock is held
 * @pgoff: its first page, in the object
 * @nr: pages; none is mapped
 *
 * Write-protecting a range flushes all of it when another batch of changes is
 * pending, for it cannot know what that one deferred; in an empty range that is
 * all it does.
 */
void gsk_flush_range_end(struct gsk_space *space, unsigned long pgoff, unsigned long nr)
{
#if GSK_CAN_FLUSH_RANGE && !defined(GSK_MUTATE_FLUSH)
	wp_shared_mapping_range(space->inode->i_mapping, pgoff, nr);
#endif
	dec_tlb_flush_pending(space->vma->vm_mm);
	gsk_count(space, GSK_N_flushes, 1);
	gsk_count(space, GSK_N_range_flushes, 1);
}
