// SPDX-License-Identifier: MIT
#include "arena_heap.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "../host/range.h"

/* Odd chunks may split a mapping in three; stay far from the 65,530 VMA limit. */
#define MAX_ODD		4096
/* Of 512: a chunk worth collapsing; what is missing becomes committed. */
#define FULL_PAGES	508

struct gstk__heap gstk__heap;
static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;

#define ADD(field, n) __atomic_fetch_add(&gstk__heap.field, (n), __ATOMIC_RELAXED)
#define SUB(field, n) __atomic_fetch_sub(&gstk__heap.field, (n), __ATOMIC_RELAXED)

int gstk__heap_init(size_t max_bytes, size_t min_bytes)
{
	struct gstk__heap *h = &gstk__heap;
	size_t bytes, meta, total;
	char *p;
	int err;

	/* Bookkeeping per chunk: granules, a mask, a flag, one bit per unit; and
	 * so that halving the total halves the arena, it scales with the range. */
	bytes = (max_bytes + CHUNK - 1) & ~(size_t)(CHUNK - 1);
	meta = bytes / CHUNK * (CHUNK_GRANULES * sizeof(struct gstk__granule) + 8) + bytes / 128;
	total = bytes + ((meta + CHUNK - 1) & ~(size_t)(CHUNK - 1));
	p = gstk__range_reserve(&total, min_bytes, CHUNK, "arena of saved stacks", &err);
	if (!p)
		return err;
	/* Invert: meta is 1288/2^21 + 1/128 of the range, below 1/118 of it. */
	if (total < bytes + meta)
		bytes = (total - total / 118) & ~(size_t)(CHUNK - 1);
	memset(h, 0, sizeof(*h));
	h->base = p;
	h->bytes = bytes;
	h->mapped = total;
	h->nr_chunks = bytes / CHUNK;
	h->high_start = h->nr_chunks;
	p += bytes;
	h->bitmap = (uint64_t *)p;
	p += bytes / 128;
	h->granule = (struct gstk__granule *)p;
	p += (size_t)h->nr_chunks * CHUNK_GRANULES * sizeof(*h->granule);
	h->free_mask = (uint32_t *)p;
	p += (size_t)h->nr_chunks * sizeof(*h->free_mask);
	h->huge = (uint8_t *)p;
	/* Where huge pages are the default, a few images must not cost megabytes. */
	gstk__range_nohuge(h->base, h->mapped);
	/* Granule 0 is never handed out: reference 0 means "none". */
	h->low_end = 1;
	h->free_mask[0] = ~1u;
	return 0;
}

void gstk__heap_fini(void)
{
	gstk__range_release(gstk__heap.base, gstk__heap.mapped);
	memset(&gstk__heap, 0, sizeof(gstk__heap));
}

/* The only writer of ->huge; keeps the counters. Under the lock. */
static void set_huge(uint32_t c, uint8_t now)
{
	struct gstk__heap *h = &gstk__heap;
	uint8_t was = h->huge[c];

	h->huge[c] = now;
	h->nr_odd += !!(now & GSTK__HUGE_ODD) - !!(was & GSTK__HUGE_ODD);
	if (now & ~was & GSTK__HUGE_NOW)
		ADD(huge_bytes, CHUNK);
	else if (was & ~now & GSTK__HUGE_NOW)
		SUB(huge_bytes, CHUNK);
}

/* First bit of a run of nr ones in mask, or -1. */
static int find_run(uint32_t mask, uint32_t nr)
{
	uint32_t m = mask;

	for (uint32_t have = 1; have < nr && m; ) {
		uint32_t step = have < nr - have ? have : nr - have;

		m &= m >> step;
		have += step;
	}
	return m ? __builtin_ctz(m) : -1;
}

static uint32_t take_small(uint32_t nr)
{
	struct gstk__heap *h = &gstk__heap;
	uint32_t bits = nr == 32 ? ~0u : (1u << nr) - 1, c, first_free = h->low_end;
	int b;

	for (c = h->low_hint; c < h->low_end; c++) {
		if (!h->free_mask[c])
			continue;
		if (first_free == h->low_end)
			first_free = c;
		b = find_run(h->free_mask[c], nr);
		if (b >= 0)
			goto found;
	}
	if (h->low_end < h->high_start) {
		c = h->low_end;
		__atomic_store_n(&h->low_end, c + 1, __ATOMIC_RELAXED);
		h->free_mask[c] = ~0u;
		b = 0;
		goto found;
	}
	/* Address space used up: a free place on the huge side is better than none. */
	for (c = h->high_start; c < h->nr_chunks; c++) {
		b = find_run(h->free_mask[c], nr);
		if (b >= 0) {
			h->free_mask[c] &= ~(bits << b);
			return c * CHUNK_GRANULES + b;
		}
	}
	return 0;
found:
	h->free_mask[c] &= ~(bits << b);
	h->low_hint = first_free < c ? first_free : c;
	return c * CHUNK_GRANULES + b;
}

