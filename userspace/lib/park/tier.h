/* SPDX-License-Identifier: MIT */
/*
 * The contract of a backend that moves pages instead of bytes: tier REMAPPED.
 *
 *	copy	tier_pack.h and copy.h: bytes, every machine
 *	module	tier_remap.c: page table entries, /dev/greenstk, many stacks a call
 *
 * Who owns what at the call: all stacks of all moves, by the tasks' words or their windows' words. No
 * two moves name the same window. The thread's own stack is in none of the windows.
 *
 * Afterwards, move by move:
 *	err == 0	@out is REMAPPED, or COPIED when the backend refused it; @in is RESIDENT
 *	err == -ENOMEM	not even a copy could be made of @out: both are as they were
 * Nothing is lost on a partial batch, and a refusal falls back for its own stack only, and is counted.
 */
#ifndef GSTK__PARK_TIER_H
#define GSTK__PARK_TIER_H

#include "park/park.h"

struct gstk__move {
	struct gstk_task *out; /* RESIDENT in the window, leaves it; or NULL */
	struct gstk_task *in;  /* REMAPPED, of the same window, comes into it; or NULL */
	bool must;	       /* @out is in the way: the emergency block is for that */
	int err;	       /* out; of packs: also -ENOSPC, it does not pay */
};

#define GSTK__REMAP_NEVER UINT32_MAX

/* What calibration says: from how many used bytes on a move is cheaper than a copy. */
struct gstk__remap {
	uint32_t batch_bytes; /* many at a time, as the sweep does; NEVER: no backend, or it does not pay */
	uint32_t alone_bytes; /* one at a time, as a claim does */
	uint32_t eager_pages; /* from the stack pointer up, made present at once */
	uint32_t batch_ns, alone_ns, page_ns; /* to move a stack out and in: fixed part, and a page */
};
extern struct gstk__remap gstk__remap;

/* After the windows and gstk__calibrate(). @forced: every stack that leaves its window is moved. */
void gstk__remap_init(bool forced);
void gstk__remap_fini(void);
/* As many workers run now as do. By who sweeps. */
void gstk__remap_calibrate_again(void);

/* Any number of moves, as few calls as possible. On a thread's own stack only. */
void gstk__remap_moves(struct gstk__park *p, struct gstk__move *m, uint32_t nr);
/* One move; on any stack but those in the window. */
int gstk__remap_move(struct gstk__park *p, struct gstk_task *out, struct gstk_task *in, bool must);
/* REMAPPED -> PACKED, straight from where the pages are; ->out names the tasks. Own stack as above. */
void gstk__remap_packs(struct gstk__park *p, struct gstk__move *m, uint32_t nr);
int gstk__remap_pack(struct gstk__park *p, struct gstk_task *t);
/* Forget where the pages of a task were: they are elsewhere, or gone. */
void gstk__remap_forget(struct gstk__park *p, struct gstk_task *t);
/* Copy a REMAPPED stack without disturbing it; what it never touched reads as zero. */
void gstk__remap_look(const struct gstk_task *t, void *to, size_t bytes);

/* Windows and what of them is in use, [sp, base); the pages below go back. */
struct gstk__dead {
	uint32_t window;
	const char *sp; /* the window's end: nothing is in use */
};
void gstk__remap_reclaim(struct gstk__park *p, const struct gstk__dead *d, uint32_t nr);

#endif
