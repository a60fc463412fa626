// SPDX-License-Identifier: MIT
/* Free windows: shared ones of equal size, private ones of their own size. */
#include "window/window.h"

#include "debug/annotate.h"
#include "debug/seal.h"
#include "host/host.h"
#include "host/lock.h"

/* Free ones; some private ones have a mapping, kept for reuse. Those that the sweep has trimmed are apart: it need not
 * look at them again, and they can be had while it trims others. */
static struct {
	_Atomic uint32_t lock;
	uint32_t head, clean; /* shared */
	uint32_t private_head, private_clean;
	uint32_t private_high;
} lists;

/* Lock held. What was used last is warm. */
static uint32_t pop(void)
{
	uint32_t *list = lists.head ? &lists.head : &lists.clean, i = *list;

	if (i)
		*list = gstk__win(i)->next_free;
	return i;
}

uint32_t gstk__win_get_slow(struct gstk__win_cache *c)
{
	struct gstk__windows *ws = &gstk__windows;
	uint32_t got = 0, i;

	gstk__lock(&lists.lock);
	while ((!got || c->nr < ws->cache_most / 2) && (i = pop())) {
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

static uint32_t take(uint32_t *list, uint32_t most)
{
	uint32_t head, tail;

	gstk__lock(&lists.lock);
	head = tail = *list;
	for (; most > 1 && tail && gstk__win(tail)->next_free; most--)
		tail = gstk__win(tail)->next_free;
	if (tail) {
		*list = gstk__win(tail)->next_free;
		gstk__win(tail)->next_free = 0;
	}
	gstk__unlock(&lists.lock);
	return head;
}

static void put(uint32_t *list, uint32_t head)
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

uint32_t gstk__win_take_free(uint32_t most)
{
	return take(&lists.head, most);
}

void gstk__win_put_clean(uint32_t head)
{
	put(&lists.clean, head);
}

uint32_t gstk__win_take_free_private(uint32_t most)
{
	return take(&lists.private_head, most);
}

void gstk__win_put_clean_private(uint32_t head)
{
	put(&lists.private_clean, head);
}

uint32_t gstk__win_private_high(void)
{
	uint32_t high;

	gstk__lock(&lists.lock);
	high = (uint32_t)gstk__windows.nr + 1 + lists.private_high;
	gstk__unlock(&lists.lock);
	return high;
}

/* The link to one of that size; only the first few are looked at. */
static uint32_t *of_size(uint32_t *list, size_t size)
{
	for (int i = 0; *list && i < 16; list = &gstk__win(*list)->next_free, i++)
		if (gstk__win(*list)->map_size == size)
			return list;
	return NULL;
}

uint32_t gstk__win_get_private(size_t stack_size)
{
	struct gstk__windows *ws = &gstk__windows;
	size_t size = (stack_size + ws->guard + 0xffff) & ~(size_t)0xffff;
	uint32_t i, *link;
	struct gstk__window *w;

	gstk__lock(&lists.lock);
	link = of_size(&lists.private_head, size);
	if (!link)
		link = of_size(&lists.private_clean, size);
	if (!link)
		link = lists.private_head ? &lists.private_head : &lists.private_clean;
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
	lists.head = lists.clean = lists.private_head = lists.private_clean = lists.private_high = 0;
}