static uint32_t take_huge(void)
{
	struct gstk__heap *h = &gstk__heap;
	uint32_t c;

	for (c = h->nr_chunks; c-- > h->high_start; )
		if (h->free_mask[c] == ~0u && !(h->huge[c] & GSTK__HUGE_ODD))
			goto found;
	if (h->low_end >= h->high_start)
		return 0;
	if (gstk__range_huge(h->base + (size_t)(h->high_start - 1) * CHUNK, CHUNK))
		return 0;
	c = --h->high_start;
found:
	h->free_mask[c] = 0;
	set_huge(c, GSTK__HUGE_NOW);
	return c * CHUNK_GRANULES;
}

static uint32_t take_chunks(uint32_t nr_chunks)
{
	struct gstk__heap *h = &gstk__heap;
	uint32_t run = 0, c;

	for (c = 0; c < h->low_end; c++) {
		run = h->free_mask[c] == ~0u ? run + 1 : 0;
		if (run == nr_chunks) {
			c -= nr_chunks - 1;
			goto found;
		}
	}
	c = h->low_end - run;	/* free chunks at the end may be extended */
	if (h->high_start - c < nr_chunks)
		return 0;
	__atomic_store_n(&h->low_end, c + nr_chunks, __ATOMIC_RELAXED);
found:
	memset(&h->free_mask[c], 0, nr_chunks * sizeof(*h->free_mask));
	return c * CHUNK_GRANULES;
}

uint32_t gstk__heap_take(uint32_t nr, bool *huge)
{
	uint32_t g = 0;

	pthread_mutex_lock(&heap_lock);
	if (*huge && nr == CHUNK_GRANULES)
		g = take_huge();
	*huge = g != 0;
	if (!g)
		g = nr <= CHUNK_GRANULES ? take_small(nr)
			: take_chunks((nr + CHUNK_GRANULES - 1) / CHUNK_GRANULES);
	pthread_mutex_unlock(&heap_lock);
	return g;
}

static void put_locked(uint32_t g, uint32_t nr)
{
	struct gstk__heap *h = &gstk__heap;
	uint32_t c = g / CHUNK_GRANULES, b = g % CHUNK_GRANULES;

	if (c < h->low_hint)
		h->low_hint = c;
	if (nr < CHUNK_GRANULES) {
		h->free_mask[c] |= ((1u << nr) - 1) << b;
		return;
	}
	for (; nr; nr -= nr < CHUNK_GRANULES ? nr : CHUNK_GRANULES)
		h->free_mask[c++] = ~0u;
}

void gstk__heap_put(uint32_t g, uint32_t nr)
{
	pthread_mutex_lock(&heap_lock);
	put_locked(g, nr);
	pthread_mutex_unlock(&heap_lock);
}

bool gstk__heap_over_limit(size_t more)
{
	uint64_t limit = __atomic_load_n(&gstk__heap.limit, __ATOMIC_RELAXED);

	return limit && __atomic_load_n(&gstk__heap.committed, __ATOMIC_RELAXED) + more > limit;
}

/* Written by the owner only, but collapse counts from outside. */
static void set_dirty(uint16_t *d, uint16_t v)
{
	__atomic_store_n(d, v, __ATOMIC_RELAXED);
}

bool gstk__heap_touch(uint32_t g, uint32_t off, size_t bytes)
{
	struct gstk__granule *gr = &gstk__heap.granule[g];
	size_t p, first = off >> PAGE_SHIFT, last = (off + bytes - 1) >> PAGE_SHIFT, fresh = 0;

	for (p = first; p <= last; p++)
		fresh += !(gr[p / GRANULE_PAGES].page_dirty >> p % GRANULE_PAGES & 1);
	if (!fresh)
		return true;
	if (gstk__heap_over_limit(fresh * PAGE))
		return false;
	for (p = first; p <= last; p++) {
		uint16_t *d = &gr[p / GRANULE_PAGES].page_dirty;

		set_dirty(d, *d | 1u << p % GRANULE_PAGES);
	}
	ADD(committed, fresh * PAGE);
	return true;
}

/* The chunk loses pages: keep khugepaged from filling the holes again. Owners of
 * different granules of one chunk may meet here. */
static bool chunk_not_huge(uint32_t c)
{
	struct gstk__heap *h = &gstk__heap;
	bool ok = true;

	pthread_mutex_lock(&heap_lock);
	if (!(h->huge[c] & GSTK__HUGE_NOW))
		goto out;
	ok = c < h->high_start || h->nr_odd < MAX_ODD;
	if (!ok)
		goto out;
	gstk__range_nohuge(h->base + (size_t)c * CHUNK, CHUNK);
	set_huge(c, c >= h->high_start ? GSTK__HUGE_ODD : 0);
out:
	pthread_mutex_unlock(&heap_lock);
	return ok;
}

