// SPDX-License-Identifier: MIT
/*
 * A growable work-stealing deque of 32-bit items. One owner pushes at the bottom and takes from
 * either end; thieves take from the top.
 *
 * After D. Chase and Y. Lev, "Dynamic Circular Work-Stealing Deque", SPAA 2005, with the memory
 * orders of N. Le, A. Pop, A. Cohen and F. Zappa Nardelli, PPoPP 2013.
 *
 *		push	take_bottom	take_top	steal
 *  owner	one thread at a time, in any order	-
 *  others	-	-		-		any number
 */
#ifndef GSTK__SCHED_DEQUE_H
#define GSTK__SCHED_DEQUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct gstk__ring {
	int64_t mask;
	_Atomic uint32_t item[];
};

#define GSTK__RINGS 26 /* 2^32 items, should anybody have them */

struct gstk__deque {
	_Atomic int64_t top __attribute__((aligned(64)));
	_Atomic int64_t bottom __attribute__((aligned(64)));
	_Atomic(struct gstk__ring *) ring;
	struct gstk__ring *rings[GSTK__RINGS]; /* each twice the one before; mapped until fini: a thief may read it */
};

bool gstk__deque_init(struct gstk__deque *d, uint32_t capacity); /* power of two */
void gstk__deque_fini(struct gstk__deque *d);
struct gstk__ring *gstk__deque_grow(struct gstk__deque *d, struct gstk__ring *r, int64_t top, int64_t bottom);
/* Owner, now and then: when nothing is in it and much was, back to the first ring and the pages given back. */
void gstk__deque_trim(struct gstk__deque *d);

static inline int64_t gstk__deque_len(struct gstk__deque *d)
{
	return atomic_load_explicit(&d->bottom, memory_order_relaxed) -
	       atomic_load_explicit(&d->top, memory_order_relaxed);
}

/* Owner. False only when the ring is full and no memory is left for a bigger one. */
static inline bool gstk__deque_push(struct gstk__deque *d, uint32_t item)
{
	int64_t b = atomic_load_explicit(&d->bottom, memory_order_relaxed);
	int64_t t = atomic_load_explicit(&d->top, memory_order_acquire);
	struct gstk__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);

	if (__builtin_expect(b - t > r->mask, 0)) {
		r = gstk__deque_grow(d, r, t, b);
		if (!r)
			return false;
	}
	atomic_store_explicit(&r->item[b & r->mask], item, memory_order_relaxed);
	/* Pairs with the acquire of bottom in steal: the item is there before it is counted. */
	atomic_store_explicit(&d->bottom, b + 1, memory_order_release);
	return true;
}

/* Any thread. 0: empty or lost a race. */
static inline uint32_t gstk__deque_steal(struct gstk__deque *d)
{
	int64_t t = atomic_load_explicit(&d->top, memory_order_acquire), b;
	struct gstk__ring *r;
	uint32_t item;

	/* OPTIONAL: spares the fence when there is nothing. */
	if (t >= atomic_load_explicit(&d->bottom, memory_order_relaxed))
		return 0;

	atomic_thread_fence(memory_order_seq_cst); /* partner: take_bottom */
	b = atomic_load_explicit(&d->bottom, memory_order_acquire);
	if (t >= b)
		return 0;
	r = atomic_load_explicit(&d->ring, memory_order_acquire);
	item = atomic_load_explicit(&r->item[t & r->mask], memory_order_relaxed);
	if (!atomic_compare_exchange_strong_explicit(&d->top, &t, t + 1, memory_order_seq_cst,
						     memory_order_relaxed))
		return 0;
	return item;
}

/* Owner: the oldest item. @alone: there are no thieves. */
static inline __attribute__((always_inline)) uint32_t gstk__deque_take_top(struct gstk__deque *d, bool alone)
{
	int64_t b = atomic_load_explicit(&d->bottom, memory_order_relaxed);
	int64_t t = atomic_load_explicit(&d->top, memory_order_acquire);
	struct gstk__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);

	while (t < b) {
		uint32_t item = atomic_load_explicit(&r->item[t & r->mask], memory_order_relaxed);

		if (alone) {
			atomic_store_explicit(&d->top, t + 1, memory_order_relaxed);
			return item;
		}
		if (atomic_compare_exchange_weak_explicit(&d->top, &t, t + 1, memory_order_seq_cst,
							  memory_order_acquire))
			return item;
	}
	return 0;
}

/* Owner: the newest item. */
static inline __attribute__((always_inline)) uint32_t gstk__deque_take_bottom(struct gstk__deque *d, bool alone)
{
	int64_t b = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1;
	struct gstk__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);
	int64_t t = atomic_load_explicit(&d->top, memory_order_relaxed);
	uint32_t item;

	if (t > b)
		return 0;
	/* Release, like that of a push: who sees it sees the ring of the present. */
	atomic_store_explicit(&d->bottom, b, memory_order_release);
	if (!alone) {
		atomic_thread_fence(memory_order_seq_cst); /* partner: steal */
		t = atomic_load_explicit(&d->top, memory_order_relaxed);
	}
	item = t <= b ? atomic_load_explicit(&r->item[b & r->mask], memory_order_relaxed) : 0;
	if (t < b || (t == b && alone))
		return item;
	if (t == b && !atomic_compare_exchange_strong_explicit(&d->top, &t, t + 1, memory_order_seq_cst,
							       memory_order_relaxed))
		item = 0;
	atomic_store_explicit(&d->bottom, b + 1, memory_order_release);
	return item;
}

#endif
