/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that differs between kernels 6.1 and 7.2, named by what it does.
 * The only place in the module that knows a version.
 */
#ifndef GSK_COMPAT_H
#define GSK_COMPAT_H

#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#include <linux/leafops.h>
#endif

/* wp_shared_mapping_range(): there when something else selects it (vmwgfx, in Debian's). */
#define GSK_CAN_FLUSH_RANGE IS_ENABLED(CONFIG_MAPPING_DIRTY_HELPERS)

/*
 * Put a PTE where none is. For executable and for tagged pages arm64's set_pte_at()
 * calls what is not exported; a window has neither: vma.c clears VM_MAYEXEC, and
 * only anonymous memory and shmem may be mapped with PROT_MTE.
 */
static inline void gsk_set_pte(struct mm_struct *mm, unsigned long addr, pte_t *ptep,
			       pte_t pte)
{
#ifdef CONFIG_ARM64
	set_pte(ptep, pte);
#else
	set_pte_at(mm, addr, ptep, pte);
#endif
}

/* Unmap and free a range of one VMA; flushes what it cleared. mmap_lock or VMA lock. */
static inline void gsk_zap_range(struct vm_area_struct *vma, unsigned long addr,
				 unsigned long size)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
	zap_vma_range(vma, addr, size);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	zap_page_range_single(vma, addr, size, NULL);
#else
	zap_page_range(vma, addr, size);
#endif
}

static inline void gsk_vma_set_flags(struct vm_area_struct *vma, vm_flags_t flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

static inline void gsk_vma_clear_flags(struct vm_area_struct *vma, vm_flags_t flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* A marker (userfaultfd write-protect, poison): holds nothing, may be overwritten. */
static inline bool gsk_pte_is_marker(pte_t pte)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	return pte_is_marker(pte);
#else
	return is_pte_marker(pte);
#endif
}

/*
 * A fault that needs mmap_lock. True: it ran under the VMA lock, which is
 * dropped now, and ->fault must return VM_FAULT_RETRY.
 */
static inline bool gsk_drop_vma_lock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	if (vmf->flags & FAULT_FLAG_VMA_LOCK) {
		vma_end_read(vmf->vma);
		return true;
	}
#endif
	return false;
}

/* File pages mapped in an mm: the exact number, where others keep approximations. */
static inline long gsk_mapped_file_pages(struct mm_struct *mm)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return percpu_counter_sum_positive(&mm->rss_stat[MM_FILEPAGES]);
#else
	return get_mm_counter(mm, MM_FILEPAGES);
#endif
}

/*
 * What the current task mapped is in that number. 6.1 collects it in the task
 * and adds it every 64 page faults, so never in a call of ours.
 */
static inline void gsk_settle_file_pages(struct mm_struct *mm)
{
#ifdef SPLIT_RSS_COUNTING
	struct task_rss_stat *cached = &current->rss_stat;

	if (current->mm == mm && cached->count[MM_FILEPAGES]) {
		atomic_long_add(cached->count[MM_FILEPAGES], &mm->rss_stat.count[MM_FILEPAGES]);
		cached->count[MM_FILEPAGES] = 0;
	}
#endif
}

/*
 * Locks one VMA without mmap_lock; NULL: not now, or not on this kernel (6.1 has
 * no such lock, 6.12 does not export the look-up: rejected.d/kmod.rst).
 */
static inline struct vm_area_struct *gsk_vma_start_read(struct mm_struct *mm, unsigned long addr)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	return lock_vma_under_rcu(mm, addr);
#else
	return NULL;
#endif
}

static inline void gsk_vma_end_read(struct vm_area_struct *vma)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	vma_end_read(vma);
#endif
}

/*
 * A number that changes whenever the VMA is locked for writing; the caller has it locked
 * for reading. False: this kernel has none, or walks page tables without. It wraps.
 */
static inline bool gsk_vma_writes(const struct vm_area_struct *vma, u32 *seq)
{
#if defined(CONFIG_PER_VMA_LOCK) && LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	*seq = READ_ONCE(vma->vm_lock_seq);
	return true;
#else
	return false;
#endif
}

/* A reference to the page at an address, if one is mapped; never faults. 1: got it. */
static inline long gsk_get_mapped_page(struct mm_struct *mm, unsigned long addr,
				       struct page **page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return get_user_pages_remote(mm, addr, 1, FOLL_NOFAULT, page, NULL);
#else
	return get_user_pages_remote(mm, addr, 1, FOLL_NOFAULT, page, NULL, NULL);
#endif
}

/*
 * Page tables may be freed under a read lock once they are empty (PT_RECLAIM).
 * A zap leaves guard markers alone, and so the table. The page table is locked.
 */
#ifdef CONFIG_PT_RECLAIM
#define GSK_TABLES_MAY_VANISH 1
static inline void gsk_pin_table(struct mm_struct *mm, unsigned long addr, pte_t *ptep)
{
	gsk_set_pte(mm, addr, ptep, make_pte_marker(PTE_MARKER_GUARD));
}
#else
#define GSK_TABLES_MAY_VANISH 0
static inline void gsk_pin_table(struct mm_struct *mm, unsigned long addr, pte_t *ptep)
{
}
#endif

#endif
