// SPDX-License-Identifier: GPL-2.0
/*
 * fork(): the child keeps the mapping, but not the stacks of tasks that do not
 * run in it. It gets a copy of the stack that it forked on, from its stack
 * pointer up; below, that window goes on as fresh memory; every other window is
 * SIGBUS. Its ioctls fail with EPERM: open the device anew.
 *
 * Runs in vm_ops->open, that is under mmap_lock of parent and child for
 * writing: no switch and no fault of the parent is in flight. It cannot fail:
 * without memory the child's whole mapping is SIGBUS.
 */
#include <linux/highmem.h>
#include <linux/ptrace.h>

#include <linux/sched/task_stack.h>
#include <linux/slab.h>

#include "account.h"
#include "compat/compat.h"
#include "fork.h"
#include "move.h"
#include "slot.h"
#include "space.h"
#include "trace.h"
#include "window.h"

#define RED_ZONE	128

void gsk_heirloom_free(struct gsk_heirloom *h)
{
	unsigned long i;

	if (!h)
		return;
	for (i = 0; h->pages && i < h->nr; i++)
		if (h->pages[i])
			put_page(h->pages[i]);
	kvfree(h->pages);
	kfree(h);
}

/* Fills holes of @pages from what the parent has not mapped (yet). */
static void find_unmapped(struct gsk_space *parent, struct vm_area_struct *vma,
			  struct gsk_heirloom *h)
{
	struct gsk_slot *slot;
	unsigned long base = gsk_window_base(parent, h->window), i;
	struct page *page;

	for (i = 0; i < h->nr; i++) {
		unsigned long pgoff = h->start + i;

		if (h->pages[i])
			continue;
		if (parent->heirloom) {
			struct gsk_heirloom *p = parent->heirloom;

			if (p->window == h->window && pgoff >= p->start &&
			    pgoff < p->start + p->nr && p->pages[pgoff - p->start]) {
				h->pages[i] = p->pages[pgoff - p->start];
				get_page(h->pages[i]);
			}
		} else if (parent->state == GSK_MAPPED && parent->windows[h->window].slot) {
			slot = gsk_slot_by_id(parent, parent->windows[h->window].slot - 1);
			if (pgoff < base - slot->nr)
				continue;
			if (!gsk_peek(current->mm, vma->vm_start +
				      ((parent->park_pgoff + slot->first + pgoff -
					(base - slot->nr)) << PAGE_SHIFT), 1, &page))
				h->pages[i] = page;
		}
	}
}

static int copy_pages(struct gsk_heirloom *h)
{
	struct page *page;
	unsigned long i;

	for (i = 0; i < h->nr; i++) {
		if (!h->pages[i])
			continue;
		page = alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT);
		if (page)
			copy_highpage(page, h->pages[i]);
		put_page(h->pages[i]);
		h->pages[i] = page;
		if (!page) {
			/* The rest are still the parent's: give them back. */
			while (++i < h->nr) {
				if (h->pages[i])
					put_page(h->pages[i]);
				h->pages[i] = NULL;
			}
			return -ENOMEM;
		}
	}
	return 0;
}

static struct gsk_heirloom *copy_stack(struct gsk_space *child, struct gsk_space *parent,
				       struct vm_area_struct *vma)
{
	unsigned long sp = user_stack_pointer(current_pt_regs());
	unsigned long size = parent->windows_end << PAGE_SHIFT, pgoff, base, limit;
	struct gsk_heirloom *h;

	if (sp <= vma->vm_start || sp > vma->vm_start + size)
		return NULL;	/* it forked on another stack */
	h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);
	if (!h)
		return ERR_PTR(-ENOMEM);
	/* An empty stack has sp == base: that is the window below. */
	pgoff = (sp - 1 - vma->vm_start) >> PAGE_SHIFT;
	h->window = pgoff / parent->shape.window_pages;
	base = gsk_window_base(parent, h->window);
	limit = base - parent->shape.window_pages + parent->shape.guard_pages;
	pgoff = (sp - RED_ZONE - vma->vm_start) >> PAGE_SHIFT;
	h->start = max(pgoff, limit);
	h->nr = base - h->start;
	h->pages = kvcalloc(h->nr, sizeof(*h->pages), GFP_KERNEL_ACCOUNT);
	if (!h->pages)
		goto fail;
	if (gsk_peek(current->mm, vma->vm_start + (h->start << PAGE_SHIFT), h->nr, h->pages))
		goto fail_clear;
	find_unmapped(parent, vma, h);
	if (gsk_charge_tables(child, h->nr))
		goto fail;
	if (copy_pages(h))
		goto fail;
	return h;

fail_clear:
	memset(h->pages, 0, h->nr * sizeof(*h->pages));
fail:
	gsk_heirloom_free(h);
	return ERR_PTR(-ENOMEM);
}

/**
 * gsk_fork() - give a child's VMA a space of its own
 * @vma: the child's, not yet linked to the file (6.12, 7.2) or with copied
 *	page tables, when MADV_KEEPONFORK took the flag away (6.1)
 * @parent: space of the parent's VMA
 */
void gsk_fork(struct vm_area_struct *vma, struct gsk_space *parent)
{
	struct gsk_heirloom *h = NULL;
	struct gsk_space *child;

#ifndef GSK_MUTATE_WIPEONFORK
	if (!(vma->vm_flags & VM_WIPEONFORK)) {
		gsk_vma_set_flags(vma, VM_WIPEONFORK);
		gsk_zap_range(vma, vma->vm_start, vma->vm_end - vma->vm_start);
	}
#endif
	vma->vm_private_data = NULL;
	child = gsk_space_create_child(parent, vma->vm_mm);
	if (!child)
		goto fail;
	vma->vm_private_data = child;
	h = copy_stack(child, parent, vma);
	if (IS_ERR(h))
		goto fail;
	child->heirloom = h;
	trace_greenstk_fork(parent, h ? h->window : 0, h ? h->nr : 0, 0);
	return;

fail:
	trace_greenstk_fork(parent, 0, 0, -ENOMEM);
	pr_warn_ratelimited("greenstk: no memory to fork the stack of %s[%d], its child gets SIGBUS\n",
			    current->comm, task_pid_nr(current));
}
