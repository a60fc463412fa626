// SPDX-License-Identifier: GPL-2.0
/*
 * Pages looked at one by one, without a bracket: which there are, what a marker hides, that
 * they moved.
 */
#include "compat/compat.h"
#include "move.h"

struct peek {
	struct page **page;
};

static int peek_one(pte_t *ptep, unsigned long addr, void *data)
{
	struct peek *peek = data;
	pte_t pte = ptep_get(ptep);

	*peek->page = NULL;
	if (pte_present(pte)) {
		*peek->page = pfn_to_page(pte_pfn(pte));
		get_page(*peek->page);
	}
	peek->page++;
	return 0;
}

/**
 * gsk_peek() - the pages of a range, referenced, NULL for holes
 * @mm: its lock or the VMA lock is held
 * @addr: first page
 * @nr: pages
 * @pages: set
 *
 * Return: 0, or -ENOMEM with no reference held.
 */
int gsk_peek(struct mm_struct *mm, unsigned long addr, unsigned long nr,
	     struct page **pages)
{
	struct peek peek = { .page = pages };
	int err;

	err = apply_to_page_range(mm, addr, nr << PAGE_SHIFT, peek_one, &peek);
	if (err)
		while (peek.page-- > pages)
			if (*peek.page)
				put_page(*peek.page);
	return err;
}

static int clear_marker_one(pte_t *ptep, unsigned long addr, void *data)
{
	pte_t pte = ptep_get(ptep);

	if (!pte_none(pte) && !pte_present(pte) && gsk_pte_is_marker(pte))
		pte_clear((struct mm_struct *)data, addr, ptep);
	return pte_present(ptep_get(ptep)) ? 1 : pte_none(ptep_get(ptep)) ? 0 : -EFAULT;
}

/* Return: 1 a page is present, 0 nothing is (any more), -errno. */
int gsk_clear_marker(struct mm_struct *mm, unsigned long addr)
{
	return apply_to_page_range(mm, addr, PAGE_SIZE, clear_marker_one, mm);
}

#ifdef CONFIG_MEM_SOFT_DIRTY
static int mark_one(pte_t *ptep, unsigned long addr, void *data)
{
	pte_t pte = ptep_get(ptep);

	if (pte_present(pte) && !pte_soft_dirty(pte)) {
		pte = ptep_get_and_clear((struct mm_struct *)data, addr, ptep);
		gsk_set_pte((struct mm_struct *)data, addr, ptep, pte_mksoft_dirty(pte));
	}
	return 0;
}

/* What put() does, for pages that vm_insert_page() brought. */
void gsk_mark_moved(struct mm_struct *mm, unsigned long addr, unsigned long nr)
{
	apply_to_page_range(mm, addr, nr << PAGE_SHIFT, mark_one, mm);
}
#endif
