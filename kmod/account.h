/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_ACCOUNT_H
#define GSK_ACCOUNT_H

#include <linux/atomic.h>
#include <linux/uidgid.h>

#include "compat/compat.h"
#include "space.h"

/* Module parameters, see Documentation/uapi.rst. */
extern ulong gsk_max_object_pages;
extern ulong gsk_max_user_pages;

struct gsk_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int refs;
	atomic_long_t nr_pages;
};

struct gsk_user *gsk_user_get(void);
void gsk_user_ref(struct gsk_user *user);
void gsk_user_put(struct gsk_user *user);

int gsk_charge_over_cap(struct gsk_space *space, unsigned long nr);
void gsk_uncharge_pages(struct gsk_space *space, unsigned long nr);
int gsk_charge_tables(struct gsk_space *space, unsigned long nr);
void gsk_uncharge_tables(struct gsk_space *space, unsigned long nr);
void gsk_uncharge_all(struct gsk_space *space);

static inline bool gsk_fits(struct gsk_space *space)
{
	return atomic_long_read(&space->nr_pages) + atomic_long_read(&space->nr_table_pages) <=
	       READ_ONCE(gsk_max_object_pages) &&
	       atomic_long_read(&space->user->nr_pages) <= READ_ONCE(gsk_max_user_pages);
}

/**
 * gsk_charge_pages() - count pages that are about to be mapped
 * @space: where
 * @nr: how many
 *
 * Inline, like its end: it is a good part of what a first touch costs above the
 * kernel's own work.
 *
 * Context: mmap_lock or VMA lock of the space's mm held.
 * Return: 0, to be ended by gsk_charge_end(), or -EDQUOT.
 */
static inline int gsk_charge_pages(struct gsk_space *space, unsigned long nr)
{
	/* Before the other one: see correct(). */
	atomic_long_add(nr, &space->nr_pending);
	atomic_long_add_return(nr, &space->nr_pages);
	atomic_long_add(nr, &space->user->nr_pages);
	return likely(gsk_fits(space)) ? 0 : gsk_charge_over_cap(space, nr);
}

/* Of @nr pages that were charged @mapped are mapped now; the others never will be. */
static inline void gsk_charge_end(struct gsk_space *space, unsigned long nr, unsigned long mapped)
{
	if (mapped)
		gsk_settle_file_pages(space->mm);
	/* Pairs with the acquire in correct(): the page is seen in the mm. */
	atomic_long_fetch_sub_release(nr, &space->nr_pending);
	if (unlikely(mapped < nr))
		gsk_uncharge_pages(space, nr - mapped);
}

/*
 * Pages are about to be unmapped, at most @nr: from here on a correction might see that
 * they are gone, and their uncharge would count them once more.
 */
static inline void gsk_free_begin(struct gsk_space *space, unsigned long nr)
{
	/* Fully ordered: seen before the pages are gone. */
	if (nr)
		atomic_long_add_return(nr, &space->nr_pending);
}

/* @freed of them were. Fully ordered: uncharged before they are not pending any more. */
static inline void gsk_free_end(struct gsk_space *space, unsigned long nr, unsigned long freed)
{
	if (freed)
		gsk_uncharge_pages(space, freed);
	if (nr)
		atomic_long_sub_return(nr, &space->nr_pending);
}

#endif
