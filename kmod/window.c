// SPDX-License-Identifier: GPL-2.0
#include <linux/hash.h>
#include <linux/sched/signal.h>

#include "move.h"
#include "space.h"
#include "window.h"

static wait_queue_head_t *wait_of(struct gsk_space *space, u32 window)
{
	return &space->waits[window % GSK_NR_WAITS];
}

/**
 * gsk_window_lock_killable() - own a window
 * @space: its space
 * @window: its number
 *
 * Context: mmap_lock or the VMA lock held, no other window held.
 * Return: 0, or -EINTR on a fatal signal.
 */
int gsk_window_lock_killable(struct gsk_space *space, u32 window)
{
	struct gsk_window *w = &space->windows[window];

	if (gsk_window_trylock(w))
		return 0;
	gsk_count(space, GSK_N_lock_waits, 1);
	/* Taking it as 2 may cost one needless wake-up, never a lost one. */
	return wait_event_killable(*wait_of(space, window),
				   atomic_xchg_acquire(&w->lock, 2) == 0) ? -EINTR : 0;
}

void gsk_window_wake(struct gsk_space *space, u32 window)
{
	wake_up_all(wait_of(space, window));
}

/*
 * Page tables for a window: pinned in its own guard and in the page that follows
 * the window, the next one's guard. Window locked. Return: 0 or -ENOMEM.
 */
int gsk_window_tables(struct gsk_space *space, u32 window)
{
	struct gsk_window *w = &space->windows[window];
	unsigned long base = gsk_window_base(space, window);
	int err;

	if (likely(w->tables))
		return 0;
	err = gsk_tables_keep(space->mm, gsk_addr(space, base - space->shape.window_pages),
			      gsk_addr(space, base));
	w->tables = !err;
	return err;
}
