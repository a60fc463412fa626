/* SPDX-License-Identifier: GPL-2.0 */
/* A memcg-aware shrinker over a list_lru, on kernels 6.1 to 7.2. */
#ifndef GSK_COMPAT_SHRINK_H
#define GSK_COMPAT_SHRINK_H

#include <linux/list_lru.h>
#include <linux/shrinker.h>
#include <linux/version.h>

/* The walk's callback got the list's lock until 6.13. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define GSK_LRU_LOCK_PARAM
#else
#define GSK_LRU_LOCK_PARAM spinlock_t *lock,
#endif

typedef unsigned long (*gsk_shrink_fn)(struct shrinker *shrinker, struct shrink_control *sc);

struct gsk_shrinker {
	bool ready;	/* before it: registered, but without a list */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct shrinker *s;
#else
	struct shrinker s;
#endif
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)

static inline int gsk_shrinker_register(struct gsk_shrinker *g, struct list_lru *lru,
					gsk_shrink_fn count, gsk_shrink_fn scan)
{
	int err;

	g->s = shrinker_alloc(SHRINKER_MEMCG_AWARE | SHRINKER_NUMA_AWARE, "greenstk");
	if (!g->s)
		return -ENOMEM;
	err = list_lru_init_memcg(lru, g->s);
	if (err) {
		shrinker_free(g->s);
		return err;
	}
	g->s->count_objects = count;
	g->s->scan_objects = scan;
	g->s->seeks = DEFAULT_SEEKS;
	/* Pairs with the acquire in the shrinker. */
	smp_store_release(&g->ready, true);
	shrinker_register(g->s);
	return 0;
}

static inline void gsk_shrinker_unregister(struct gsk_shrinker *g, struct list_lru *lru)
{
	shrinker_free(g->s);
	list_lru_destroy(lru);
}

#else

/* The list needs the shrinker's id, which it has when it is registered. */
static inline int gsk_shrinker_register(struct gsk_shrinker *g, struct list_lru *lru,
					gsk_shrink_fn count, gsk_shrink_fn scan)
{
	int err;

	g->s.count_objects = count;
	g->s.scan_objects = scan;
	g->s.seeks = DEFAULT_SEEKS;
	g->s.flags = SHRINKER_MEMCG_AWARE | SHRINKER_NUMA_AWARE;
	err = register_shrinker(&g->s, "greenstk");
	if (err)
		return err;
	err = list_lru_init_memcg(lru, &g->s);
	if (err) {
		unregister_shrinker(&g->s);
		return err;
	}
	/* Pairs with the acquire in the shrinker. */
	smp_store_release(&g->ready, true);
	return 0;
}

static inline void gsk_shrinker_unregister(struct gsk_shrinker *g, struct list_lru *lru)
{
	unregister_shrinker(&g->s);
	list_lru_destroy(lru);
}

#endif

/* Add and delete by the memcg and node of the item's slab object. */
static inline bool gsk_lru_add(struct list_lru *lru, struct list_head *item)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return list_lru_add_obj(lru, item);
#else
	return list_lru_add(lru, item);
#endif
}

static inline bool gsk_lru_del(struct list_lru *lru, struct list_head *item)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return list_lru_del_obj(lru, item);
#else
	return list_lru_del(lru, item);
#endif
}

#endif
