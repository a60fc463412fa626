// SPDX-License-Identifier: GPL-2.0
/*
 * Faults. Runs under mmap_lock for reading or under the VMA lock, for the owner
 * or for a stranger (ptrace, process_vm_readv). Inserts under the window lock
 * and returns NOPAGE: a page returned in vmf->page would be mapped after the
 * lock is gone, perhaps into another task's stack.
 *
 * Every path ends: NOPAGE only when a page is present (or was, at our look), or
 * when another try asks the pager again, which may be killed.
 */
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "account.h"
#include "compat/compat.h"
#include "fault.h"
#include "insert.h"
#include "move.h"
#include "pager.h"
#include "slot.h"
#include "space.h"
#include "trace.h"
#include "window.h"

#define MAX_FAULT_AROUND	16U

uint gsk_fault_around = 8;

/* Window locked: some page from @pgoff on may be present, @nr of them. */
static void came(struct gsk_space *space, u32 window, unsigned long pgoff, u32 nr)
{
#ifndef GSK_MUTATE_CAME
	space->windows[window].came |=
		gsk_came_bits(&space->shape, pgoff % space->shape.window_pages, nr);
#endif
}

static vm_fault_t bus(struct gsk_space *space)
{
	gsk_count(space, GSK_N_faults_bus, 1);
	return VM_FAULT_SIGBUS;
}

/* A stranger's touch is paid by the owner. */
static struct page *alloc_stack_page(struct mm_struct *mm)
{
	struct mem_cgroup *memcg, *saved;
	struct page *page;

	if (likely(mm == current->mm))
		return alloc_page(GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT);
	memcg = get_mem_cgroup_from_mm(mm);
	saved = set_active_memcg(memcg);
	page = alloc_page(GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT);
	set_active_memcg(saved);
	mem_cgroup_put(memcg);
	return page;
}

static vm_fault_t result_of(struct gsk_space *space, int err)
{
	switch (err) {
	case 0:
	case -EBUSY:	/* another thread was faster */
		return VM_FAULT_NOPAGE;
	case -ENOMEM:
		return VM_FAULT_OOM;
	default:
		return bus(space);
	}
}

static vm_fault_t first_touch(struct gsk_space *space, struct vm_fault *vmf)
{
	struct page *page;
	int err;

	/* A dump must not populate what nobody touched. */
	if (current->flags & PF_DUMPCORE)
		return VM_FAULT_SIGBUS;
	if (gsk_charge_pages(space, 1))
		return bus(space);
	page = alloc_stack_page(vmf->vma->vm_mm);
	if (page) {
		err = gsk_insert_page(vmf->vma, vmf->address, page);
		put_page(page);
	} else {
		err = -ENOMEM;
	}
	gsk_charge_end(space, 1, !err);
	if (!err)
		gsk_count(space, GSK_N_faults_zero, 1);
	return result_of(space, err);
}

/*
 * Brings pages of the resident that are still in its slot. Insert first, with
 * a count of its own, then zap: so nothing is lost when memory is short.
 * Return: 0 when the slot has no page for this address.
 */
static vm_fault_t restore(struct gsk_space *space, struct vm_fault *vmf, u32 window)
{
	struct gsk_slot *slot = gsk_slot_by_id(space, space->windows[window].slot - 1);
	unsigned long landing = gsk_addr(space, gsk_window_base(space, window) - slot->nr);
	unsigned long addr = vmf->address & PAGE_MASK, from;
	struct page *pages[MAX_FAULT_AROUND];
	u32 k, i, nr, done;
	int err = 0;

	if (addr < landing)
		return 0;
	k = (addr - landing) >> PAGE_SHIFT;
	nr = clamp(READ_ONCE(gsk_fault_around), 1U, MAX_FAULT_AROUND);
	nr = min_t(u32, nr, slot->nr - k);
	from = gsk_addr(space, space->park_pgoff + slot->first + k);
	if (gsk_peek(vmf->vma->vm_mm, from, nr, pages))
		return VM_FAULT_OOM;
	if (!pages[0]) {
		for (i = 1; i < nr; i++)
			if (pages[i])
				put_page(pages[i]);
		return 0;
	}
	came(space, window, vmf->pgoff, nr);
	for (done = 0; done < nr; done++) {
		if (!pages[done])
			continue;
		err = gsk_insert_page(vmf->vma, addr + ((unsigned long)done << PAGE_SHIFT),
				      pages[done]);
		if (err)
			break;
	}
	if (done) {
		gsk_mark_moved(vmf->vma->vm_mm, addr, done);
		gsk_zap_range(vmf->vma, from, (unsigned long)done << PAGE_SHIFT);
	}
	for (i = 0; i < nr; i++) {
		if (!pages[i])
			continue;
		if (i < done)
			gsk_count(space, GSK_N_faults_lazy, 1);
		put_page(pages[i]);
	}
	return done ? VM_FAULT_NOPAGE : result_of(space, err);
}

/* The slot page that stands for an address of its window, if it is cold; else -1. */
static long cold_page(struct gsk_space *space, struct vm_fault *vmf, u32 window)
{
	struct gsk_slot *slot = gsk_slot_by_id(space, space->windows[window].slot - 1);
	unsigned long landing = gsk_window_base(space, window) - slot->nr;

	if (vmf->pgoff < landing || !gsk_pager_is_cold(space, slot, vmf->pgoff - landing))
		return -1;
	return slot->first + (vmf->pgoff - landing);
}

