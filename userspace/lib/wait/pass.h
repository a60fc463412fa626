// SPDX-License-Identifier: MIT
/*
 * How a message passes: the halves of send and receive that run under the channel's lock, inlined into each
 * way that a caller can take. Who was won is woken after unlocking, by gstk__finish_wake().
 */
#ifndef GSTK__WAIT_PASS_H
#define GSTK__WAIT_PASS_H

#include <greenstk/base.h>

#include <errno.h>
#include "debug/locks.h"
#include "wait/chan.h"

static inline char *gstk__slot_at(struct gstk_chan *c, uint32_t i)
{
	i += c->first;
	if (i >= c->capacity)
		i -= c->capacity;
	return c->ring + (size_t)i * c->elem_size;
}

/* What is left to do for a waiter that was won: enqueue it, or clear its mark, or nothing. */
#define GSTK__LEFT_MARK	  0x80000000u
#define GSTK__LEFT_NODE (GSTK__LEFT + 1) /* its task takes the lock anyway: no mark */

static inline uint32_t gstk__wake_of(int order, uint32_t task)
{
	if (likely(order == GSTK__ENQUEUE))
		return task;
	return order == GSTK__LEFT ? task | GSTK__LEFT_MARK : 0;
}

/* After unlocking. The channel may be gone. */
static inline __attribute__((always_inline)) void gstk__finish_wake(uint32_t wake, bool handoff)
{
	if (!wake)
		return;
	if (unlikely(wake & GSTK__LEFT_MARK))
		gstk__wake_released(gstk__task(wake & ~GSTK__LEFT_MARK));
	else if (handoff)
		gstk__handoff(gstk__task(wake));
	else
		gstk__enqueue(gstk__task(wake));
}

/* A wait in @q ended with @code, which is not OK. Returns what that is for the caller. */
__attribute__((cold)) int gstk__gave_up(struct gstk_chan *c, struct gstk__chanq *q, struct gstk_task *t,
					 enum gstk__code code);
/* A large message came in a block. @elem NULL throws it away. */
void gstk__unpack_block(void *elem, void *block, uint32_t size);

/* Slow half of a wake: the waiter is a select. */
int gstk__wake_node(struct gstk__chanq *q, uint32_t item, bool closed);

static inline int gstk__wake_task(struct gstk__chanq *q, struct gstk_task *t, enum gstk__code code)
{
	q->head = t->wnext;
	t->wprev = GSTK__UNLINKED;
	return (int)gstk__wake_popped(t, code);
}

/*
 * The first half of a send, lock held. 0, -EPIPE, -EAGAIN (would have to wait). *wake is for
 * gstk__finish_wake(). A message larger than a slot goes to a waiting receiver in *block, which the caller
 * filled (NULL once it has gone); GSTK__NEED_BLOCK when there is none.
 * The message is written before the wait is decided: task/state.h, 5.
 */
#define GSTK__NEED_BLOCK 1
static inline __attribute__((always_inline)) int
gstk__give(struct gstk_chan *c, const void *elem, void **block, uint32_t *wake)
{
	uint32_t size = c->elem_size, item;

	*wake = 0;
	if (unlikely(gstk__chan_flags(c))) {
		if (gstk__chan_flags(c) & GSTK__CHAN_WATCHED)
			gstk__locks_chan_used(c, GSTK__CHAN_SENDS);
		if (gstk__chan_closed(c))
			return -EPIPE;
	}
	while ((item = c->recv.head)) {
		bool is_task = !(item & GSTK__NODE);
		struct gstk_task *t = gstk__task(item);
		struct gstk__node *n = NULL;
		uint64_t *slot;
		int order;

		if (likely(is_task)) {
			slot = t->msg;
		} else {
			n = gstk__node(item);
			slot = n->msg;
		}
		if (likely(size <= GSTK__SLOT)) {
			gstk__elem_copy(slot, elem, size);
		} else {
			if (!*block)
				return GSTK__NEED_BLOCK;
			slot[0] = (uintptr_t)*block;
		}
		if (likely(is_task)) {
			order = gstk__wake_task(&c->recv, t, GSTK__CODE_OK);
		} else {
			item = n->task;
			order = gstk__wake_node(&c->recv, c->recv.head, false);
		}
		if (unlikely(order == GSTK__LOST))
			continue;
		*wake = gstk__wake_of(order, item);
		if (unlikely(size > GSTK__SLOT))
			*block = NULL;
		return 0;
	}
	if (c->nr < c->capacity) {
		gstk__elem_copy(gstk__slot_at(c, c->nr), elem, size);
		c->nr++;
		return 0;
	}
	return -EAGAIN;
}

/* Win the oldest sender; its slot stays valid until gstk__finish_wake(). NULL: there is none. */
static inline __attribute__((always_inline)) uint64_t *
gstk__pop_sender(struct gstk_chan *c, uint32_t *wake)
{
	uint32_t item;

	while ((item = c->send.head)) {
		uint64_t *slot;
		int order;

		if (likely(!(item & GSTK__NODE))) {
			slot = gstk__task(item)->msg;
			order = gstk__wake_task(&c->send, gstk__task(item), GSTK__CODE_OK);
		} else {
			struct gstk__node *n = gstk__node(item);

			slot = n->msg;
			item = n->task;
			order = gstk__wake_node(&c->send, c->send.head, false);
		}
		if (unlikely(order == GSTK__LOST))
			continue;
		*wake = gstk__wake_of(order, item);
		return slot;
	}
	return NULL;
}

/*
 * Room in the ring: the oldest sender's message moves there. Returns what gstk__finish_wake() gets. By value:
 * if a caller's local were known outside, its wait would be no tail call any more, and come back by a
 * mispredicted return (20 ns a round trip).
 */
uint32_t gstk__refill(struct gstk_chan *c);

/* The first half of a receive, likewise. A large message of a waiting sender comes in *block: the
 * caller copies it after unlocking and puts the block. */
static inline __attribute__((always_inline)) int
gstk__take(struct gstk_chan *c, void *elem, void **block, uint32_t *wake)
{
	uint32_t size = c->elem_size;
	uint64_t *slot;

	*wake = 0;
	if (unlikely(gstk__chan_flags(c) & GSTK__CHAN_WATCHED))
		gstk__locks_chan_used(c, GSTK__CHAN_RECEIVES);
	if (c->nr) {
		if (likely(elem))
			gstk__elem_copy(elem, gstk__slot_at(c, 0), size);
		c->first = c->first + 1 == c->capacity ? 0 : c->first + 1;
		c->nr--;
		if (unlikely(c->send.head))
			*wake = gstk__refill(c);
		return 0;
	}
	slot = gstk__pop_sender(c, wake);
	if (!slot)
		return unlikely(gstk__chan_closed(c)) ? -EPIPE : -EAGAIN;
	if (unlikely(size > GSTK__SLOT))
		*block = (void *)(uintptr_t)slot[0];
	else if (likely(elem))
		gstk__elem_copy(elem, slot, size);
	return 0;
}

#endif
