/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_WINDOW_H
#define GSK_WINDOW_H

#include <linux/atomic.h>
#include <linux/types.h>

struct gsk_space;
struct gsk_lazy;

/*
 * The lock word: 0 free, 1 held, 2 held and waited for. It is held across
 * sleeping allocations, so waiters sleep. Who holds one window may only try
 * for another; that is what makes batches free of deadlock without sorting.
 */
struct gsk_window {
	atomic_t lock;
	u32 slot;		/* id + 1 of the slot that still has pages of the resident */
	u16 reach;		/* pages from the base that may be present */
	bool tables;		/* its page tables exist (7.2 may take them away again) */
	struct gsk_lazy *lazy;	/* on the shrinker's list */
};

static inline bool gsk_window_trylock(struct gsk_window *w)
{
	return !atomic_read(&w->lock) && atomic_cmpxchg_acquire(&w->lock, 0, 1) == 0;
}

int gsk_window_lock_killable(struct gsk_space *space, u32 window);
void gsk_window_unlock(struct gsk_space *space, u32 window);

#endif
