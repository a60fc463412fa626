// SPDX-License-Identifier: MIT
/*
 * Classes and slabs.
 *
 * Facts to hold in mind:
 *  - A slab is 1..32 granules of one class. Which of its blocks are out is a
 *    bitmap beside the arena, so a free block's memory is never touched: it
 *    costs no cache miss, and its page can be given back at any time. With large
 *    blocks the bitmap is in the granules: 8 bytes of each 64 KiB, where a page
 *    of the common one serves 512 KiB (0.8 % of it, of which little is used).
 *  - Blocks in a magazine are "out" for their slab.
 *  - A slab with a free block is on its class's list, the one that got its first
 *    free block last in front: it is nearly full, so allocation goes where the
 *    arena is dense, and slabs that are nearly empty get the time to empty.
 *  - An empty slab goes back to the heap at once (no system call); its class
 *    changes with its next use.
 */
#include "arena_slab.h"

#include <string.h>

#include "arena_heap.h"

/* Memory in huge chunks that never were full, as a share of what is committed. */
#define FILLING_SHARE	128

struct gstk__class gstk__classes[GSTK__NR_CLASSES];

/* ---- classes ---- */

uint32_t gstk__class_of(uint32_t bytes)
{
	uint32_t k;

	if (bytes <= GSTK__ARENA_MAX_CACHED)
		return (bytes - 1) / GSTK__ARENA_UNIT;
	k = 31 - __builtin_clz(bytes - 1);	/* 13..17: 2^k < bytes <= 2^(k+1) */
	return GSTK__ARENA_NR_CACHED + (k - 13) * GSTK__FINE_STEPS +
	       ((bytes - 1 - (1u << k)) >> (k - GSTK__FINE_SHIFT));
}

uint32_t gstk__class_bytes(uint32_t cls)
{
	uint32_t k, i;

	if (cls < GSTK__ARENA_NR_CACHED)
		return (cls + 1) * GSTK__ARENA_UNIT;
	k = 13 + (cls - GSTK__ARENA_NR_CACHED) / GSTK__FINE_STEPS;
	i = (cls - GSTK__ARENA_NR_CACHED) % GSTK__FINE_STEPS;
	return (1u << k) + ((i + 1) << (k - GSTK__FINE_SHIFT));
}

/* ---- the class's list of slabs with a free block ---- */

static void list_del(struct gstk__class *k, uint32_t g)
{
	struct gstk__granule *gr = gstk__heap.granule, *s = &gr[g];

	if (s->prev)
		gr[s->prev].next = s->next;
	else
		__atomic_store_n(&k->partial, s->next, __ATOMIC_RELAXED);
	if (s->next)
		gr[s->next].prev = s->prev;
	else
		k->tail = s->prev;
	s->flags &= ~GSTK__SLAB_LISTED;
}

static void list_add(struct gstk__class *k, uint32_t g, bool front)
{
	struct gstk__granule *gr = gstk__heap.granule, *s = &gr[g];

	s->prev = front ? 0 : k->tail;
	s->next = front ? k->partial : 0;
	if (s->prev)
		gr[s->prev].next = g;
	else
		__atomic_store_n(&k->partial, g, __ATOMIC_RELAXED);
	if (s->next)
		gr[s->next].prev = g;
	else
		k->tail = g;
	s->flags |= GSTK__SLAB_LISTED;
}

/* ---- slabs ---- */

/* Huge pages up front only while what they may leave unused stays negligible. */
static bool huge_pays(uint32_t bytes)
{
	uint64_t filling = __atomic_load_n(&gstk__heap.nr_filling, __ATOMIC_RELAXED) + 1;

	return CHUNK % bytes <= CHUNK / FILLING_SHARE &&
	       filling * CHUNK * FILLING_SHARE <=
	       __atomic_load_n(&gstk__heap.committed, __ATOMIC_RELAXED) &&
	       !gstk__heap_over_limit(CHUNK);
}

