// SPDX-License-Identifier: GPL-2.0
/*
 * Caps on unswappable pages, per object and per user. memcg is the real bound
 * (every page and table is charged to it); the caps protect systems that do
 * not use it. A user is a kuid: each id mapped into a user namespace counts
 * for itself.
 *
 * Pages belong to page table entries, so a madvise(MADV_DONTNEED) frees them
 * unseen. The counter is an upper bound, corrected when a cap is met: a space
 * cannot hold more pages than its mm has file pages mapped, and than are about
 * to be, or not to be (nr_pending).
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "account.h"
#include "compat/compat.h"
#include "space.h"

ulong gsk_max_object_pages = ULONG_MAX;
ulong gsk_max_user_pages = ULONG_MAX;

static DEFINE_SPINLOCK(users_lock);
static HLIST_HEAD(users);

/* The user of the calling task; NULL without memory. */
struct gsk_user *gsk_user_get(void)
{
	struct gsk_user *user, *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);

	spin_lock(&users_lock);
	hlist_for_each_entry(user, &users, node) {
		if (uid_eq(user->uid, current_uid())) {
			user->refs++;
			goto out;
		}
	}
	user = fresh;
	if (user) {
		user->uid = current_uid();
		user->refs = 1;
		hlist_add_head(&user->node, &users);
		fresh = NULL;
	}
out:
	spin_unlock(&users_lock);
	kfree(fresh);
	return user;
}

void gsk_user_ref(struct gsk_user *user)
{
	spin_lock(&users_lock);
	user->refs++;
	spin_unlock(&users_lock);
}

void gsk_user_put(struct gsk_user *user)
{
	spin_lock(&users_lock);
	if (--user->refs) {
		user = NULL;
	} else {
		WARN_ON_ONCE(atomic_long_read(&user->nr_pages));
		hlist_del(&user->node);
	}
	spin_unlock(&users_lock);
	kfree(user);
}

/* Only for a space whose mm is alive: a lock of it is held. */
static void correct(struct gsk_space *space)
{
	long now = atomic_long_read(&space->nr_pages), bound;

	do {
		/* A page on its way is in here or in the other already; one that leaves, ... */
		bound = atomic_long_read_acquire(&space->nr_pending);
		bound += gsk_mapped_file_pages(space->mm);
		/* ... in the other still or in here, or uncharged: then @now is old. */
		smp_rmb();
		bound += atomic_long_read(&space->nr_pending);
		if (now <= bound)
			return;
	} while (!atomic_long_try_cmpxchg(&space->nr_pages, &now, bound));
	atomic_long_sub(now - bound, &space->user->nr_pages);
}

/* A cap is met, or seems so: gsk_charge_pages() has counted @nr already. */
int gsk_charge_over_cap(struct gsk_space *space, unsigned long nr)
{
	correct(space);
	if (gsk_fits(space))
		return 0;
	gsk_charge_end(space, nr, 0);
	return -EDQUOT;
}

void gsk_uncharge_pages(struct gsk_space *space, unsigned long nr)
{
	long now = atomic_long_read(&space->nr_pages), left;

	/* A correction may have come first. */
	do {
		left = max_t(long, now - (long)nr, 0);
	} while (!atomic_long_try_cmpxchg(&space->nr_pages, &now, left));
	atomic_long_sub(now - left, &space->user->nr_pages);
}

/* The module's own tables; never corrected. */
int gsk_charge_tables(struct gsk_space *space, unsigned long nr)
{
	atomic_long_add(nr, &space->nr_table_pages);
	atomic_long_add(nr, &space->user->nr_pages);
	if (gsk_fits(space))
		return 0;
	gsk_uncharge_tables(space, nr);
	return -EDQUOT;
}

void gsk_uncharge_tables(struct gsk_space *space, unsigned long nr)
{
	atomic_long_sub(nr, &space->nr_table_pages);
	atomic_long_sub(nr, &space->user->nr_pages);
}

/* Its pages are unmapped. */
void gsk_uncharge_all(struct gsk_space *space)
{
	atomic_long_sub(atomic_long_xchg(&space->nr_pages, 0), &space->user->nr_pages);
}
