// SPDX-License-Identifier: MIT
/*
 * Channels. See chan.h for what holds under the lock. The way of a message of 8 bytes:
 *
 *	recv: nobody there -> link, gstk__block_unlock()            ... copy from its own ->msg
 *	send: pop the receiver, write its ->msg, win its wait, unlock, gstk__handoff()
 *
 * Budget of an operation that does not park: the lock's exchange, one compare-and-swap when there
 * is a waiter, one cache line of the channel, one of the waiter. See bench chan.unbuffered.1worker.
 */
#include "wait/chan.h"

#include <greenstk/base.h>

#include <errno.h>
#include "arch/far.h"

int gstk_chan_create(gstk_chan **chan, size_t elem_size, size_t capacity)
{
	struct gstk_chan *c;
	size_t bytes;

	if (!chan || elem_size > INT32_MAX || capacity > INT32_MAX)
		return -EINVAL;
	/* More than any address space: malloc() of a sanitizer would abort. */
	if (__builtin_mul_overflow(elem_size, capacity, &bytes) || bytes > 1ull << 46)
		return -ENOMEM;
	c = gstk__msg_get(sizeof(*c) + bytes);
	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->elem_size = (uint32_t)elem_size;
	c->capacity = (uint32_t)capacity;
	*chan = c;
	return 0;
}

int gstk_chan_destroy(gstk_chan *c)
{
	bool busy;

	if (!c)
		return 0;
	gstk__lock(&c->lock);
	busy = c->recv.head || c->send.head;
	gstk__unlock(&c->lock);
	if (busy)
		return -EBUSY;
	gstk__msg_put(c, sizeof(*c) + (size_t)c->elem_size * c->capacity);
	return 0;
}

static inline char *slot_at(struct gstk_chan *c, uint32_t i)
{
	i += c->first;
	if (i >= c->capacity)
		i -= c->capacity;
	return c->ring + (size_t)i * c->elem_size;
}

/* What is left to do for a waiter that was won: enqueue it, or clear its mark, or nothing. */
#define LEFT	  0x80000000u
#define LEFT_NODE (GSTK__LEFT + 1) /* its task takes the lock anyway: no mark */

static inline uint32_t wake_of(int order, uint32_t task)
{
	if (likely(order == GSTK__ENQUEUE))
		return task;
	return order == GSTK__LEFT ? task | LEFT : 0;
}

/* After unlocking. The channel may be gone. */
static inline __attribute__((always_inline)) void finish_wake(uint32_t wake, bool handoff)
{
	if (!wake)
		return;
	if (unlikely(wake & LEFT))
		gstk__wake_released(gstk__task(wake & ~LEFT));
	else if (handoff)
		gstk__handoff(gstk__task(wake));
	else
		gstk__enqueue(gstk__task(wake));
}

/* Slow half of a wake: the waiter is a select. */
static __attribute__((noinline)) int wake_node(struct gstk__chanq *q, uint32_t item, bool closed)
{
	struct gstk__node *n = gstk__node(item);
	enum gstk__order order;

	q->head = n->next;
	n->prev = GSTK__UNLINKED;
	n->closed = closed;
	order = gstk__state_wake(gstk__task(n->task), GSTK__CODE_OK, 0);
	/* Also when it runs by now: it takes the lock before it looks at its nodes. */
	if (order != GSTK__LOST)
		n->won = 1;
	if (unlikely(order == GSTK__ENQUEUE && (gstk__task(n->task)->flags & GSTK__T_FOREIGN))) {
		gstk__enqueue(gstk__task(n->task)); /* now: after unlocking its thread may be gone */
		return LEFT_NODE;
	}
	return order == GSTK__LEFT ? LEFT_NODE : (int)order;
}

static inline int wake_task(struct gstk__chanq *q, struct gstk_task *t, enum gstk__code code)
{
	q->head = t->wnext;
	t->wprev = GSTK__UNLINKED;
	return (int)gstk__wake_popped(t, code);
}

/*
 * The first half of a send, lock held. 0, -EPIPE, -EAGAIN (would have to wait). *wake is for
 * finish_wake(). A message larger than a slot goes to a waiting receiver in *block, which the caller
 * filled (NULL once it has gone); NEED_BLOCK when there is none.
 * The message is written before the wait is decided: task/state.h, 5.
 */
