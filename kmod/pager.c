// SPDX-License-Identifier: GPL-2.0
/*
 * Cold pages: their bytes live packed in user memory. The pager range is plain
 * anonymous memory, as long as the parking range, that user space registered
 * with userfaultfd MISSING. A fault on a cold page of a window faults on the
 * page of the pager range that stands for it; userfaultfd asks, user space
 * answers with UFFDIO_COPY, and the next try copies the page into the window.
 *
 * While user space is asked no lock is held: handle_userfault() drops mmap_lock
 * and waits, killable. After that nothing of the space may be touched, and only
 * RETRY can be returned.
 */
#include <linux/file.h>
#include <linux/memcontrol.h>
#include <linux/userfaultfd_k.h>

#include "compat/compat.h"
#include "pager.h"
#include "params.h"
#include "slot.h"
#include "space.h"
#include "trace.h"

/* PAGER: where cold pages come from; 0, 0: from nowhere. */
int gsk_pager_set(struct gsk_space *space, u64 addr, u64 bytes)
{
	if (!READ_ONCE(gsk_pager))
		return -EOPNOTSUPP;
	if (!addr && !bytes) {
		WRITE_ONCE(space->pager_addr, 0);
		return 0;
	}
	if (addr & ~PAGE_MASK || bytes != (u64)space->park_pages << PAGE_SHIFT ||
	    !addr || addr >= TASK_SIZE || bytes > TASK_SIZE - addr)
		return -EINVAL;
	WRITE_ONCE(space->pager_addr, addr);
	return 0;
}

/* The window lock, or ownership of the slot, is held. */
bool gsk_pager_is_cold(struct gsk_space *space, const struct gsk_slot *slot, u32 page)
{
	return slot->cold && test_bit(slot->first + page, space->cold);
}

/* The page is in the window: it is not cold any more, and perhaps none is. */
void gsk_pager_done(struct gsk_space *space, struct gsk_slot *slot, u32 page)
{
	spin_lock(&space->slot_lock);
	__clear_bit(slot->first + page, space->cold);
	slot->cold = find_next_bit(space->cold, slot->first + slot->nr, slot->first) <
		     slot->first + slot->nr;
	spin_unlock(&space->slot_lock);
}

/* The pager's VMA at an address, if it is what PAGER asks for. */
static struct vm_area_struct *pager_vma(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	/* Anonymous: a range inside the windows would recurse. */
	if (!vma || addr < vma->vm_start || !vma_is_anonymous(vma) || !userfaultfd_missing(vma) ||
	    !(vma->vm_flags & VM_WRITE))
		return NULL;
	return vma;
}

/**
 * gsk_pager_ask() - make the page of the pager range present
 * @space: its space
 * @vmf: the fault on the window; no window is locked
 * @page: page of the parking range
 *
 * Return: 0 with the locks still held, or what ->fault must return.
 */
vm_fault_t gsk_pager_ask(struct gsk_space *space, struct vm_fault *vmf, unsigned long page)
{
	unsigned long addr = READ_ONCE(space->pager_addr);
	struct vm_area_struct *vma;
	unsigned int flags;
	struct file *file;
	vm_fault_t ret;

	if (!addr || current->flags & (PF_DUMPCORE | PF_EXITING))
		return VM_FAULT_SIGBUS;
	/* Another VMA is needed, so the whole mm must be locked. */
	if (gsk_drop_vma_lock(vmf))
		return VM_FAULT_RETRY;
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	addr += page << PAGE_SHIFT;
	trace_greenstk_pager(space, page, addr);
	vma = pager_vma(vmf->vma->vm_mm, addr);
	if (!vma)
		return VM_FAULT_SIGBUS;
	flags = FAULT_FLAG_WRITE |
		(vmf->flags & (FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | FAULT_FLAG_TRIED |
			       FAULT_FLAG_INTERRUPTIBLE | FAULT_FLAG_USER | FAULT_FLAG_REMOTE));
	gsk_count(space, GSK_N_faults_pager, 1);
	/* While we wait the mapping and the file may go, but not this code. */
	file = get_file(vmf->vma->vm_file);
	if (flags & FAULT_FLAG_USER)
		mem_cgroup_exit_user_fault();
	ret = handle_mm_fault(vma, addr, flags, NULL);
	if (flags & FAULT_FLAG_USER)
		mem_cgroup_enter_user_fault();
	fput(file);
	if (ret & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
		return VM_FAULT_RETRY;
	if (ret & VM_FAULT_OOM)
		return VM_FAULT_OOM;
	return ret & VM_FAULT_ERROR ? VM_FAULT_SIGBUS : 0;
}

/**
 * gsk_pager_page() - the page that the pager gave, taken out of its range
 * @space: its space; mmap_lock is held
 * @page: page of the parking range
 *
 * Return: a reference, or NULL when it is gone again.
 */
struct page *gsk_pager_page(struct gsk_space *space, unsigned long page)
{
	unsigned long addr = READ_ONCE(space->pager_addr) + (page << PAGE_SHIFT);
	struct vm_area_struct *vma = pager_vma(space->mm, addr);
	struct page *found = NULL;

	if (!vma || gsk_get_mapped_page(space->mm, addr, &found) != 1)
		return NULL;
	/* As MADV_DONTNEED would; its bytes are wanted in one place only. */
	if (!(vma->vm_flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB)))
		gsk_zap_range(vma, addr, PAGE_SIZE);
	return found;
}
