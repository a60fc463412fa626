/* SPDX-License-Identifier: MIT */
/*
 * Deep stacks come back lazily: the top at once, the rest when it is touched (userfaultfd).
 *
 *	DEEP:		->image -> record -> block of whole pages, that ends where the window's pages end
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

#include "park/park.h"

#define GSTK__LAZY_NEVER UINT32_MAX
/* What the pager brings with the page that was touched. Calls go down from where a frame is, so more of those
 * below, which also keeps room for what the kernel puts there for a signal. */
#define GSTK__LAZY_BELOW 2u
#define GSTK__LAZY_ABOVE 3u

struct gstk__lazy {
	uint32_t min_bytes;   /* from so many used bytes on; NEVER: no userfaultfd, or it does not pay */
	uint32_t eager_pages; /* whole pages above the one of the stack pointer that come at once */
	uint32_t fixed_ns, fault_ns; /* to register and unregister; a touch of what is missing */
};
extern struct gstk__lazy gstk__lazy;

struct gstk__deep {
	uint32_t block, nr_pages; /* arena reference; of the block */
	uint32_t first;		  /* page from which on the window is registered */
	uint32_t stays;		  /* how often it came back so */
	_Atomic uint64_t here[];  /* bits of pages that came since; under the window's lock, or CLOSED. Of the last
				   * stay while it is away: what was touched then is likely to be again */
};

static inline bool gstk__deep_here(const struct gstk__deep *d, uint32_t k)
{
	return atomic_load_explicit(&d->here[k / 64], memory_order_relaxed) >> (k % 64) & 1;
}

/* One past the last page of a shared window. */
static inline char *gstk__deep_end(uint32_t window)
{
	return (char *)(((uintptr_t)gstk__win_base(window) + 4095) & ~(uintptr_t)4095);
}

/* Page k in its window. */
static inline char *gstk__deep_page(const struct gstk__deep *d, uint32_t window, uint32_t k)
{
	return gstk__deep_end(window) - (size_t)(d->nr_pages - k) * 4096;
}

/* Opens userfaultfd, starts the pager, calibrates: after the windows and gstk__calibrate(). 0 or -errno:
 * gstk__uffd.why says it. @forced: every stack that has pages below the top. */
int gstk__lazy_init(bool forced);
void gstk__lazy_fini(void);
/* In a child of fork(), where there is no pager. */
void gstk__lazy_forked(void);

/* As gstk__evict() and gstk__restore(); false: this stack is to be moved as any other. */
bool gstk__lazy_evict(struct gstk__park *p, struct gstk_task *t);
bool gstk__lazy_restore(struct gstk__park *p, struct gstk_task *t);
/* DEEP: where its bytes are, and to free them. */
const char *gstk__lazy_bytes(const struct gstk_task *t);
void gstk__lazy_free(struct gstk__park *p, struct gstk_task *t);
/* The resident of a window has ended before all of it came. */
void gstk__lazy_ended(struct gstk__park *p, uint32_t window);
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
