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
	bool tables;		/* its page tables are there, and stay */
	u64 came;		/* with a slot: which of its pages may be present (plan.h) */
	struct gsk_lazy *lazy;	/* on the shrinker's list */
};

static inline bool gsk_window_trylock(struct gsk_window *w)
{
	return !atomic_read(&w->lock) && atomic_cmpxchg_acquire(&w->lock, 0, 1) == 0;
}

void gsk_window_wake(struct gsk_space *space, u32 window);

/* @w: is @window of @space. */
static inline void gsk_window_unlock(struct gsk_space *space, struct gsk_window *w, u32 window)
{
	/* Fully ordered: pairs with the barrier of prepare_to_wait in the waiter. */
	if (unlikely(atomic_xchg(&w->lock, 0) == 2))
		gsk_window_wake(space, window);
}

int gsk_window_lock_killable(struct gsk_space *space, u32 window);
int gsk_window_tables(struct gsk_space *space, u32 window);

#endif
