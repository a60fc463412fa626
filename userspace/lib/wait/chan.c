// SPDX-License-Identifier: MIT
/*
 * Send and receive. See chan.h for what holds under the lock, pass.h for how a message passes. The way of a
 * message of 8 bytes:
 *
 *	recv: nobody there -> link, gstk__block_unlock()            ... copy from its own ->msg
 *	send: pop the receiver, write its ->msg, win its wait, unlock, gstk__handoff()
 *
 * Budget of an operation that does not park: the lock's exchange, one compare-and-swap when there
 * is a waiter, one cache line of the channel, one of the waiter. See bench chan.unbuffered.1worker.
 */
#include "wait/pass.h"

#include "arch/far.h"
#include "sched/here.h"

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
		r = gstk__give(c, elem, &block, &wake);
		if (r == 0) {
			gstk__unlock(&c->lock);
			if (block)
				gstk__msg_put(block, size);
			gstk__finish_wake(wake, false);
			return 0;
		}
	}
	if (!t || r != -EAGAIN || unlikely(gstk__wait_expired(deadline_ns))) {
		gstk__unlock(&c->lock);
		r = t && r == -EAGAIN ? -ETIMEDOUT : r;
		goto put;
	}
	if (gstk__no_wait_here()) {
		r = gstk__wait_refused(&c->lock);
		goto put;
	}
	if (likely(size <= GSTK__SLOT))
		gstk__elem_copy(t->msg, elem, size);
	else
		t->msg[0] = (uintptr_t)block;
	t->obj = c;
	gstk__chanq_push(&c->send, gstk__task_index(t));
	if (unlikely(gstk__chan_flags(c)))
		gstk__locks_chan_waits(c, t, deadline_ns);
	code = gstk__block_unlock(&c->lock, GSTK__WAIT_CHAN_SEND, deadline_ns);
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
		return 0;
	}
	r = gstk__gave_up(c, &c->send, t, code);
put:
	if (block)
		gstk__msg_put(block, size);
	return r;
}

static __attribute__((noinline)) int send_end_slow(struct gstk_task *t, enum gstk__code code, void *arg, uint32_t n)
{
	struct gstk_chan *c = arg;

	if (code != GSTK__CODE_OK)
		return gstk__gave_up(c, &c->send, t, code);
	gstk__wait_released(t);
	return 0;
}

static int send_end(struct gstk_task *t, enum gstk__code code, void *c, uint32_t n)
{
	return likely(code == GSTK__CODE_OK && gstk__wait_is_released(t)) ? 0 : send_end_slow(t, code, c, n);
}

/* The commonest wait: a small message, no deadline, not watched. Lock held, and no receiver. No call: see recv_wait(). */
static __attribute__((noinline)) GSTK__FAR_RETURN int send_wait(struct gstk_chan *c, struct gstk_task *t,
								const void *elem)
{
	if (gstk__no_wait_here())
		return gstk__wait_refused(&c->lock);
	gstk__elem_copy(t->msg, elem, c->elem_size);
	t->obj = c;
	gstk__chanq_push(&c->send, gstk__task_index(t));
	return gstk__block_then(&c->lock, GSTK__WAIT_CHAN_SEND, GSTK_NEVER, send_end, c, 0);
}

/* Made twice, for no deadline and for one. */
static inline __attribute__((always_inline)) int send(gstk_chan *c, const void *elem, uint64_t deadline_ns)
{
	struct gstk_task *t;
	void *block = NULL;
	uint32_t wake;
	int r = gstk__wait_begin(&t, "gstk_chan_send");

	if (unlikely(r))
		return r;
	gstk__lock(&c->lock);
	r = gstk__give(c, elem, &block, &wake);
	if (r == -EAGAIN && deadline_ns == GSTK_NEVER && likely(c->elem_size <= GSTK__SLOT && !gstk__chan_flags(c)))
		return send_wait(c, t, elem);
	if (unlikely(r != 0 && r != -EPIPE))
		return send_slow(c, t, elem, deadline_ns, r);
	gstk__unlock(&c->lock);
	gstk__finish_wake(wake, true);
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
	r = gstk__give(c, elem, &block, &wake);
	if (unlikely(r == GSTK__NEED_BLOCK))
		return send_slow(c, NULL, elem, 0, r);
	gstk__unlock(&c->lock);
	gstk__finish_wake(wake, false);
	return r;
}

/* ---- receive ---- */

