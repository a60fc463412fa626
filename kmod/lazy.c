// SPDX-License-Identifier: GPL-2.0
/*
 * RECLAIM LAZY: what lies below idle stacks, taken when memory is short.
 *
 * Each window has a word that user space shares (see greenstk.h): user space
 * swaps IDLE to BUSY and runs, without a call; the shrinker swaps IDLE to
 * RECLAIMING, and the other side waits until it is BUSY again. A word that user
 * space spoils loses only its own bytes.
 *
 * The shrinker tries locks, it never waits for one: a window that is being
 * switched or touched is not idle.
 *
 * Not unmap_mapping_range(), which needs no mmap_lock: it would also empty the
 * child of a fork, whose VMA hangs on the same file.
 */
#include <linux/list_lru.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "account.h"
#include "compat/compat.h"
#include "compat/shrink.h"
#include "lazy.h"
#include "move.h"
#include "space.h"
#include "trace.h"
#include "vma.h"
#include "window.h"

struct gsk_lazy {
	struct list_head lru;		/* of one memcg and node, touched under its lock only */
	struct gsk_lazy *next;		/* for the shrinker that has it, ... */
	unsigned long taken;		/* ... which is only one: bit 0 */
	struct gsk_space *space;
	u32 window;
	u32 keep;			/* pages; under the window lock */
};

static struct list_lru lazy_lru;
static struct kmem_cache *lazy_cache;
static struct gsk_shrinker lazy_shrinker;

static u32 *word_of(struct gsk_space *space, u32 window)
{
	unsigned long at = window * sizeof(u32);

	return page_address(space->words[at >> PAGE_SHIFT]) + offset_in_page(at);
}

/**
 * gsk_lazy_add() - a window is idle
 * @space: its space
 * @window: its number, locked
 * @keep: pages from the base that stay
 *
 * Return: 0 or -ENOMEM.
 */
int gsk_lazy_add(struct gsk_space *space, u32 window, u32 keep)
{
	struct gsk_window *w = &space->windows[window];
	u32 *word = word_of(space, window);

	if (!w->lazy) {
		/* Charged to, and so listed under, the caller's memcg. */
		w->lazy = kmem_cache_alloc_lru(lazy_cache, &lazy_lru, GFP_KERNEL);
		if (!w->lazy)
			return -ENOMEM;
		INIT_LIST_HEAD(&w->lazy->lru);
		w->lazy->taken = 0;
		w->lazy->space = space;
		w->lazy->window = window;
	}
	w->lazy->keep = keep;
	/* The shrinker that has it already goes on, with the new keep. */
	if (READ_ONCE(*word) != GREENSTK_WORD_RECLAIMING)
		WRITE_ONCE(*word, GREENSTK_WORD_IDLE);
	gsk_lru_add(&lazy_lru, &w->lazy->lru);
	return 0;
}

/* SWITCH gave the window to another stack: what was said about it is void. */
void gsk_lazy_claimed(struct gsk_space *space, u32 window)
{
	if (space->windows[window].lazy)
		WRITE_ONCE(*word_of(space, window), GREENSTK_WORD_BUSY);
}

/* The space is going: no shrinker holds a reference to it. */
void gsk_lazy_free(struct gsk_lazy *lazy)
{
	if (!lazy)
		return;
	gsk_lru_del(&lazy_lru, &lazy->lru);
	kmem_cache_free(lazy_cache, lazy);
}

static enum lru_status isolate(struct list_head *item, struct list_lru_one *list,
			       GSK_LRU_LOCK_PARAM void *arg)
{
	struct gsk_lazy *lazy = container_of(item, struct gsk_lazy, lru), **taken = arg;
	u32 *word = word_of(lazy->space, lazy->window);

	/* Another shrinker has it, and meanwhile it was said to be idle again. */
	if (test_and_set_bit_lock(0, &lazy->taken))
		return LRU_SKIP;
	if (cmpxchg(word, GREENSTK_WORD_IDLE, GREENSTK_WORD_RECLAIMING) != GREENSTK_WORD_IDLE) {
		list_lru_isolate(list, item);	/* it runs again */
		clear_bit_unlock(0, &lazy->taken);
		return LRU_REMOVED;
	}
	if (!kref_get_unless_zero(&lazy->space->ref)) {
		WRITE_ONCE(*word, GREENSTK_WORD_IDLE);
		clear_bit_unlock(0, &lazy->taken);
		return LRU_SKIP;
	}
	list_lru_isolate(list, item);
	lazy->next = *taken;
	*taken = lazy;
	return LRU_REMOVED;
}

