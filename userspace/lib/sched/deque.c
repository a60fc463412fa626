// SPDX-License-Identifier: MIT
#include "sched/deque.h"

#include "host/host.h"

#define TRIM_MIN 16384 /* items: a smaller ring stays */

static struct gstk__ring *ring_new(int64_t capacity)
{
	struct gstk__ring *r = malloc(sizeof(*r) + (size_t)capacity * sizeof(r->item[0]));

	if (r)
		r->mask = capacity - 1;
	return r;
}

bool gstk__deque_init(struct gstk__deque *d, uint32_t capacity)
{
	for (int k = 0; k < GSTK__RINGS; k++)
		d->rings[k] = NULL;
	d->rings[0] = ring_new(capacity);
	atomic_init(&d->top, 1);
	atomic_init(&d->bottom, 1);
	atomic_init(&d->ring, d->rings[0]);
	return d->rings[0] != NULL;
}

void gstk__deque_fini(struct gstk__deque *d)
{
	for (int k = 0; k < GSTK__RINGS; k++)
		free(d->rings[k]);
	atomic_store(&d->ring, NULL);
}

/* The ring of twice r's size: new, or one that a trim left. */
static struct gstk__ring *next_ring(struct gstk__deque *d, const struct gstk__ring *r)
{
	int k = 0;

	while (d->rings[k] != r)
		k++;
	if (k + 1 == GSTK__RINGS)
		return NULL;
	if (!d->rings[k + 1])
		d->rings[k + 1] = ring_new((r->mask + 1) * 2);
	return d->rings[k + 1];
}

struct gstk__ring *gstk__deque_grow(struct gstk__deque *d, struct gstk__ring *r, int64_t top, int64_t bottom)
{
	struct gstk__ring *n = next_ring(d, r);

	if (!n)
		return NULL;
	for (int64_t i = top; i < bottom; i++)
		atomic_store_explicit(&n->item[i & n->mask],
				      atomic_load_explicit(&r->item[i & r->mask], memory_order_relaxed),
				      memory_order_relaxed);
	atomic_store_explicit(&d->ring, n, memory_order_release);
	return n;
}

/*
 * A thief that is under way may read a page that has gone, or one that is used again: its item was taken
 * before the deque was empty, so top has moved and its compare-and-swap fails. One that comes later sees
 * the first ring, published before the bottom that it reads.
 */
void gstk__deque_trim(struct gstk__deque *d)
{
	struct gstk__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);

	if (r->mask + 1 < TRIM_MIN || gstk__deque_len(d) > 0)
		return;
	atomic_store_explicit(&d->ring, d->rings[0], memory_order_release);
	for (int k = 1; k < GSTK__RINGS && d->rings[k]; k++) {
		char *from = (char *)(((uintptr_t)d->rings[k]->item + 4095) & ~(uintptr_t)4095);
		char *to = (char *)((uintptr_t)&d->rings[k]->item[d->rings[k]->mask + 1] & ~(uintptr_t)4095);

		if (to > from)
			gstk__mem_discard(from, (size_t)(to - from));
		if (d->rings[k] == r)
			break;
	}
}
