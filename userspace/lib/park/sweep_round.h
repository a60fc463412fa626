// SPDX-License-Identifier: MIT
/*
 * A round of the sweep: what each of its visits to windows and tasks is decided by, and what it found. One
 * sweeps at a time, so there is one.
 */
#ifndef GSTK__PARK_SWEEP_ROUND_H
#define GSTK__PARK_SWEEP_ROUND_H

#include <errno.h>
#include "debug/annotate.h"
#include "park/history.h"
#include "park/sweep_batch.h"

#define GSTK__SWEEP_BLOCK ((size_t)2 << 20) /* of what one page table maps */

struct gstk__round {
	struct gstk__climate climate;
	uint64_t soonest_ms;	   /* when the next thing is to be done, from now */
	uint64_t did;		   /* things done */
	bool trimming;		   /* in parts, and has begun: */
	uint32_t free_left, private_at; /* at most so many free windows yet; the next private one */
	bool full;		   /* there was no memory for what is packed: no more of that in this round */
	uint64_t seen_bytes, seen; /* pages of the residents seen, as far as they are known, and how many */
};
extern struct gstk__round gstk__round;

GSTK__RACY_INLINE struct gstk__history gstk__round_history(const struct gstk_task *t)
{
	bool bounced;
	struct gstk__history h = gstk__history_of(&gstk__round.climate, gstk__task_index(t), t->tick, &bounced);

	gstk__count_by(&gstk__sweep_counts.bounces, bounced);
	return h;
}

#define GSTK__ROUND_AHEAD_MS 60000u /* more than a slice takes: what its clock is behind others' at most */

/* How long a stack that parked at @tick has been idle: not at all when others' clocks have gone on since the slice
 * began, and it parked after that. */
static inline uint64_t gstk__round_idle_ms(const struct gstk__park *p, uint32_t tick)
{
	uint32_t ms = p->tick - tick;

	return ms < UINT32_MAX - GSTK__ROUND_AHEAD_MS ? ms : 0;
}

static inline void gstk__round_because(enum gstk__reason why)
{
	gstk__count(&gstk__sweep_counts.decided[why]);
}

/* It could not be packed: for as long as it stays idle, or for want of memory, which may be there in the next round. */
static inline void gstk__round_not_packed(struct gstk_task *t, int err)
{
	gstk__round_because(err == -ENOMEM ? GSTK__KEPT_FULL : GSTK__KEPT_UNPACKABLE);
	if (err == -ENOMEM)
		gstk__round.full = true;
	else
		t->tick = GSTK__TICK_UNPACKABLE;
}

/* Its stack is moved, or will be with this batch. */
static inline void gstk__round_moved(struct gstk__park *p, const struct gstk_task *t, const struct gstk__stack_facts *f,
				     bool packed)
{
	gstk__round.did++;
	gstk__history_moved(gstk__task_index(t), f->history, p->tick, packed);
}

static inline void gstk__round_note_next(const struct gstk__stack_facts *f)
{
	uint64_t ms = gstk__policy_next(&gstk__round.climate, f);

	if (ms < gstk__round.soonest_ms)
		gstk__round.soonest_ms = ms;
}

/* Evict, move or trim who is cold of windows first .. first + nr, which share a page table. */
void gstk__sweep_windows(struct gstk__park *p, uint32_t first, uint32_t nr);
/* Pack the stack of @t if it was away for long. */
void gstk__sweep_task(struct gstk__park *p, struct gstk_task *t);
/* Give back a part of what is below the stack pointers of stacks that never move, and of what free windows keep. True:
 * there is no more in this round. */
bool gstk__sweep_trim(struct gstk__park *p);

#endif
