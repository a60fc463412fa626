// SPDX-License-Identifier: MIT
/*
 * Windows: fixed address ranges that hold one stack at a time.
 *
 *      start                       limit                    base          start + stride
 *      |<---- guard >= 64 KiB ---->|<------- stack -------->|<- stagger ->|
 *
 * A window is free, SOLO (one task; the task's word owns the bytes) or shared. A shared window's
 * word owns the bytes of all tasks bound to it:
 *
 *   word = state:32 | index of the newest task in the inbox << 32
 *   IDLE ---a worker popped one of its tasks---> OWNED ---release---> IDLE
 *                                                 |  ^
 *      release with tasks in inbox or FIFO ---> QUEUED, popped by a worker
 *
 * A worker that pops one of the tasks takes IDLE -> OWNED and runs it, or leaves it in the inbox of
 * whoever has the window. The sweep takes IDLE -> OWNED like a worker. Only the owner touches the
 * fields below the word. When one task is left the window becomes SOLO again as that one runs, when
 * none is left FREE; both take OWNED with an empty inbox, so that nobody can have been bound meanwhile.
 */
#ifndef GSTK__WINDOW_WINDOW_H
#define GSTK__WINDOW_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gstk__win_state {
	GSTK__WIN_FREE = 0,
	GSTK__WIN_SOLO = 1,
	GSTK__WIN_IDLE = 2,
	GSTK__WIN_QUEUED = 3,
	GSTK__WIN_OWNED = 4,
};
#define GSTK__WIN_STATE_MASK 0xffu

/* ->flags */
#define GSTK__WIN_GUARDED (1u << 0) /* its guard is installed */
#define GSTK__WIN_PRIVATE (1u << 1) /* of a private task, in the private region */
#define GSTK__WIN_LAZY	  (1u << 2) /* part of its last resident's pages may be in a slot, or in an image, still */
#define GSTK__WIN_NOT_YET (1u << 3) /* its resident came with others and has not run: its quantum is to begin */
#define GSTK__WIN_EARNED  (1u << 4) /* a private one that a task got because its site hogs */
#define GSTK__WIN_SEALED  (1u << 5) /* inaccessible: debug/seal.h */
#define GSTK__LAZY_CLOSED UINT32_MAX  /* ->lazy: its stack is leaving; what is touched now is zeroes */
#define GSTK__LOW_CLEAN	  UINT32_MAX /* ->low of a free window without pages */

struct gstk__window {
	_Atomic uint64_t word;
	uint32_t resident; /* task whose stack is here; 0: none. SOLO: its task, resident or not */
	_Atomic uint32_t nbound; /* tasks bound to it, but for new ones in the inbox */
	uint32_t fifo_head, fifo_tail;
	uint32_t claim_stamp; /* when the resident got it: gstk__stamp() */
	uint32_t low;	     /* tick after the one at which its resident was last trimmed */
	uint32_t flags;
	uint32_t next_free;
	uint32_t resident_ready; /* the resident is runnable: it may go on for its quantum */
	uint32_t shared_tick;	 /* when its only task was asked to share it */
	union {
		void *map;	 /* private windows: their mapping */
		uint32_t sites;	 /* shared ones: which spawn sites' tasks may be here, see sched/site.h */
	};
	union {
		size_t map_size; /* private ones */
		struct {	 /* shared ones: what is left of the image of its resident, see park/lazy.c */
			_Atomic uint32_t lazy_lock;
			uint32_t lazy; /* arena reference, CLOSED, or 0; changes under the lock */
		};
	};
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct gstk__window) == 64, "a window is one cache line");

struct gstk__windows {
	char *region;		/* shared windows */
	size_t region_bytes;
	size_t nr;		/* shared windows: indices 1 .. nr */
	uint32_t cache_most;	/* free ones that a worker may keep for itself */
	size_t nr_private;	/* private ones: nr + 1 .. nr + nr_private */
	size_t size;		/* power of two */
	unsigned int shift;
	unsigned int group_shift; /* windows of a group: see gstk__win_start() */
	uint32_t skip_mask, drop_mask;
	size_t stride;
	size_t guard;
	size_t stack;		/* least usable bytes in any window */
	struct gstk__window *win; /* [0] unused */
	_Atomic uint32_t fresh;	/* next shared index never used */
	bool guard_install;	/* the kernel has MADV_GUARD_INSTALL */
	bool module;		/* shared windows are the module's, which makes their guards */
	bool lazy;		/* deep stacks may come back on touch: park/lazy.h */
	bool ends;		/* when a task ends there may be more to do in its window: sched/start.c */
	bool present;		/* buffers of system calls are looked at before: window/present.h */
};
extern struct gstk__windows gstk__windows;

static inline struct gstk__window *gstk__win(uint32_t index)
{
	return &gstk__windows.win[index];
}

static inline uint32_t gstk__win_index(const struct gstk__window *w)
{
	return (uint32_t)(w - gstk__windows.win);
}

/* The owner of a shared window binds a task, or one has ended. */
static inline uint32_t gstk__win_count(struct gstk__window *w, int by)
{
	uint32_t n = atomic_load_explicit(&w->nbound, memory_order_relaxed) + (uint32_t)by;

	atomic_store_explicit(&w->nbound, n, memory_order_relaxed);
	return n;
}

/*
 * Where windows lie. Equal frames of different windows should meet neither in one cache set nor in one set
 * of the TLB, nor should their page table entries: bases differ in cache line (0..23, a median stack still
 * fits its top page) and in the low bits of their page number. A group of windows, 2 MiB as long as they are
 * not larger, leaves GAP pages a window free, and lies somewhere in that:
 *
 *	| skip | window | window | ... | free |		skip: 0 .. GAP pages, by group
 *
 * The module's windows have a fixed place: there a stack ends 0..7 pages below the end.
 */