size_t gstk__heap_punch(uint32_t g, uint16_t mask)
{
	struct gstk__granule *gr = &gstk__heap.granule[g];
	char *p = gstk__granule_ptr(g);
	size_t given = 0;

	mask &= gr->page_dirty;
	if (!mask)
		return 0;
	if (!chunk_not_huge(g / CHUNK_GRANULES))
		return 0;
	for (uint32_t i = 0; i < GRANULE_PAGES; ) {
		uint32_t n = 0;

		while (i + n < GRANULE_PAGES && mask >> (i + n) & 1)
			n++;
		if (n && !gstk__range_give_back(p + (size_t)i * PAGE, (size_t)n * PAGE)) {
			set_dirty(&gr->page_dirty, gr->page_dirty & ~(((1u << n) - 1) << i));
			given += (size_t)n * PAGE;
		}
		i += n ? n : 1;
	}
	SUB(committed, given);
	ADD(trimmed, given);
	return given;
}

/* Give back a whole chunk in one call; it is the caller's. */
static size_t punch_chunk(uint32_t c)
{
	struct gstk__heap *h = &gstk__heap;
	struct gstk__granule *gr = &h->granule[c * CHUNK_GRANULES];
	size_t given = 0;

	for (uint32_t i = 0; i < CHUNK_GRANULES; i++)
		given += (size_t)__builtin_popcount(gr[i].page_dirty) * PAGE;
	if (!given || gstk__range_give_back(h->base + (size_t)c * CHUNK, CHUNK))
		return 0;
	for (uint32_t i = 0; i < CHUNK_GRANULES; i++)
		set_dirty(&gr[i].page_dirty, 0);
	/* An empty chunk returns to the advice of its region. */
	pthread_mutex_lock(&heap_lock);
	if (c < h->high_start && h->huge[c] & GSTK__HUGE_NOW)
		gstk__range_nohuge(h->base + (size_t)c * CHUNK, CHUNK);
	if (c >= h->high_start && h->huge[c] & GSTK__HUGE_ODD)
		gstk__range_huge(h->base + (size_t)c * CHUNK, CHUNK);
	set_huge(c, 0);
	pthread_mutex_unlock(&heap_lock);
	SUB(committed, given);
	ADD(trimmed, given);
	return given;
}

size_t gstk__heap_trim(size_t max_bytes)
{
	struct gstk__heap *h = &gstk__heap;
	size_t given = 0;

	for (uint32_t c = 0; c < h->nr_chunks && given < max_bytes; c++) {
		uint32_t mask;

		/* Own the free granules while their pages go: no lock across madvise. */
		pthread_mutex_lock(&heap_lock);
		if (c >= h->low_end && c < h->high_start)
			c = h->high_start;
		mask = c < h->nr_chunks ? h->free_mask[c] : 0;
		if (mask)
			h->free_mask[c] = 0;
		pthread_mutex_unlock(&heap_lock);
		if (!mask)
			continue;
		if (mask == ~0u)
			given += punch_chunk(c);
		else
			for (uint32_t m = mask; m; m &= m - 1)
				given += gstk__heap_punch(c * CHUNK_GRANULES + __builtin_ctz(m), 0xffff);
		pthread_mutex_lock(&heap_lock);
		h->free_mask[c] |= mask;
		if (c < h->low_end && c < h->low_hint)
			h->low_hint = c;
		pthread_mutex_unlock(&heap_lock);
	}
	return given;
}

int gstk__heap_collapse(uint32_t c)
{
	struct gstk__heap *h = &gstk__heap;
	struct gstk__granule *gr = &h->granule[c * CHUNK_GRANULES];
	char *p = h->base + (size_t)c * CHUNK;
	uint32_t pages = 0;
	int err = -EBUSY;

	for (uint32_t i = 0; i < CHUNK_GRANULES; i++)
		pages += __builtin_popcount(__atomic_load_n(&gr[i].page_dirty, __ATOMIC_RELAXED));
	if (pages < FULL_PAGES)
		return err;
	/* Announced first, so that a punch from now on undoes it: the advice of that
	 * makes the collapse below fail, or splits the page it made. */
	pthread_mutex_lock(&heap_lock);
	if (c < h->low_end && !h->free_mask[c] && !h->huge[c] && h->nr_odd < MAX_ODD) {
		err = gstk__range_huge(p, CHUNK);
		if (!err)
			set_huge(c, GSTK__HUGE_NOW | GSTK__HUGE_ODD);
	}
	pthread_mutex_unlock(&heap_lock);
	if (err)
		return err;
	err = gstk__range_collapse(p, CHUNK);
	if (err) {
		chunk_not_huge(c);
		return err;
	}
	ADD(collapsed, 1);
	return 0;
}
