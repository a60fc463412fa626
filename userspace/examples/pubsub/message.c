// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include "message.h"

struct ring {
	uint32_t head, nr, cap; /* cap: a power of two */
	uint32_t offset;	/* bytes of the first message that are sent */
	size_t bytes;
	struct message *slot[];
};

struct message *message_new(size_t len)
{
	struct message *m = len < UINT32_MAX ? malloc(sizeof(*m) + len) : NULL;

	if (m) {
		atomic_init(&m->refs, 1);
		m->len = (uint32_t)len;
	}
	return m;
}

void message_put(struct message *m)
{
	if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
		free(m);
}

static struct ring *ring_of(outq q)
{
	return q & 1 ? (struct ring *)(q - 1) : NULL;
}

static struct message *nth(const struct ring *r, uint32_t i)
{
	return r->slot[(r->head + i) & (r->cap - 1)];
}

/* The ring of the queue, with room for one more. */
static struct ring *ring_grow(outq *q)
{
	struct ring *r = ring_of(*q), *bigger;
	uint32_t cap = r ? 2 * r->cap : 4;

	if (r && r->nr < r->cap)
		return r;
	bigger = malloc(sizeof(*bigger) + cap * sizeof(bigger->slot[0]));
	if (!bigger)
		return NULL;
	*bigger = (struct ring){ .cap = cap };
	if (r) {
		bigger->nr = r->nr;
		bigger->offset = r->offset;
		bigger->bytes = r->bytes;
		for (uint32_t i = 0; i < r->nr; i++)
			bigger->slot[i] = nth(r, i);
		free(r);
	} else if (*q) {
		bigger->slot[0] = (struct message *)*q;
		bigger->nr = 1;
		bigger->bytes = bigger->slot[0]->len;
	}
	*q = (uintptr_t)bigger | 1;
	return bigger;
}

bool outq_push(outq *q, struct message *m)
{
	struct ring *r;

	if (!*q) {
		*q = (uintptr_t)m;
		return true;
	}
	r = ring_grow(q);
	if (!r) {
		message_put(m);
		return false;
	}
	r->slot[(r->head + r->nr++) & (r->cap - 1)] = m;
	r->bytes += m->len;
	return true;
}

size_t outq_bytes(outq q)
{
	return !q ? 0 : q & 1 ? ring_of(q)->bytes : ((struct message *)q)->len;
}

int outq_iov(outq q, struct iovec *iov, int max)
{
	struct ring *r = ring_of(q);
	int n = 0;

	if (!q || max < 1)
		return 0;
	if (!r) {
		struct message *m = (struct message *)q;

		iov[0] = (struct iovec){ m->data, m->len };
		return 1;
	}
	for (; n < max && n < (int)r->nr; n++) {
		struct message *m = nth(r, (uint32_t)n);
		uint32_t skip = n ? 0 : r->offset;

		iov[n] = (struct iovec){ m->data + skip, m->len - skip };
	}
	return n;
}

bool outq_sent(outq *q, size_t n)
{
	struct ring *r = ring_of(*q);

	if (!n)
		return true;
	if (!r) {
		if (n >= outq_bytes(*q)) {
			outq_clear(q);
			return true;
		}
		r = ring_grow(q);
		if (!r)
			return false;
	}
	r->bytes -= n;
	while (r->nr) {
		struct message *m = nth(r, 0);

		if (n < m->len - r->offset) {
			r->offset += (uint32_t)n;
			return true;
		}
		n -= m->len - r->offset;
		message_put(m);
		r->head = (r->head + 1) & (r->cap - 1);
		r->nr--;
		r->offset = 0;
	}
	outq_clear(q);
	return true;
}

void outq_clear(outq *q)
{
	struct ring *r = ring_of(*q);

	if (r) {
		for (uint32_t i = 0; i < r->nr; i++)
			message_put(nth(r, i));
		free(r);
	} else if (*q) {
		message_put((struct message *)*q);
	}
	*q = 0;
}

bool outq_splice(outq *q, outq *from)
{
	struct ring *r = ring_of(*from);
	bool ok = true;

	if (!*q) {
		*q = *from;
		*from = 0;
		return true;
	}
	if (r)
		for (uint32_t i = 0; i < r->nr; i++)
			ok &= outq_push(q, message_get(nth(r, i)));
	else if (*from)
		ok = outq_push(q, message_get((struct message *)*from));
	outq_clear(from);
	return ok;
}