/* A new slab on the class's list; 0 when there is no address range for it. */
static uint32_t slab_new(struct gstk__class *k, uint32_t cls)
{
	uint32_t bytes = gstk__class_bytes(cls), nr, g = 0;
	struct gstk__granule *s;
	bool huge = false;

	nr = bytes <= GSTK__ARENA_MAX_CACHED ? 1 : (8 * bytes + GRANULE - 1) / GRANULE;
	if (nr > CHUNK_GRANULES)
		nr = CHUNK_GRANULES;
	if (k->nr_granules >= CHUNK_GRANULES / 2) {
		huge = huge_pays(bytes);
		g = gstk__heap_take(CHUNK_GRANULES, &huge);
		if (g)
			nr = CHUNK_GRANULES;
	}
	if (!g)
		g = gstk__heap_take(nr, &huge);
	for (; !g && nr > (bytes + GRANULE - 1) / GRANULE; nr--)
		g = gstk__heap_take(nr - 1, &huge);
	if (!g)
		return 0;
	s = &gstk__heap.granule[g];
	s->cls = cls;
	s->nr_live = 0;
	s->nr_total = nr * GRANULE / bytes;
	s->hint = 0;
	s->flags = bytes >= GRANULE / 64 ? GSTK__SLAB_LARGE : 0;
	s->nr_granules = nr;
	for (uint32_t i = 0; i < nr; i++) {
		s[i].head_off = i;
		s[i].map = 0;
	}
	if (huge) {
		s->flags |= GSTK__SLAB_FILLING;
		__atomic_fetch_add(&gstk__heap.nr_filling, 1, __ATOMIC_RELAXED);
		gstk__heap_touch(g, 0, CHUNK);
	}
	k->nr_slabs++;
	k->nr_granules += nr;
	k->nr_total += s->nr_total;
	list_add(k, g, false);
	return g;
}

static void slab_filled(struct gstk__granule *s)
{
	if (s->flags & GSTK__SLAB_FILLING) {
		s->flags &= ~GSTK__SLAB_FILLING;
		__atomic_fetch_sub(&gstk__heap.nr_filling, 1, __ATOMIC_RELAXED);
	}
}

static void slab_drop(struct gstk__class *k, uint32_t g)
{
	struct gstk__granule *s = &gstk__heap.granule[g];

	if (s->flags & GSTK__SLAB_LISTED)
		list_del(k, g);
	slab_filled(s);
	k->nr_slabs--;
	k->nr_granules -= s->nr_granules;
	k->nr_total -= s->nr_total;
	gstk__heap_put(g, s->nr_granules);
}

/* Word w of the bitmap of the slab that starts at granule g. */
static inline uint64_t *map_word(uint32_t g, uint32_t w)
{
	struct gstk__granule *s = &gstk__heap.granule[g];

	if (s->flags & GSTK__SLAB_LARGE)
		return &s[w].map;
	return gstk__heap.bitmap + (size_t)g * (GRANULE / GSTK__ARENA_UNIT / 64) + w;
}

/* Take up to want blocks, lowest address first. */
static uint32_t slab_take(uint32_t g, uint32_t *ref, uint32_t want)
{
	struct gstk__granule *s = &gstk__heap.granule[g];
	uint32_t units = gstk__class_bytes(s->cls) / GSTK__ARENA_UNIT, got = 0, w;
	uint32_t skipped = UINT32_MAX;
	uint32_t first = g * (GRANULE / GSTK__ARENA_UNIT);

	if (want > s->nr_total - s->nr_live)
		want = s->nr_total - s->nr_live;
	for (w = s->hint; got < want && w * 64 < s->nr_total; w++) {
		uint64_t *map = map_word(g, w), free = ~*map;

		for (; free && got < want; free &= free - 1) {
			uint32_t i = w * 64 + __builtin_ctzll(free);

			if (i >= s->nr_total)
				break;
			if (!gstk__heap_touch(g, i * units * GSTK__ARENA_UNIT,
					      units * GSTK__ARENA_UNIT)) {
				/* At the limit: only pages that are there already. */
				skipped = skipped < w ? skipped : w;
				continue;
			}
			*map |= free & -free;
			ref[got++] = first + i * units;
		}
		if (free)
			break;
	}
	s->hint = skipped < w ? skipped : w;
	s->nr_live += got;
	return got;
}

/* ---- taking and putting ---- */

