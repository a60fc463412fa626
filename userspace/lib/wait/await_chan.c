// SPDX-License-Identifier: MIT
/* Channels, for stackless tasks: what chan.c does before a park, and after it. */
#include "wait/await.h"
#include "wait/pass.h"

enum gstk_progress gstk_await_recv(gstk_future *f, gstk_chan *chan, void *elem, uint64_t deadline_ns)
{
	if (unlikely(gstk__await_refuse(f, elem, "gstk_await_recv: the element")))
		return gstk__await_over(f, -EINVAL);
	f->s->arg = elem;
	f->s->len = chan->elem_size; /* when it is woken the channel may be gone */
	return gstk__await(f, GSTK__AWAIT_RECV, chan, deadline_ns);
}

static int64_t recv_begin(struct gstk_future *f)
{
	struct gstk_chan *c = f->task->obj;
	void *block = NULL;
	uint32_t wake;
	int r;

	gstk__lock(&c->lock);
	r = gstk__take(c, f->s->arg, &block, &wake);
	if (r == -EAGAIN && !gstk__wait_expired(f->deadline_ns)) {
		gstk__chanq_push(&c->recv, gstk__task_index(f->task));
		f->lock = &c->lock;
		return GSTK__AWAIT_PARK;
	}
	gstk__unlock(&c->lock);
	if (unlikely(block))
		gstk__unpack_block(f->s->arg, block, f->s->len);
	gstk__finish_wake(wake, false);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

static int64_t recv_end(struct gstk_future *f, enum gstk__code code)
{
	struct gstk_chan *c = f->task->obj;
	struct gstk__stackless *s = f->s;

	if (unlikely(code != GSTK__CODE_OK))
		return gstk__gave_up(c, &c->recv, f->task, code);
	gstk__wait_released(f->task);
	if (unlikely(s->len > GSTK__SLOT))
		gstk__unpack_block(s->arg, (void *)(uintptr_t)f->task->msg[0], s->len);
	else if (s->arg)
		gstk__elem_copy(s->arg, f->task->msg, s->len);
	return 0;
}

const struct gstk__await gstk__await_recv = { GSTK__WAIT_CHAN_RECV, recv_begin, recv_end };

/* The element is copied to where it waits at last: the task's slot, or a block. */
enum gstk_progress gstk_await_send(gstk_future *f, gstk_chan *chan, const void *elem, uint64_t deadline_ns)
{
	uint32_t size = chan->elem_size;
	void *block = NULL;

	if (unlikely(gstk__cancel_pending(f->task)))
		return gstk__await_over(f, -ECANCELED);
	if (likely(size <= GSTK__SLOT)) {
		gstk__elem_copy(f->task->msg, elem, size);
	} else {
		block = gstk__msg_get(size);
		if (!block)
			return gstk__await_over(f, -ENOMEM);
		memcpy(block, elem, size);
		f->task->msg[0] = (uintptr_t)block;
	}
	f->s->arg = block;
	f->s->len = size;
	f->s->op = GSTK__AWAIT_SEND;
	f->task->obj = chan;
	f->deadline_ns = deadline_ns;
	return GSTK_PENDING;
}

static int64_t send_begin(struct gstk_future *f)
{
	struct gstk_chan *c = f->task->obj;
	void *block = f->s->arg;
	uint32_t wake;
	int r;

	gstk__lock(&c->lock);
	r = gstk__give(c, block ? block : f->task->msg, &block, &wake);
	if (r == -EAGAIN && !gstk__wait_expired(f->deadline_ns)) {
		gstk__chanq_push(&c->send, gstk__task_index(f->task));
		f->lock = &c->lock;
		return GSTK__AWAIT_PARK;
	}
	gstk__unlock(&c->lock);
	if (block)
		gstk__msg_put(block, f->s->len);
	gstk__finish_wake(wake, true);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

static int64_t send_end(struct gstk_future *f, enum gstk__code code)
{
	struct gstk_chan *c = f->task->obj;
	int r;

	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(f->task);
		return 0;
	}
	r = gstk__gave_up(c, &c->send, f->task, code);
	if (f->s->arg)
		gstk__msg_put(f->s->arg, f->s->len);
	return r;
}

const struct gstk__await gstk__await_send = { GSTK__WAIT_CHAN_SEND, send_begin, send_end };