#define NEED_BLOCK 1
static inline __attribute__((always_inline)) int
give(struct gstk_chan *c, const void *elem, void **block, uint32_t *wake)
{
	uint32_t size = c->elem_size, item;

	*wake = 0;
	if (unlikely(c->closed))
		return -EPIPE;
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
				return NEED_BLOCK;
			slot[0] = (uintptr_t)*block;
		}
		if (likely(is_task)) {
			order = wake_task(&c->recv, t, GSTK__CODE_OK);
		} else {
			item = n->task;
			order = wake_node(&c->recv, c->recv.head, false);
		}
		if (unlikely(order == GSTK__LOST))
			continue;
		*wake = wake_of(order, item);
		if (unlikely(size > GSTK__SLOT))
			*block = NULL;
		return 0;
	}
	if (c->nr < c->capacity) {
		gstk__elem_copy(slot_at(c, c->nr), elem, size);
		c->nr++;
		return 0;
	}
	return -EAGAIN;
}

/* Win the oldest sender; its slot stays valid until finish_wake(). NULL: there is none. */
static inline __attribute__((always_inline)) uint64_t *
pop_sender(struct gstk_chan *c, uint32_t *wake)
{
	uint32_t item;

	while ((item = c->send.head)) {
		uint64_t *slot;
		int order;

		if (likely(!(item & GSTK__NODE))) {
			slot = gstk__task(item)->msg;
			order = wake_task(&c->send, gstk__task(item), GSTK__CODE_OK);
		} else {
			struct gstk__node *n = gstk__node(item);

			slot = n->msg;
			item = n->task;
			order = wake_node(&c->send, c->send.head, false);
		}
		if (unlikely(order == GSTK__LOST))
			continue;
		*wake = wake_of(order, item);
		return slot;
	}
	return NULL;
}

/* Room in the ring: the oldest sender's message moves there. */
static __attribute__((noinline)) void refill(struct gstk_chan *c, uint32_t *wake)
{
	uint64_t *slot = pop_sender(c, wake);

	if (!slot)
		return;
	if (c->elem_size <= GSTK__SLOT) {
		gstk__elem_copy(slot_at(c, c->nr), slot, c->elem_size);
	} else {
		memcpy(slot_at(c, c->nr), (void *)(uintptr_t)slot[0], c->elem_size);
		gstk__msg_put((void *)(uintptr_t)slot[0], c->elem_size);
	}
	c->nr++;
}

/* The first half of a receive, likewise. A large message of a waiting sender comes in *block: the
 * caller copies it after unlocking and puts the block. */
static inline __attribute__((always_inline)) int
take(struct gstk_chan *c, void *elem, void **block, uint32_t *wake)
{
	uint32_t size = c->elem_size;
	uint64_t *slot;

	*wake = 0;
	if (c->nr) {
		if (likely(elem))
			gstk__elem_copy(elem, slot_at(c, 0), size);
		c->first = c->first + 1 == c->capacity ? 0 : c->first + 1;
		c->nr--;
		if (unlikely(c->send.head))
			refill(c, wake);
		return 0;
	}
	slot = pop_sender(c, wake);
	if (!slot)
		return unlikely(c->closed) ? -EPIPE : -EAGAIN;
	if (unlikely(size > GSTK__SLOT))
		*block = (void *)(uintptr_t)slot[0];
	else if (likely(elem))
		gstk__elem_copy(elem, slot, size);
	return 0;
}

/* The caller was cancelled or timed out. */
static __attribute__((cold, noinline)) int gave_up(struct gstk_chan *c, struct gstk__chanq *q,
						   struct gstk_task *t, enum gstk__code code)
{
	if (code == GSTK__CODE_CLOSED) { /* unlinked, and the channel may be gone */
		gstk__wait_released(t);
	} else {
		gstk__lock(&c->lock);
		gstk__chanq_unlink(q, gstk__task_index(t));
		gstk__unlock(&c->lock);
	}
	return gstk__code_errno(code);
}

/* ---- send ---- */

