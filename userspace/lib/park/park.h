// SPDX-License-Identifier: MIT
/*
 * Where a stack goes. Every function here needs the owner of the bytes as its caller: the owner of
 * the task's word, or of the window's word when the window is shared (task/state.h).
 */
#ifndef GSTK__PARK_PARK_H
#define GSTK__PARK_PARK_H

#include "park/arena.h"
#include "park/counters.h"
#include "task/state.h"
#include "window/window.h"

/* What park/ needs from the thread that calls it. */
struct gstk__park {
	struct gstk__arena_cache *arena;
	uint32_t emergency;	/* a block for a whole stack, so that a claim progresses under ENOMEM */
	uint32_t tick;		/* the thread's millisecond clock */
	uint32_t stamp;		/* gstk__stamp(), as old as that */
	struct gstk__counters n;
};

/* Bytes of stack that a task off the CPU uses. */
static inline size_t gstk__used(const struct gstk_task *t)
{
	if (t->tier == GSTK__TIER_RESIDENT)
		return (size_t)(gstk__win_base(t->window) - (char *)t->sp);
	return t->tier == GSTK__TIER_NONE || t->tier == GSTK__TIER_STACKLESS ? 0 : t->used;
}

/* Before the first use of @p, and after the last. -ENOMEM. */
int gstk__park_init(struct gstk__park *p);
void gstk__park_fini(struct gstk__park *p);
/* Emergency blocks that wait for who needs one. With those that threads have, and those that are images, as many as
 * there are threads. */
uint32_t gstk__park_spares(void);

/*
 * RESIDENT -> COPIED, or REMAPPED where that is cheaper for this one alone. 0, or -ENOMEM (the stack
 * stays); @must uses the emergency block and fails only when that is out as well. A stack pointer
 * outside its window is a broken invariant: abort.
 */
int gstk__evict(struct gstk__park *p, struct gstk_task *t, bool must);
/* RESIDENT -> COPIED always. */
int gstk__evict_copied(struct gstk__park *p, struct gstk_task *t, bool must);
/* COPIED, PACKED or REMAPPED -> RESIDENT. The window must hold no other stack. Cannot fail. */
void gstk__restore(struct gstk__park *p, struct gstk_task *t);
/* COPIED or REMAPPED -> PACKED; -ENOSPC when it does not pay, -ENOMEM. */
int gstk__pack(struct gstk__park *p, struct gstk_task *t);
/* Make t the resident of its shared window: evict the present one, restore t. -ENOMEM. */
int gstk__claim(struct gstk__park *p, struct gstk_task *t);
/* The task ended: forget its image. */
void gstk__forget(struct gstk__park *p, struct gstk_task *t);
/* Begin to fetch the image of a task that runs soon. OPTIONAL. True when there was one. */
bool gstk__prefetch(struct gstk__park *p, struct gstk_task *t);
/* The same for the stack of a resident that will be evicted, or for the place of one that will come. */
void gstk__prefetch_stack(const struct gstk_task *t);

#endif