#define GSTK__WIN_GAP  7u
#define GSTK__WIN_DROP 7u

static inline uint32_t gstk__win_hash(uint32_t i)
{
	return i * 0x9e3779b1u;
}

/* The first address of a shared window's group. */
static inline char *gstk__win_group(uint32_t index)
{
	struct gstk__windows *ws = &gstk__windows;

	return ws->region + ((size_t)((index - 1) >> ws->group_shift) << (ws->shift + ws->group_shift));
}

/* Where a shared window begins: its guard. The next one of its group follows after ->stride bytes. */
static inline char *gstk__win_start(uint32_t index)
{
	struct gstk__windows *ws = &gstk__windows;
	uint32_t group = (index - 1) >> ws->group_shift, in_group = index - 1 - (group << ws->group_shift);

	return gstk__win_group(index) + (size_t)(gstk__win_hash(group) >> 16 & ws->skip_mask) * 4096 +
	       in_group * ws->stride;
}

/* One past the highest usable byte; 64-byte aligned. */
static inline char *gstk__win_base(uint32_t index)
{
	struct gstk__windows *ws = &gstk__windows;
	uint32_t h = gstk__win_hash(index);

	if (__builtin_expect(index <= ws->nr, 1))
		return gstk__win_start(index) + ws->stride - (size_t)((h >> 8) % 24) * 64 -
		       (size_t)(h >> 29 & ws->drop_mask) * 4096;
	return (char *)__atomic_load_n(&ws->win[index].map, __ATOMIC_RELAXED) +
	       __atomic_load_n(&ws->win[index].map_size, __ATOMIC_RELAXED); /* a dump may look at it early */
}

/* Lowest usable byte: the guard is below. */
static inline char *gstk__win_limit(uint32_t index)
{
	struct gstk__windows *ws = &gstk__windows;

	if (__builtin_expect(index <= ws->nr, 1))
		return gstk__win_start(index) + ws->guard;
	return (char *)__atomic_load_n(&ws->win[index].map, __ATOMIC_RELAXED) + ws->guard;
}

/* The shared window that an address of the region may be in; 0: none. */
static inline uint32_t gstk__win_at(const void *p)
{
	struct gstk__windows *ws = &gstk__windows;
	size_t at = (size_t)((const char *)p - ws->region), skip;
	uint32_t group, in_group;

	if (at >= ws->region_bytes)
		return 0;
	group = (uint32_t)(at >> (ws->shift + ws->group_shift));
	at &= ((size_t)1 << (ws->shift + ws->group_shift)) - 1;
	skip = (size_t)(gstk__win_hash(group) >> 16 & ws->skip_mask) * 4096;
	if (at < skip)
		return 0;
	in_group = (uint32_t)((at - skip) / ws->stride);
	if (in_group >> ws->group_shift || (group << ws->group_shift) + in_group >= ws->nr)
		return 0;
	return (group << ws->group_shift) + in_group + 1;
}

/* True for an address inside the shared windows: such an object may move away under others. */
static inline bool gstk__in_shared_window(const void *p)
{
	return (size_t)((const char *)p - gstk__windows.region) < gstk__windows.region_bytes;
}

/* reserve.c. @module: take them from /dev/greenstk if it can be had; gstk__module.why says if not. */
int gstk__windows_init(size_t nr, size_t size, size_t nr_private, bool module);
void gstk__windows_fini(void);

/* The module's windows: its number of one, and the bytes from @sp to the end, stagger included. */
#define GSTK__WIN_SPARE 16u /* windows beyond the last one, for calibration */
static inline uint32_t gstk__win_number(uint32_t index)
{
	return index - 1;
}

static inline uint32_t gstk__win_out_bytes(uint32_t index, const char *sp)
{
	return (uint32_t)(gstk__windows.region + ((size_t)index << gstk__windows.shift) - sp);
}

/* bind.c: free lists. A cache belongs to one worker, which may go long without binding anybody: so half of
 * all windows are in no cache, and of few windows none is. */
struct gstk__win_cache {
	uint32_t head, nr;
};
uint32_t gstk__win_get_slow(struct gstk__win_cache *c);
void gstk__win_put_slow(struct gstk__win_cache *c, uint32_t index);
/* For the sweep: up to @most that were not trimmed since they became free, linked; they come back when they are. */
uint32_t gstk__win_take_free(uint32_t most);
void gstk__win_put_clean(uint32_t head);
void gstk__win_lists_reset(void);
uint32_t gstk__win_get_private(size_t stack_size);
void gstk__win_put_private(uint32_t index);
uint32_t gstk__win_private_high(void); /* one past the highest index that was ever in use */
uint32_t gstk__win_take_free_private(uint32_t most);
void gstk__win_put_clean_private(uint32_t head);
/* A window that is about to be used again: a guard, and no seal. */
void gstk__win_guard(uint32_t index);

/* A free shared window, or 0 when all are bound. The last one freed comes first: it is warm. */
static inline uint32_t gstk__win_get(struct gstk__win_cache *c)
{
	uint32_t i = c->head;

	if (__builtin_expect(i != 0, 1)) {
		c->head = gstk__win(i)->next_free;
		c->nr--;
		return i;
	}
	return gstk__win_get_slow(c);
}

static inline void gstk__win_put(struct gstk__win_cache *c, uint32_t index)
{
	struct gstk__window *w = gstk__win(index);

	if (__builtin_expect(c->nr < gstk__windows.cache_most, 1)) {
		w->next_free = c->head;
		c->head = index;
		c->nr++;
		return;
	}
	gstk__win_put_slow(c, index);
}

#endif
