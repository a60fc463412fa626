// SPDX-License-Identifier: MIT
/*
 * Inside a channel. Who waits in it: tasks, and nodes of selects, oldest first, linked by 32-bit
 * items: a task's index, or a node's with NODE set. Messages of at most SLOT bytes travel in the
 * waiter's slot (task ->msg, node ->msg), larger ones in a block (msg.h) that the slot points to.
 * Nothing here points into a task's stack.
 *
 * Under the lock, always:
 * - elements in the ring: no receiver waits that could be won; room in it: no such sender.
 * - never receivers and senders at once (but for those that gave up and are about to unlink, and
 *   a select that waits for both).
 * After close: no elements can be added; what is in the ring can be taken.
 *
 * Lock order: a channel's lock, then (by an arm or a wake) the scheduler's. Timers come the other
 * way and only try. No two channel locks are held at once.
 *
 * A task that was woken by a close touches the channel no more. A select that parks does: it takes down its
 * nodes, and may look at the cases again. So it is counted in ->users from before the park until it is
 * through, and a channel that has users is not freed.
 */
#ifndef GSTK__WAIT_CHAN_H
#define GSTK__WAIT_CHAN_H

#include <greenstk/chan.h>

#include <string.h>
#include "wait/msg.h"
#include "wait/waitq.h"

#define GSTK__NODE 0x80000000u
#define GSTK__SLOT 16u

/* One case of a waiting select. */
struct gstk__node {
	uint32_t next, prev;
	uint32_t task;
	uint16_t index;
	uint8_t won;	/* its case was chosen; under the channel's lock, like closed */
	uint8_t closed; /* ... by a close */
	uint64_t msg[2];
};

#define GSTK__NODE_CHUNK_SHIFT 12
#define GSTK__NODE_CHUNKS      (1u << 15)
extern struct gstk__node *gstk__node_chunks[GSTK__NODE_CHUNKS];

static inline struct gstk__node *gstk__node(uint32_t item)
{
	item &= ~GSTK__NODE;
	return &gstk__node_chunks[item >> GSTK__NODE_CHUNK_SHIFT][item & ((1u << GSTK__NODE_CHUNK_SHIFT) - 1)];
}

/* In ->users. */
#define GSTK__CHAN_CLOSED  0x80000000u
#define GSTK__CHAN_WATCHED 0x40000000u /* who uses it is recorded, from its birth on: debug/locks.h */
#define GSTK__CHAN_FLAGS   (GSTK__CHAN_CLOSED | GSTK__CHAN_WATCHED)

struct gstk__chanq {
	uint32_t head, tail; /* items; tail means something only with a head */
};

struct gstk_chan {
	_Atomic uint32_t lock;
	uint32_t elem_size;
	struct gstk__chanq recv, send;
	uint32_t capacity;
	uint32_t nr;	/* elements in the ring */
	uint32_t first; /* the oldest */
	_Atomic uint32_t users; /* selects that are parked, or were; CLOSED is set under the lock */
	char ring[];	/* capacity * elem_size; small ones end in the first cache line */
};

static inline bool gstk__chan_closed(struct gstk_chan *c)
{
	return atomic_load_explicit(&c->users, memory_order_relaxed) & GSTK__CHAN_CLOSED;
}

static inline uint32_t gstk__chan_flags(struct gstk_chan *c)
{
	return atomic_load_explicit(&c->users, memory_order_relaxed) & GSTK__CHAN_FLAGS;
}

static inline uint32_t *gstk__item_next(uint32_t item)
{
	return likely(!(item & GSTK__NODE)) ? &gstk__task(item)->wnext : &gstk__node(item)->next;
}

static inline uint32_t *gstk__item_prev(uint32_t item)
{
	return likely(!(item & GSTK__NODE)) ? &gstk__task(item)->wprev : &gstk__node(item)->prev;
}

static inline void gstk__chanq_push(struct gstk__chanq *q, uint32_t item)
{
	*gstk__item_next(item) = 0;
	if (q->head) {
		*gstk__item_prev(item) = q->tail;
		*gstk__item_next(q->tail) = item;
	} else {
		*gstk__item_prev(item) = 0;
		q->head = item;
	}
	q->tail = item;
}

/* Any item of the queue; nothing when it was popped meanwhile. */
static inline void gstk__chanq_unlink(struct gstk__chanq *q, uint32_t item)
{
	uint32_t *prev = gstk__item_prev(item), next = *gstk__item_next(item);

	if (*prev == GSTK__UNLINKED)
		return;
	if (q->head == item) {
		q->head = next;
	} else {
		*gstk__item_next(*prev) = next;
		if (next)
			*gstk__item_prev(next) = *prev;
		else
			q->tail = *prev;
	}
	*prev = GSTK__UNLINKED;
}

/* Elements, by size: the short ones without a call. */
static inline void gstk__elem_copy(void *to, const void *from, uint32_t size)
{
	if (likely(size == 8))
		memcpy(to, from, 8);
	else if (size)
		memcpy(to, from, size);
}

/* For a timer's expiry: add @count to a channel of one uint64_t. False when the lock is taken. */
bool gstk__chan_try_add(struct gstk_chan *c, uint64_t count);

#endif
