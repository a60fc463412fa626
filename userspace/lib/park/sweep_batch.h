// SPDX-License-Identifier: MIT
/*
 * A batch of the sweep: what it owns, the pages that go back, the stacks that move, until one flush makes as
 * few system calls of it as it can and lets the owners go. One sweeps at a time, so there is one.
 */
#ifndef GSTK__PARK_SWEEP_BATCH_H
#define GSTK__PARK_SWEEP_BATCH_H

#include <sys/uio.h>
#include "park/sweep.h"
#include "park/tier.h"

#define GSTK__BATCH	     128u
#define GSTK__OWNED_WINDOW 0x80000000u

struct gstk__batch {
	struct gstk__sweep_ops ops;
	struct iovec range[GSTK__BATCH];
	uint32_t nr_ranges;
	/* With the module: instead of ranges, and what moves in this batch. */
	struct gstk__dead dead[GSTK__BATCH * 2];
	struct gstk__move move[GSTK__BATCH * 2], pack[GSTK__BATCH * 2];
	uint8_t move_why[GSTK__BATCH * 2], pack_why[GSTK__BATCH * 2]; /* enum gstk__reason */
	uint32_t nr_dead, nr_moves, nr_packs;
	uint32_t owned[GSTK__BATCH * 2]; /* tasks, or windows with the top bit */
	uint32_t nr_owned;
};
extern struct gstk__batch gstk__batch;

/* Pages that nobody needs. */
void gstk__batch_range(char *from, char *to);
/* Pages below @sp are dead: all of window @i when it is the end. */
void gstk__batch_dead(uint32_t i, char *sp);
static inline char *gstk__batch_end(uint32_t i)
{
	return gstk__win_start(i) + gstk__windows.stride;
}

/*
 * Own what lives in window i, or nothing. Returns what to put into the list of owned things, 0 when
 * it is in use. *r: its resident, NULL for a shared window that is empty.
 */
uint32_t gstk__batch_own(uint32_t i, struct gstk_task **r);
/*
 * Own a task whose stack is not resident, until the next flush: its word, or the word of @window, which it
 * was seen in. It may be in another by now: what is owned here is what is given back, nothing else.
 */
bool gstk__batch_own_evicted(struct gstk_task *t, uint32_t window);
/* Give the batch's pages back with one call, then let its owners go. */
void gstk__batch_flush(struct gstk__park *p);

#endif
