// SPDX-License-Identifier: MIT
/* Free windows: shared ones of equal size, private ones of their own size. */
#include "window/window.h"

#include "debug/annotate.h"
#include "debug/seal.h"
#include "host/host.h"
#include "host/lock.h"

static struct {
	_Atomic uint32_t lock;
	uint32_t head;	       /* shared, free */
	uint32_t private_head; /* private records, some with a mapping kept for reuse */
	uint32_t private_high;
} lists;

uint32_t gstk__win_get_slow(struct gstk__win_cache *c)
{
	struct gstk__windows *ws = &gstk__windows;
	uint32_t got = 0;

	gstk__lock(&lists.lock);
	while (lists.head && (!got || c->nr < ws->cache_most / 2)) {
		uint32_t i = lists.head;

		lists.head = gstk__win(i)->next_free;
		if (!got) {
			got = i;
			continue;
		}
		gstk__win(i)->next_free = c->head;
		c->head = i;
		c->nr++;
	}
	gstk__unlock(&lists.lock);
	if (got) {
		gstk__win_guard(got);
	} else {
		got = atomic_load_explicit(&ws->fresh, memory_order_relaxed);
		do {
			if (got > ws->nr)
				return 0;
		} while (!atomic_compare_exchange_weak(&ws->fresh, &got, got + 1));
		gstk__win_guard(got);
	}
	return got;
}

void gstk__win_put_slow(struct gstk__win_cache *c, uint32_t index)
{
	if (__builtin_expect(gstk__sealing, 0) && !(index = gstk__seal_quarantine(index)))
		return;
	gstk__lock(&lists.lock);
	gstk__win(index)->next_free = lists.head;
	lists.head = index;
	for (; c->nr > gstk__windows.cache_most / 2 && c->head; c->nr--) {
		uint32_t j = c->head;

		c->head = gstk__win(j)->next_free;
		gstk__win(j)->next_free = lists.head;
		lists.head = j;
	}
	gstk__unlock(&lists.lock);
}

static uint32_t take_list(uint32_t *list)
{
	uint32_t head;

	gstk__lock(&lists.lock);
	head = *list;
	*list = 0;
	gstk__unlock(&lists.lock);
	return head;
}

static void put_list(uint32_t *list, uint32_t head)
{
	uint32_t tail = head;

	if (!head)
		return;
	while (gstk__win(tail)->next_free)
		tail = gstk__win(tail)->next_free;
	gstk__lock(&lists.lock);
	gstk__win(tail)->next_free = *list;
	*list = head;
	gstk__unlock(&lists.lock);
}

/* The whole list of free windows, for the sweep to trim; give it back with gstk__win_put_list(). */
uint32_t gstk__win_take_free(void)
{
	return take_list(&lists.head);
}

void gstk__win_put_list(uint32_t head)
{
	put_list(&lists.head, head);
}

uint32_t gstk__win_take_free_private(void)
{
	return take_list(&lists.private_head);
}

void gstk__win_put_list_private(uint32_t head)
{
	put_list(&lists.private_head, head);
}

uint32_t gstk__win_private_high(void)
{
	uint32_t high;

	gstk__lock(&lists.lock);
	high = (uint32_t)gstk__windows.nr + 1 + lists.private_high;
	gstk__unlock(&lists.lock);
	return high;
}

uint32_t gstk__win_get_private(size_t stack_size)
{
	struct gstk__windows *ws = &gstk__windows;
	size_t size = (stack_size + ws->guard + 0xffff) & ~(size_t)0xffff;
	uint32_t i, *link;
	struct gstk__window *w;

	gstk__lock(&lists.lock);
	for (link = &lists.private_head, i = 0; *link && i < 16; link = &gstk__win(*link)->next_free, i++)
		if (gstk__win(*link)->map_size == size)
			break;
	if (!*link || gstk__win(*link)->map_size != size)
		link = &lists.private_head;
	i = *link;
	if (i)
		*link = gstk__win(i)->next_free;
	else if (lists.private_high < ws->nr_private)
		i = (uint32_t)ws->nr + ++lists.private_high;
	gstk__unlock(&lists.lock);
	if (!i)
		return 0;
	w = gstk__win(i);
	w->low = 0;
	if (w->map && w->map_size != size) {
		gstk__annotate_unmapped(w->map, w->map_size);
		gstk__mem_release(w->map, w->map_size);
		__atomic_store_n(&w->map, NULL, __ATOMIC_RELAXED);
		w->flags = 0;
	}
	if (!w->map) {
		__atomic_store_n(&w->map_size, size, __ATOMIC_RELAXED);
		__atomic_store_n(&w->map, gstk__mem_reserve(size, 4096), __ATOMIC_RELAXED);
		w->flags = GSTK__WIN_PRIVATE;
		if (!w->map) {
			gstk__win_put_private(i);
			return 0;
		}
	}
	gstk__win_guard(i);
	return i;
}

void gstk__win_put_private(uint32_t index)
{
	struct gstk__window *w = gstk__win(index);

	w->flags |= GSTK__WIN_PRIVATE;
	gstk__lock(&lists.lock);
	w->next_free = lists.private_head;
	lists.private_head = index;
	gstk__unlock(&lists.lock);
}

void gstk__win_lists_reset(void)
{
	lists.head = lists.private_head = lists.private_high = 0;
}
