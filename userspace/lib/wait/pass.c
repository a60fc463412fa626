// SPDX-License-Identifier: MIT
/* The rare halves of pass.h, and channels as a whole: made, closed, asked, destroyed. */
#include "wait/pass.h"

#include "host/refuse.h"

int gstk_chan_create(gstk_chan **chan, size_t elem_size, size_t capacity)
{
	struct gstk_chan *c;
	size_t bytes;

	if (!chan)
		return gstk__refuse("gstk_chan_create: nowhere to put the channel; give the address of a gstk_chan *");
	if (elem_size > INT32_MAX || capacity > INT32_MAX)
		return gstk__refuse("gstk_chan_create: %zu elements of %zu bytes; at most %d of each: send pointers to what is so big",
				    capacity, elem_size, INT32_MAX);
	/* More than any address space: malloc() of a sanitizer would abort. */
	if (__builtin_mul_overflow(elem_size, capacity, &bytes) || bytes > 1ull << 46)
		return -ENOMEM;
	c = gstk__msg_get(sizeof(*c) + bytes);
	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->elem_size = (uint32_t)elem_size;
	c->capacity = (uint32_t)capacity;
	if (unlikely(gstk__locks_watched))
		atomic_store_explicit(&c->users, GSTK__CHAN_WATCHED, memory_order_relaxed);
	*chan = c;
	return 0;
}

int gstk_chan_destroy(gstk_chan *c)
{
	bool busy;

	if (!c)
		return 0;
	gstk__lock(&c->lock);
	/* Acquire: partner is the release of a select that is through. */
	busy = c->recv.head || c->send.head ||
	       atomic_load_explicit(&c->users, memory_order_acquire) & ~GSTK__CHAN_FLAGS;
	gstk__unlock(&c->lock);
	if (busy)
		return -EBUSY;
	if (unlikely(gstk__locks_watched))
		gstk__locks_chan_gone(c);
	gstk__msg_put(c, sizeof(*c) + (size_t)c->elem_size * c->capacity);
	return 0;
}

int gstk__gave_up(struct gstk_chan *c, struct gstk__chanq *q, struct gstk_task *t, enum gstk__code code)
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

void gstk__unpack_block(void *elem, void *block, uint32_t size)
{
	if (elem)
		memcpy(elem, block, size);
	gstk__msg_put(block, size);
}

int gstk__wake_node(struct gstk__chanq *q, uint32_t item, bool closed)
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
	if (unlikely(order == GSTK__ENQUEUE && (gstk__flags(gstk__task(n->task)) & GSTK__T_FOREIGN))) {
		gstk__enqueue(gstk__task(n->task)); /* now: after unlocking its thread may be gone */
		return GSTK__LEFT_NODE;
	}
	return order == GSTK__LEFT ? GSTK__LEFT_NODE : (int)order;
}

uint32_t gstk__refill(struct gstk_chan *c)
{
	uint32_t wake = 0;
	uint64_t *slot = gstk__pop_sender(c, &wake);

	if (!slot)
		return 0;
	if (c->elem_size <= GSTK__SLOT) {
		gstk__elem_copy(gstk__slot_at(c, c->nr), slot, c->elem_size);
	} else {
		memcpy(gstk__slot_at(c, c->nr), (void *)(uintptr_t)slot[0], c->elem_size);
		gstk__msg_put((void *)(uintptr_t)slot[0], c->elem_size);
	}
	c->nr++;
	return wake;
}

static __attribute__((cold, noinline)) int refuse(const char *call)
{
	return gstk__refuse("%s: the channel is NULL; gstk_chan_create() makes one", call);
}

int gstk_chan_close(gstk_chan *c)
{
	/* A part at a time, so that nobody spins on the lock for a million waiters. */
	enum { PART = 64 };
	bool more = true;

	if (unlikely(!c))
		return refuse("gstk_chan_close");
	gstk__lock(&c->lock);
	if (gstk__chan_closed(c)) {
		gstk__unlock(&c->lock);
		return -EPIPE;
	}
	atomic_fetch_or_explicit(&c->users, GSTK__CHAN_CLOSED, memory_order_relaxed);
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
				order = gstk__wake_task(q, gstk__task(item), GSTK__CODE_CLOSED);
			} else {
				order = gstk__wake_node(q, item, true);
				item = gstk__node(item)->task;
			}
			item = gstk__wake_of(order, item);
			if (item)
				woken[nr++] = item;
		}
		more = c->recv.head || c->send.head;
		gstk__unlock(&c->lock);
		/* Without more the channel may be gone from here on. */
		for (uint32_t i = 0; i < nr; i++)
			gstk__finish_wake(woken[i], false);
		if (more)
			gstk__lock(&c->lock);
	}
	gstk__wake_batch_end();
	return 0;
}

size_t gstk_chan_len(gstk_chan *c)
{
	size_t nr;

	if (unlikely(!c)) {
		refuse("gstk_chan_len");
		return 0;
	}
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
	if (gstk__give(c, &count, &block, &wake) == -EAGAIN) {
		uint64_t sum;

		memcpy(&sum, gstk__slot_at(c, 0), sizeof(sum));
		sum += count;
		memcpy(gstk__slot_at(c, 0), &sum, sizeof(sum));
	}
	gstk__unlock(&c->lock);
	gstk__finish_wake(wake, false);
	return true;
}