/* Lock held; no room, or a block is needed. */
static __attribute__((noinline)) GSTK__FAR_RETURN int send_slow(struct gstk_chan *c, struct gstk_task *t, const void *elem,
					       uint64_t deadline_ns, int r)
{
	uint32_t size = c->elem_size, wake;
	void *block = NULL;
	enum gstk__code code;

	if (size > GSTK__SLOT) {
		gstk__unlock(&c->lock);
		if (!t && r == -EAGAIN)
			return r;
		/* Not under the lock: it may have to ask the system. */
		block = gstk__msg_get(size);
		if (!block)
			return -ENOMEM;
		memcpy(block, elem, size);
		gstk__lock(&c->lock);
		r = give(c, elem, &block, &wake);
		if (r == 0) {
			gstk__unlock(&c->lock);
			if (block)
				gstk__msg_put(block, size);
			finish_wake(wake, false);
			return 0;
		}
	}
	if (!t || r != -EAGAIN || unlikely(gstk__wait_expired(deadline_ns))) {
		gstk__unlock(&c->lock);
		r = t && r == -EAGAIN ? -ETIMEDOUT : r;
		goto put;
	}
	if (likely(size <= GSTK__SLOT))
		gstk__elem_copy(t->msg, elem, size);
	else
		t->msg[0] = (uintptr_t)block;
	t->obj = c;
	gstk__chanq_push(&c->send, gstk__task_index(t));
	code = gstk__block_unlock(&c->lock, GSTK__WAIT_CHAN_SEND, deadline_ns);
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
		return 0;
	}
	r = gave_up(c, &c->send, t, code);
put:
	if (block)
		gstk__msg_put(block, size);
	return r;
}

/* The commonest wait: a small message, no deadline. Lock held, and no receiver. */
static __attribute__((noinline)) GSTK__FAR_RETURN int send_wait(struct gstk_chan *c, struct gstk_task *t,
								const void *elem)
{
	enum gstk__code code;

	gstk__elem_copy(t->msg, elem, c->elem_size);
	t->obj = c;
	gstk__chanq_push(&c->send, gstk__task_index(t));
	code = gstk__block_unlock(&c->lock, GSTK__WAIT_CHAN_SEND, GSTK_NEVER);
	if (unlikely(code != GSTK__CODE_OK))
		return gave_up(c, &c->send, t, code);
	gstk__wait_released(t);
	return 0;
}

/* Made twice, for no deadline and for one. */
static inline __attribute__((always_inline)) int send(gstk_chan *c, const void *elem, uint64_t deadline_ns)
{
	struct gstk_task *t;
	void *block = NULL;
	uint32_t wake;
	int r = gstk__wait_begin(&t);

	if (unlikely(r))
		return r;
	gstk__lock(&c->lock);
	r = give(c, elem, &block, &wake);
	if (r == -EAGAIN && deadline_ns == GSTK_NEVER && likely(c->elem_size <= GSTK__SLOT))
		return send_wait(c, t, elem);
	if (unlikely(r != 0 && r != -EPIPE))
		return send_slow(c, t, elem, deadline_ns, r);
	gstk__unlock(&c->lock);
	finish_wake(wake, true);
	return r;
}

int gstk_chan_send(gstk_chan *c, const void *elem)
{
	return send(c, elem, GSTK_NEVER);
}

int gstk_chan_send_until(gstk_chan *c, const void *elem, uint64_t deadline_ns)
{
	return send(c, elem, deadline_ns);
}

int gstk_chan_try_send(gstk_chan *c, const void *elem)
{
	void *block = NULL;
	uint32_t wake;
	int r;

	gstk__lock(&c->lock);
	r = give(c, elem, &block, &wake);
	if (unlikely(r == NEED_BLOCK))
		return send_slow(c, NULL, elem, 0, r);
	gstk__unlock(&c->lock);
	finish_wake(wake, false);
	return r;
}

/* ---- receive ---- */

/* A large message came in a block. */
static __attribute__((noinline)) void unpack_block(struct gstk_chan *c, void *elem, void *block, uint32_t size)
{
	if (elem)
		memcpy(elem, block, size);
	gstk__msg_put(block, size);
}

