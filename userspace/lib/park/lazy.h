/* SPDX-License-Identifier: MIT */
/*
 * Deep stacks come back lazily: the top at once, the rest when it is touched (userfaultfd).
 *
 *	DEEP:		->image -> record -> block of whole pages, that ends where the window's pages end
 *	DEEP_PACKED:	->image -> record -> packed chunks of pages (lazy_pack.c)
 *	RESIDENT:	the window's ->lazy -> the same record, as long as part of it has not come
 *
 *	      sp        first                         hi
 *	window: | at once | registered: here[k] or missing |	eviction: only what is here goes back
 *	block:  |.........|................................|
 *
 * Who does what: park/ restores and evicts as the owner of the bytes; the pager (pager.c) answers faults,
 * which come from the task itself, and from whoever has a pointer that it should not have. Both agree on
 * the window's ->lazy, which changes under ->lazy_lock: a record, so the pager answers from it; CLOSED, so
 * the stack is leaving and what is missing is dead; 0. Who holds the lock touches no window.
 * selftests/model/lazy.pml.
 */
#ifndef GSTK__PARK_LAZY_H
#define GSTK__PARK_LAZY_H

#include "park/deep.h"

#define GSTK__LAZY_NEVER UINT32_MAX
/* What the pager brings with the page that was touched: below, room for calls and for what the kernel puts there for
 * a signal; above, the rest of a frame, and twice as much each time when the next page above is touched. */
#define GSTK__LAZY_BELOW 1u
#define GSTK__LAZY_ABOVE 2u
#define GSTK__LAZY_MOST  15u

struct gstk__lazy {
	uint32_t min_bytes;   /* from so many used bytes on; NEVER: no userfaultfd, or it does not pay */
	uint32_t eager_pages; /* whole pages above the one of the stack pointer that come at once */
	uint32_t fixed_ns, fault_ns; /* to register and unregister; a touch of what is missing */
};
extern struct gstk__lazy gstk__lazy;

/* lazy_start.c. Opens userfaultfd, starts the pager, calibrates: after the windows and gstk__calibrate(). 0 or -errno:
 * gstk__uffd.why says it. @forced: every stack that has pages below the top. */
int gstk__lazy_init(bool forced);
void gstk__lazy_fini(void);
/* In a child of fork(), where there is no pager. */
void gstk__lazy_forked(void);

/* As gstk__evict() and gstk__restore(); false: this stack is to be moved as any other. */
bool gstk__lazy_evict(struct gstk__park *p, struct gstk_task *t);
/* The same when @next, DEEP, comes at once: what both want registered stays so, if it is the same. */
bool gstk__lazy_give_way(struct gstk__park *p, struct gstk_task *t, const struct gstk_task *next);
bool gstk__lazy_restore(struct gstk__park *p, struct gstk_task *t);
/* lazy_pack.c. DEEP -> DEEP_PACKED: 0; -ENOSPC, -ENOMEM: it stays DEEP. */
int gstk__lazy_pack(struct gstk__park *p, struct gstk_task *t);
/* One of these is so no more: counts that. */
void gstk__lazy_wakes(struct gstk__park *p, const struct gstk_task *t);
/* The resident of a window has ended before all of it came. */
void gstk__lazy_ended(struct gstk__park *p, uint32_t window);
/* lazy_look.c. The first bytes of one that is away; by who owns them. */
void gstk__lazy_look_away(const struct gstk_task *t, void *to, size_t bytes);
/* Copy [from, from + bytes) of a resident without touching what is missing. Not by that task itself. */
void gstk__lazy_look(uint32_t window, void *to, const char *from, size_t bytes);

/* pager.c */
struct gstk__pager_counts {
	_Atomic uint64_t faults, prefetched; /* pages that came with one that was touched */
};
extern struct gstk__pager_counts gstk__pager_counts;
int gstk__pager_start(void);
void gstk__pager_stop(void);

#endif