/*
 * Window locked. What the pager gave is copied, for it is anonymous memory. It
 * may be gone again, or never have come: a fault there may end with nothing
 * done (a huge page was made ready while somebody put a small one there). Then
 * once more from the beginning, where a pager that is gone is found out.
 */
static vm_fault_t take_paged(struct gsk_space *space, struct vm_fault *vmf, u32 window,
			     unsigned long cold)
{
	struct gsk_slot *slot = gsk_slot_by_id(space, space->windows[window].slot - 1);
	struct page *page, *from;
	int err = -ENOMEM;

	if (gsk_charge_pages(space, 1))
		return bus(space);
	page = alloc_stack_page(vmf->vma->vm_mm);
	if (!page)
		goto uncharge;
	err = fatal_signal_pending(current) ? -EFAULT : -EBUSY;
	from = gsk_pager_page(space, cold);
	if (from) {
		came(space, window, vmf->pgoff, 1);
		copy_highpage(page, from);
		put_page(from);
		err = gsk_insert_page(vmf->vma, vmf->address, page);
	}
	put_page(page);
	if (!err)
		gsk_pager_done(space, slot, cold - slot->first);
uncharge:
	gsk_charge_end(space, 1, !err);
	return result_of(space, err);
}

static vm_fault_t cold_fault(struct gsk_space *space, struct vm_fault *vmf, u32 window,
			     unsigned long cold)
{
	vm_fault_t ret;

	/* No lock may be held while user space is asked. */
	gsk_window_unlock(space, &space->windows[window], window);
	ret = gsk_pager_ask(space, vmf, cold);
	if (ret)
		return ret;	/* after RETRY the space may be gone: do not touch it */
	if (gsk_window_lock_killable(space, window))
		return VM_FAULT_SIGBUS;
	/* Another thread may have been faster, or even switched. */
	ret = VM_FAULT_NOPAGE;
	if (space->windows[window].slot && cold_page(space, vmf, window) == cold)
		ret = take_paged(space, vmf, window, cold);
	gsk_window_unlock(space, &space->windows[window], window);
	return ret;
}

static vm_fault_t window_fault(struct gsk_space *space, struct vm_fault *vmf)
{
	u32 window = vmf->pgoff / space->shape.window_pages;
	struct gsk_window *w = &space->windows[window];
	vm_fault_t ret = 0;
	long cold;
	u16 reach;

	if (vmf->pgoff % space->shape.window_pages < space->shape.guard_pages) {
		gsk_count(space, GSK_N_faults_guard, 1);
		return VM_FAULT_SIGSEGV;
	}
	if (!gsk_window_trylock(w) && gsk_window_lock_killable(space, window))
		return VM_FAULT_SIGBUS;	/* dying */
	if (unlikely(w->slot)) {
		ret = restore(space, vmf, window);
		cold = ret ? -1 : cold_page(space, vmf, window);
		if (cold >= 0)
			return cold_fault(space, vmf, window, cold);
	}
	/* A dump makes nothing. */
	if (!ret && unlikely(!w->tables) && !(current->flags & PF_DUMPCORE) &&
	    gsk_window_tables(space, window))
		ret = VM_FAULT_OOM;
	if (!ret) {
		came(space, window, vmf->pgoff, 1);
		ret = first_touch(space, vmf);
		reach = gsk_window_base(space, window) - vmf->pgoff;
		if (w->reach < reach)
			w->reach = reach;
	}
	gsk_window_unlock(space, w, window);
	return ret;
}

/* In the child of a fork only the window that forked lives on. */
static vm_fault_t child_fault(struct gsk_space *space, struct vm_fault *vmf)
{
	struct gsk_heirloom *h = space->heirloom;
	unsigned long window = vmf->pgoff / space->shape.window_pages;

	if (!h || vmf->pgoff >= space->windows_end || window != h->window)
		return bus(space);
	if (vmf->pgoff % space->shape.window_pages < space->shape.guard_pages)
		return VM_FAULT_SIGSEGV;
	if (vmf->pgoff >= h->start && vmf->pgoff < h->start + h->nr &&
	    h->pages[vmf->pgoff - h->start])
		return result_of(space, gsk_insert_page(vmf->vma, vmf->address,
							h->pages[vmf->pgoff - h->start]));
	return first_touch(space, vmf);
}

static vm_fault_t fault(struct gsk_space *space, struct vm_fault *vmf)
{
	if (unlikely(space->state != GSK_MAPPED))
		return child_fault(space, vmf);
	if (vmf->pgoff < space->windows_end)
		return window_fault(space, vmf);
	if (vmf->pgoff - space->words_pgoff < space->nr_words_pages)
		return result_of(space, gsk_insert_page(vmf->vma, vmf->address,
					space->words[vmf->pgoff - space->words_pgoff]));
	/* Parked pages come and go by ioctl only: so a free slot is always empty. */
	return bus(space);
}

vm_fault_t gsk_fault(struct vm_fault *vmf)
{
	struct gsk_space *space = vmf->vma->vm_private_data;
	unsigned long address = vmf->address, pgoff = vmf->pgoff;
	vm_fault_t ret;

	if (unlikely(!space))
		return VM_FAULT_SIGBUS;
	ret = fault(space, vmf);
	/* After RETRY the lock is gone, and perhaps the space. */
	if (!(ret & VM_FAULT_RETRY))
		trace_greenstk_fault(space, address, pgoff, ret);
	return ret;
}