/* Lock held; nothing there. */
static __attribute__((noinline)) GSTK__FAR_RETURN int recv_wait(struct gstk_chan *c, struct gstk_task *t,
								void *elem, uint64_t deadline_ns)
{
	uint32_t size = c->elem_size;
	enum gstk__code code;

	if (unlikely(gstk__wait_expired(deadline_ns))) {
		gstk__unlock(&c->lock);
		return -ETIMEDOUT;
	}
	t->obj = c;
	gstk__chanq_push(&c->recv, gstk__task_index(t));
	code = gstk__block_unlock(&c->lock, GSTK__WAIT_CHAN_RECV, deadline_ns);
	if (unlikely(code != GSTK__CODE_OK))
		return gave_up(c, &c->recv, t, code);
	gstk__wait_released(t);
	if (unlikely(size > GSTK__SLOT))
		unpack_block(c, elem, (void *)(uintptr_t)t->msg[0], size);
	else if (likely(elem))
		gstk__elem_copy(elem, t->msg, size);
	return 0;
}

static inline __attribute__((always_inline)) int recv(gstk_chan *c, void *elem, uint64_t deadline_ns)
{
	struct gstk_task *t;
	void *block = NULL;
	uint32_t wake, size;
	int r = gstk__wait_begin(&t);

	if (unlikely(r))
		return r;
	gstk__lock(&c->lock);
	r = take(c, elem, &block, &wake);
	if (r == -EAGAIN)
		return recv_wait(c, t, elem, deadline_ns);
	size = c->elem_size;
	gstk__unlock(&c->lock);
	if (unlikely(block))
		unpack_block(c, elem, block, size);
	finish_wake(wake, false);
	return r;
}

int gstk_chan_recv(gstk_chan *c, void *elem)
{
	return recv(c, elem, GSTK_NEVER);
}

int gstk_chan_recv_until(gstk_chan *c, void *elem, uint64_t deadline_ns)
{
	return recv(c, elem, deadline_ns);
}

int gstk_chan_try_recv(gstk_chan *c, void *elem)
{
	void *block = NULL;
	uint32_t wake, size;
	int r;

	gstk__lock(&c->lock);
	r = take(c, elem, &block, &wake);
	size = c->elem_size;
	gstk__unlock(&c->lock);
	if (unlikely(block))
		unpack_block(c, elem, block, size);
	finish_wake(wake, false);
	return r;
}

/* ---- the rest ---- */

int gstk_chan_close(gstk_chan *c)
{
	/* A part at a time, so that nobody spins on the lock for a million waiters. */
	enum { PART = 64 };
	bool more = true;

	gstk__lock(&c->lock);
	if (c->closed) {
		gstk__unlock(&c->lock);
		return -EPIPE;
	}
	c->closed = 1;
	gstk__wake_batch_begin();
	while (more) {
		uint32_t woken[PART], nr = 0;

		while (nr < PART) {
			struct gstk__chanq *q = c->recv.head ? &c->recv : &c->send;
			uint32_t item = q->head;
			int order;

			if (!item)
				break;
			if (likely(!(item & GSTK__NODE))) {
				order = wake_task(q, gstk__task(item), GSTK__CODE_CLOSED);
			} else {
				order = wake_node(q, item, true);
				item = gstk__node(item)->task;
			}
			item = wake_of(order, item);
			if (item)
				woken[nr++] = item;
		}
		more = c->recv.head || c->send.head;
		gstk__unlock(&c->lock);
		/* Without more the channel may be gone from here on. */
		for (uint32_t i = 0; i < nr; i++)
			finish_wake(woken[i], false);
		if (more)
			gstk__lock(&c->lock);
	}
	gstk__wake_batch_end();
	return 0;
}

size_t gstk_chan_len(gstk_chan *c)
{
	size_t nr;

	gstk__lock(&c->lock);
	nr = c->nr;
	gstk__unlock(&c->lock);
	return nr;
}

bool gstk__chan_try_add(struct gstk_chan *c, uint64_t count)
{
	void *block = NULL;
	uint32_t wake;

	if (atomic_exchange_explicit(&c->lock, 1, memory_order_acquire))
		return false;
	if (give(c, &count, &block, &wake) == -EAGAIN) {
		uint64_t sum;

		memcpy(&sum, slot_at(c, 0), sizeof(sum));
		sum += count;
		memcpy(slot_at(c, 0), &sum, sizeof(sum));
	}
	gstk__unlock(&c->lock);
	finish_wake(wake, false);
	return true;
}
