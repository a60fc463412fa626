/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Everything that differs between kernels 6.1 and 7.2, named by what it does.
 * The only place in the module that knows a version.
 */
#ifndef GSK_COMPAT_H
#define GSK_COMPAT_H

#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#include <linux/leafops.h>
#endif

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
 * File pages that an mm maps, or a few more. Where threads count for themselves
 * (6.1) they hand over at faults only, so an ioctl that maps pages may keep back
 * any number. Theirs first: what is handed over in between is seen twice.
 */
static inline long gsk_file_rss(struct mm_struct *mm)
{
	long n = 0;
#ifdef SPLIT_RSS_COUNTING
	struct task_struct *p, *t;

	rcu_read_lock();
	for_each_process_thread(p, t)
		if (READ_ONCE(t->mm) == mm)
			n += max(READ_ONCE(t->rss_stat.count[MM_FILEPAGES]), 0);
	rcu_read_unlock();
	smp_rmb();
#endif
	/* Since 6.2: counters per CPU. */
	return n + get_mm_counter(mm, MM_FILEPAGES) + 64L * num_online_cpus();
}

/* Page tables may be freed under a read lock once they are empty (PT_RECLAIM). */
#ifdef CONFIG_PT_RECLAIM
#define GSK_TABLES_MAY_VANISH 1
#else
#define GSK_TABLES_MAY_VANISH 0
#endif

#endif
