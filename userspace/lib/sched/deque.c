// SPDX-License-Identifier: MIT
#include "sched/deque.h"

static struct gstk__ring *ring_new(int64_t capacity)
{
	struct gstk__ring *r = malloc(sizeof(*r) + (size_t)capacity * sizeof(r->item[0]));

	if (r) {
		r->older = NULL;
		r->mask = capacity - 1;
	}
	return r;
}

bool gstk__deque_init(struct gstk__deque *d, uint32_t capacity)
{
	struct gstk__ring *r = ring_new(capacity);

	atomic_init(&d->top, 1);
	atomic_init(&d->bottom, 1);
	atomic_init(&d->ring, r);
	return r != NULL;
}

void gstk__deque_fini(struct gstk__deque *d)
{
	struct gstk__ring *r = atomic_load(&d->ring), *older;

	for (; r; r = older) {
		older = r->older;
		free(r);
	}
	atomic_store(&d->ring, NULL);
}

struct gstk__ring *gstk__deque_grow(struct gstk__deque *d, struct gstk__ring *r, int64_t top, int64_t bottom)
{
	struct gstk__ring *n = ring_new((r->mask + 1) * 2);

	if (!n)
		return NULL;
	for (int64_t i = top; i < bottom; i++)
		atomic_store_explicit(&n->item[i & n->mask],
				      atomic_load_explicit(&r->item[i & r->mask], memory_order_relaxed),
				      memory_order_relaxed);
	n->older = r;
	atomic_store_explicit(&d->ring, n, memory_order_release);
	return n;
}