static __attribute__((noinline)) int recv_end_slow(struct gstk_task *t, enum gstk__code code, void *elem, uint32_t size)
{
	struct gstk_chan *c = t->obj;

	if (code != GSTK__CODE_OK)
		return gstk__gave_up(c, &c->recv, t, code);
	gstk__wait_released(t);
	if (size > GSTK__SLOT)
		gstk__unpack_block(elem, (void *)(uintptr_t)t->msg[0], size);
	else if (elem)
		gstk__elem_copy(elem, t->msg, size);
	return 0;
}

/* The channel may be gone when all is well. */
static int recv_end(struct gstk_task *t, enum gstk__code code, void *elem, uint32_t size)
{
	if (unlikely(code != GSTK__CODE_OK || size > GSTK__SLOT || !gstk__wait_is_released(t)))
		return recv_end_slow(t, code, elem, size);
	if (likely(elem))
		gstk__elem_copy(elem, t->msg, size);
	return 0;
}

/* Lock held; nothing there. No call, so no register is saved. */
static __attribute__((noinline)) GSTK__FAR_RETURN int recv_wait(struct gstk_chan *c, struct gstk_task *t, void *elem)
{
	if (gstk__no_wait_here())
		return gstk__wait_refused(&c->lock);
	t->obj = c;
	gstk__chanq_push(&c->recv, gstk__task_index(t));
	return gstk__block_then(&c->lock, GSTK__WAIT_CHAN_RECV, GSTK_NEVER, recv_end, elem, c->elem_size);
}

/* The same with a deadline, or watched. */
static __attribute__((noinline)) GSTK__FAR_RETURN int recv_wait_until(struct gstk_chan *c, struct gstk_task *t,
								      void *elem, uint64_t deadline_ns)
{
	if (unlikely(gstk__wait_expired(deadline_ns))) {
		gstk__unlock(&c->lock);
		return -ETIMEDOUT;
	}
	if (gstk__no_wait_here())
		return gstk__wait_refused(&c->lock);
	t->obj = c;
	gstk__chanq_push(&c->recv, gstk__task_index(t));
	if (unlikely(gstk__chan_flags(c))) /* watched: a closed one is not waited for */
		gstk__locks_chan_waits(c, t, deadline_ns);
	return gstk__block_then(&c->lock, GSTK__WAIT_CHAN_RECV, deadline_ns, recv_end, elem, c->elem_size);
}

/* Lock held; something is there, perhaps. */
static __attribute__((noinline)) GSTK__FAR_RETURN int recv_take(struct gstk_chan *c, struct gstk_task *t,
								void *elem, uint64_t deadline_ns)
{
	void *block = NULL;
	uint32_t wake, size;
	int r = gstk__take(c, elem, &block, &wake);

	if (unlikely(r == -EAGAIN))
		return recv_wait_until(c, t, elem, deadline_ns);
	size = c->elem_size;
	gstk__unlock(&c->lock);
	if (unlikely(block))
		gstk__unpack_block(elem, block, size);
	gstk__finish_wake(wake, false);
	return r;
}

static __attribute__((noinline)) GSTK__FAR_RETURN int recv_slow(struct gstk_chan *c, void *elem, uint64_t deadline_ns)
{
	struct gstk_task *t;
	int r = gstk__wait_begin(&t, "gstk_chan_recv");

	if (unlikely(r))
		return r;
	gstk__lock(&c->lock);
	return recv_take(c, t, elem, deadline_ns);
}

/* Its ways are all jumps: no register is saved before it is known which is taken. */
static inline __attribute__((always_inline)) int recv(gstk_chan *c, void *elem, uint64_t deadline_ns)
{
	struct gstk_task *t = gstk__ready_task();

	if (unlikely(!t || !gstk__trylock(&c->lock)))
		return recv_slow(c, elem, deadline_ns);
	if (likely(deadline_ns == GSTK_NEVER && !(c->nr | c->send.head | gstk__chan_flags(c))))
		return recv_wait(c, t, elem);
	return recv_take(c, t, elem, deadline_ns);
}

/* Never inlined, by LTO neither: gstk-tlscheck has to see who waits. */
__attribute__((noinline)) int gstk_chan_recv(gstk_chan *c, void *elem)
{
	return recv(c, elem, GSTK_NEVER);
}

__attribute__((noinline)) int gstk_chan_recv_until(gstk_chan *c, void *elem, uint64_t deadline_ns)
{
	return recv(c, elem, deadline_ns);
}

int gstk_chan_try_recv(gstk_chan *c, void *elem)
{
	void *block = NULL;
	uint32_t wake, size;
	int r;

	gstk__lock(&c->lock);
	r = gstk__take(c, elem, &block, &wake);
	size = c->elem_size;
	gstk__unlock(&c->lock);
	if (unlikely(block))
		gstk__unpack_block(elem, block, size);
	gstk__finish_wake(wake, false);
	return r;
}