uint32_t gstk__class_take(uint32_t cls, uint32_t *ref, uint32_t want)
{
	struct gstk__class *k = &gstk__classes[cls];
	uint32_t got = 0, g, next, fresh = 0;

	pthread_mutex_lock(&k->lock);
	g = k->partial;
	while (got < want) {
		uint32_t n;
		struct gstk__granule *s;

		if (!g && !got && !fresh)
			g = fresh = slab_new(k, cls);
		if (!g)
			break;
		s = &gstk__heap.granule[g];
		next = s->next;
		n = slab_take(g, ref + got, want - got);
		got += n;
		if (s->nr_live == s->nr_total) {
			list_del(k, g);
			slab_filled(s);
		} else if (!s->nr_live) {
			slab_drop(k, g);	/* made for nothing: at the limit */
		}
		g = next;
	}
	k->nr_live += got;
	pthread_mutex_unlock(&k->lock);
	return got;
}

void gstk__class_put(uint32_t cls, const uint32_t *ref, uint32_t nr)
{
	struct gstk__class *k = &gstk__classes[cls];
	uint32_t bytes = gstk__class_bytes(cls), units = bytes / GSTK__ARENA_UNIT;

	pthread_mutex_lock(&k->lock);
	for (uint32_t n = 0; n < nr; n++) {
		uint32_t g = ref[n] / (GRANULE / GSTK__ARENA_UNIT), off, i;
		struct gstk__granule *s;
		uint64_t *map, bit;

		g -= gstk__heap.granule[g].head_off;
		s = &gstk__heap.granule[g];
		off = ref[n] - g * (GRANULE / GSTK__ARENA_UNIT);
		i = off / units;
		if (!ref[n] || s->cls != cls || off % units || i >= s->nr_total || !s->nr_granules)
			gstk__arena_die("freed with a size or reference it was not given", ref[n], bytes);
		map = map_word(g, i / 64);
		bit = 1ull << i % 64;
		if (!(*map & bit))
			gstk__arena_die("freed twice", ref[n], bytes);
		*map &= ~bit;
		if (i / 64 < s->hint)
			s->hint = i / 64;
		s->flags |= GSTK__SLAB_FREED;
		if (!--s->nr_live)
			slab_drop(k, g);
		else if (!(s->flags & GSTK__SLAB_LISTED))
			list_add(k, g, true);
	}
	k->nr_live -= nr;
	pthread_mutex_unlock(&k->lock);
}

/* ---- trimming ---- */

/* Pages of slab g that hold no part of a block that is out. */
static size_t slab_punch(uint32_t g)
{
	struct gstk__granule *s = &gstk__heap.granule[g];
	uint32_t bytes = gstk__class_bytes(s->cls), i, p = 0;
	uint32_t nr_pages = s->nr_granules * GRANULE_PAGES;
	uint64_t used[CHUNK / PAGE / 64] = { 0 };
	size_t given = 0;

	for (i = 0; i < s->nr_total; i++) {
		uint64_t map = *map_word(g, i / 64);

		if (!map) {
			i |= 63;
			continue;
		}
		if (!(map >> i % 64 & 1))
			continue;
		for (p = i * bytes / PAGE; p <= ((i + 1) * bytes - 1) / PAGE; p++)
			used[p / 64] |= 1ull << p % 64;
	}
	for (p = 0; p < nr_pages; p += GRANULE_PAGES)
		given += gstk__heap_punch(g + p / GRANULE_PAGES, ~(used[p / 64] >> p % 64));
	return given;
}

size_t gstk__class_trim(uint32_t cls, size_t max_bytes)
{
	struct gstk__class *k = &gstk__classes[cls];
	size_t given = 0;

	if (!__atomic_load_n(&k->partial, __ATOMIC_RELAXED))
		return 0;
	pthread_mutex_lock(&k->lock);
	/* The emptiest are at the end of the list. */
	for (uint32_t g = k->tail; g && given < max_bytes; g = gstk__heap.granule[g].prev) {
		struct gstk__granule *s = &gstk__heap.granule[g];

		/* A chunk that is filling up for the first time is left alone. */
		if (!(s->flags & GSTK__SLAB_FREED) || s->flags & GSTK__SLAB_FILLING)
			continue;
		s->flags &= ~GSTK__SLAB_FREED;
		given += slab_punch(g);
	}
	pthread_mutex_unlock(&k->lock);
	return given;
}