/* mmap_lock and the window lock are held. Return: pages freed. */
static unsigned long take_dead(struct gsk_space *space, struct gsk_lazy *lazy)
{
	struct gsk_window *w = &space->windows[lazy->window];
	unsigned long addr, freed = 0;
	struct page *pages[32];
	u32 nr, i, full;

	while (w->reach > lazy->keep) {
		nr = min_t(u32, w->reach - lazy->keep, ARRAY_SIZE(pages));
		addr = gsk_addr(space, gsk_window_base(space, lazy->window) - w->reach);
		gsk_free_begin(space, nr);
		if (gsk_peek(space->mm, addr, nr, pages)) {
			gsk_free_end(space, nr, 0);
			break;
		}
		gsk_zap_range(space->vma, addr, (unsigned long)nr << PAGE_SHIFT);
		for (i = 0, full = 0; i < nr; i++) {
			if (!pages[i])
				continue;
			put_page(pages[i]);
			full++;
		}
		gsk_free_end(space, nr, full);
		freed += full;
		w->reach -= nr;
	}
	gsk_count(space, GSK_N_reclaimed_lazy, freed);
	trace_greenstk_reclaim(space, true, 1, freed);
	return freed;
}

/* Return: pages freed; 0 if it is still lazy, or not idle after all. */
static unsigned long reclaim_one(struct gsk_lazy *lazy)
{
	struct gsk_space *space = lazy->space;
	struct gsk_window *w = &space->windows[lazy->window];
	u32 *word = word_of(space, lazy->window);
	unsigned long freed = 0;
	bool again = true;

	if (!mmget_not_zero(space->mm)) {
		again = false;
		goto out;
	}
	if (!mmap_read_trylock(space->mm))
		goto put;
	if (gsk_is_mapped(space) && gsk_window_trylock(w)) {
		if (READ_ONCE(*word) == GREENSTK_WORD_RECLAIMING)
			freed = take_dead(space, lazy);
		again = false;
		gsk_window_unlock(space, w, lazy->window);
	}
	mmap_read_unlock(space->mm);
put:
	mmput_async(space->mm);
out:
	/* Only from RECLAIMING: a SWITCH may have claimed it meanwhile. */
	if (cmpxchg(word, GREENSTK_WORD_RECLAIMING,
		    again ? GREENSTK_WORD_IDLE : GREENSTK_WORD_BUSY) ==
	    GREENSTK_WORD_RECLAIMING && again)
		gsk_lru_add(&lazy_lru, &lazy->lru);
	return freed;
}

static unsigned long count_lazy(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long nr;

	/* Pairs with the release in gsk_shrinker_register(). */
	if (!smp_load_acquire(&lazy_shrinker.ready))
		return SHRINK_EMPTY;
	nr = list_lru_shrink_count(&lazy_lru, sc);
	return nr ? nr : SHRINK_EMPTY;
}

static unsigned long scan_lazy(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct gsk_lazy *taken = NULL, *lazy;
	unsigned long freed = 0;

	/* Pairs with the release in gsk_shrinker_register(). */
	if (!smp_load_acquire(&lazy_shrinker.ready))
		return SHRINK_STOP;
	list_lru_shrink_walk(&lazy_lru, sc, isolate, &taken);
	while ((lazy = taken)) {
		struct gsk_space *space = lazy->space;

		taken = lazy->next;
		freed += reclaim_one(lazy);
		clear_bit_unlock(0, &lazy->taken);
		gsk_space_put_later(space);
	}
	return freed ? freed : SHRINK_STOP;
}

int gsk_lazy_init(void)
{
	int err;

	lazy_cache = KMEM_CACHE(gsk_lazy, SLAB_ACCOUNT);
	if (!lazy_cache)
		return -ENOMEM;
	err = gsk_shrinker_register(&lazy_shrinker, &lazy_lru, count_lazy, scan_lazy);
	if (err)
		kmem_cache_destroy(lazy_cache);
	return err;
}

void gsk_lazy_exit(void)
{
	gsk_shrinker_unregister(&lazy_shrinker, &lazy_lru);
	kmem_cache_destroy(lazy_cache);
}
