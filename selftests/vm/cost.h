/* SPDX-License-Identifier: MIT */
/*
 * What moving a stack costs, by several ways, in one run. Two stacks share each
 * window; a round exchanges the stack of every window, n windows a batch.
 *
 * The hard case is the one reported: windows 2 MiB apart, batches and slots in
 * shuffled order, all pages dirty, and in a quarter of the entries the stack
 * that enters is a page longer than the one that left, so that a scratch page
 * is in its way. `.best` is adjacent windows in order without such clashes.
 */
#ifndef GREENSTK_VM_COST_H
#define GREENSTK_VM_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE ((size_t)4096)
#define NR_WINDOWS 64
#define HUGE_STEP ((size_t)2 << 20)

struct bench {
	int k;		/* pages of a stack */
	bool best;
	int top;	/* pages that a stack which came touches, from its lowest on; 0: all. Deep stacks */
	size_t step;	/* bytes from one window's base to the next one's */
	char *windows;	/* lowest address of window 0's step */
	char *parking;	/* for the ways that need addresses of their own */
	int in[NR_WINDOWS];	/* which of its two stacks a window holds */
	void *priv;	/* the way's own */
	const struct way *way;
};

/* A way to exchange stacks, or to give pages back. Absent: open returns false. */
struct way {
	const char *name;
	bool (*open)(struct bench *b);
	void (*close)(struct bench *b);
	/* Parks what the window holds, takes in the other one; b->in is the caller's. */
	void (*exchange)(struct bench *b, const int *windows, int n);
	/* Makes a scratch page present just below the stack of a window. */
	void (*scratch)(struct bench *b, int window);
	/* Gives back the k pages below the top page of each window. */
	void (*reclaim)(struct bench *b, const int *windows, int n);
};

extern const struct way way_park, way_memcpy, way_mremap, way_uffd_move;
extern const struct way way_reclaim, way_madvise, way_process_madvise;

/* Of a deep stack so many come at once where that can be chosen, as the runtime does it. */
#define EAGER_PAGES 16

/* Clashing windows have one stack of k and one of k + 1 pages, in either order. */
static inline int stack_pages(const struct bench *b, int window, int which)
{
	if (b->best || b->top || window % 2)
		return b->k;
	return b->k + ((window / 2 + which) & 1);
}

static inline char *window_base(const struct bench *b, int window)
{
	return b->windows + (window + 1) * b->step;
}

static inline char *stack_low(const struct bench *b, int window, int which)
{
	return window_base(b, window) - stack_pages(b, window, which) * PAGE;
}

/* Where a way without slots of the kernel's choice keeps a stack. */
static inline char *parking_of(const struct bench *b, int window, int which)
{
	return b->parking + (size_t)(window * 2 + which) * (b->k + 1) * PAGE;
}

static inline size_t parking_bytes(const struct bench *b)
{
	return (size_t)NR_WINDOWS * 2 * (b->k + 1) * PAGE;
}

void die(const char *what) __attribute__((noreturn));
void fill(struct bench *b, int window, int which, char *low);

#endif
