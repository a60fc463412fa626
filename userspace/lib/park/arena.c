// SPDX-License-Identifier: MIT
/* Magazines, runs, and the arena as a whole. */
#include "arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena_heap.h"
#include "arena_slab.h"

#define MIN_BYTES	(64ull << 20)
/* Bytes a class's magazine may hold, and the least blocks it is worth having for. */
#define MAG_BYTES	(96u << 10)
#define MAG_MIN		8

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gstk__arena_cache *registry;
static uint64_t nr_runs, run_bytes, nr_failed;

char *gstk__arena_base;
int (*gstk__arena_fail)(uint32_t bytes);

void gstk__arena_die(const char *what, uint32_t ref, uint32_t bytes)
{
	fprintf(stderr, "greenstk: arena: %s: block %#x of %u bytes\n", what, ref, bytes);
	abort();
}

/* ---- runs ---- */

static uint32_t run_granules(uint32_t bytes)
{
	return (bytes + GRANULE - 1ull) / GRANULE;
}

static uint32_t run_alloc(uint32_t bytes)
{
	bool huge = false;
	uint32_t g = gstk__heap_take(run_granules(bytes), &huge);

	if (!g)
		return 0;
	gstk__heap.granule[g].nr_granules = 0;
	if (!gstk__heap_touch(g, 0, bytes)) {
		gstk__heap_put(g, run_granules(bytes));
		return 0;
	}
	__atomic_fetch_add(&nr_runs, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&run_bytes, (bytes + PAGE - 1ull) & ~(PAGE - 1ull), __ATOMIC_RELAXED);
	return g * (GRANULE / GSTK__ARENA_UNIT);
}

static void run_free(uint32_t ref, uint32_t bytes)
{
	if (!ref || ref % (GRANULE / GSTK__ARENA_UNIT))
		gstk__arena_die("freed with a size or reference it was not given", ref, bytes);
	__atomic_fetch_sub(&nr_runs, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&run_bytes, (bytes + PAGE - 1ull) & ~(PAGE - 1ull), __ATOMIC_RELAXED);
	gstk__heap_put(ref / (GRANULE / GSTK__ARENA_UNIT), run_granules(bytes));
}

/* ---- magazines ---- */

static uint32_t mag_cap(uint32_t bytes)
{
	uint32_t n = MAG_BYTES / bytes;

	return n > GSTK__ARENA_MAG ? GSTK__ARENA_MAG : n < MAG_MIN ? MAG_MIN : n;
}

static void set_nr(struct gstk__arena_mag *m, uint32_t nr)
{
	__atomic_store_n(&m->nr, (uint16_t)nr, __ATOMIC_RELAXED);
}

static struct gstk__arena_mag *mag_of(struct gstk__arena_cache *c, uint32_t cls)
{
	struct gstk__arena_mag *m = &c->mag[cls];

	if (m->cap)
		return m;
	m->cap = mag_cap(gstk__class_bytes(cls));
	if (!c->registered) {
		pthread_mutex_lock(&registry_lock);
		c->next = registry;
		registry = c;
		pthread_mutex_unlock(&registry_lock);
		c->registered = 1;
	}
	return m;
}

uint32_t gstk__arena_alloc_slow(struct gstk__arena_cache *c, uint32_t bytes)
{
	uint32_t ref = 0, cls, batch[GSTK__ARENA_MAG], got;
	struct gstk__arena_mag *m;

	if (!bytes || (gstk__arena_fail && gstk__arena_fail(bytes)))
		goto out;
	if (bytes > GSTK__FINE_MAX) {
		ref = run_alloc(bytes);
		goto out;
	}
	cls = gstk__class_of(bytes);
	if (!c || cls >= GSTK__ARENA_NR_CACHED) {
		gstk__class_take(cls, &ref, 1);
		goto out;
	}
	m = mag_of(c, cls);
	if (!m->nr) {
		/* Half full, so that neither the next frees nor allocations come here. */
		got = gstk__class_take(cls, batch, m->cap / 2);
		for (uint32_t i = 0; i < got; i++)
			m->ref[i] = batch[got - 1 - i];
		set_nr(m, got);
	}
	if (m->nr) {
		ref = m->ref[m->nr - 1];
		set_nr(m, m->nr - 1);
	}
out:
	if (!ref)
		__atomic_fetch_add(&nr_failed, 1, __ATOMIC_RELAXED);
	return ref;
}

void gstk__arena_free_slow(struct gstk__arena_cache *c, uint32_t ref, uint32_t bytes)
{
	uint32_t cls, half;
	struct gstk__arena_mag *m;

	if (!bytes)
		gstk__arena_die("freed with size 0", ref, bytes);
	if (bytes > GSTK__FINE_MAX) {
		run_free(ref, bytes);
		return;
	}
	cls = gstk__class_of(bytes);
	if (!c || cls >= GSTK__ARENA_NR_CACHED) {
		gstk__class_put(cls, &ref, 1);
		return;
	}
	m = mag_of(c, cls);
	if (m->nr == m->cap) {
		/* The older half goes; what was vacated last stays. */
		half = m->cap / 2;
		gstk__class_put(cls, m->ref, half);
		memmove(m->ref, m->ref + half, (m->cap - half) * sizeof(*m->ref));
		set_nr(m, m->cap - half);
	}
	m->ref[m->nr] = ref;
	set_nr(m, m->nr + 1);
}

void gstk__arena_cache_flush(struct gstk__arena_cache *c)
{
	struct gstk__arena_cache **p;

	if (!c->registered)
		return;
	for (uint32_t cls = 0; cls < GSTK__ARENA_NR_CACHED; cls++) {
		struct gstk__arena_mag *m = &c->mag[cls];

		if (m->nr)
			gstk__class_put(cls, m->ref, m->nr);
		set_nr(m, 0);
		m->cap = 0;
	}
	pthread_mutex_lock(&registry_lock);
	for (p = &registry; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	pthread_mutex_unlock(&registry_lock);
	c->registered = 0;
}

/* ---- whole arena ---- */

int gstk__arena_init(size_t max_bytes)
{
	int err;

	if (gstk__arena_base)
		return -EBUSY;
	if (!max_bytes || max_bytes > GSTK__ARENA_MAX_BYTES)
		max_bytes = GSTK__ARENA_MAX_BYTES;
	err = gstk__heap_init(max_bytes, max_bytes < MIN_BYTES ? max_bytes : MIN_BYTES);
	if (err)
		return err;
	nr_runs = run_bytes = nr_failed = 0;
	gstk__arena_base = gstk__heap.base;
	return 0;
}

void gstk__arena_fini(void)
{
	if (!gstk__arena_base)
		return;
	for (uint32_t i = 0; i < GSTK__NR_CLASSES; i++)
		if (gstk__classes[i].nr_slabs) /* blocks were left behind */
			memset(&gstk__classes[i], 0, sizeof(gstk__classes[i]));
	gstk__heap_fini();
	gstk__arena_base = NULL;
	registry = NULL;
}

size_t gstk__arena_bytes(void)
{
	return gstk__heap.bytes;
}

void gstk__arena_set_limit(uint64_t bytes)
{
	__atomic_store_n(&gstk__heap.limit, bytes, __ATOMIC_RELAXED);
}

size_t gstk__arena_trim(size_t max_bytes)
{
	size_t given = gstk__heap_trim(max_bytes);

	for (uint32_t cls = 0; cls < GSTK__NR_CLASSES && given < max_bytes; cls++)
		given += gstk__class_trim(cls, max_bytes - given);
	return given;
}

int gstk__arena_collapse(int nr)
{
	static uint32_t cursor;
	uint32_t end = __atomic_load_n(&gstk__heap.low_end, __ATOMIC_RELAXED);
	int done = 0;

	/* One round at most; racing callers only look at some chunk twice. */
	for (uint32_t n = 0; n < end && done < nr; n++) {
		uint32_t c = __atomic_fetch_add(&cursor, 1, __ATOMIC_RELAXED) % end;

		done += !gstk__heap_collapse(c);
	}
	return done;
}

void gstk__arena_stats(struct gstk__arena_stats *st)
{
	struct gstk__heap *h = &gstk__heap;
	struct gstk__arena_cache *c;
	uint64_t nr_cached = 0;

	memset(st, 0, sizeof(*st));
	st->reserved = h->bytes;
	st->nr_live = __atomic_load_n(&nr_runs, __ATOMIC_RELAXED);
	st->live = __atomic_load_n(&run_bytes, __ATOMIC_RELAXED);
	for (uint32_t cls = 0; cls < GSTK__NR_CLASSES; cls++) {
		struct gstk__class *k = &gstk__classes[cls];

		pthread_mutex_lock(&k->lock);
		st->nr_live += k->nr_live;
		st->live += k->nr_live * gstk__class_bytes(cls);
		st->meta += (uint64_t)k->nr_granules *
			    (sizeof(struct gstk__granule) + (gstk__class_bytes(cls) < GRANULE / 64 ? GRANULE / 128 : 0));
		pthread_mutex_unlock(&k->lock);
	}
	pthread_mutex_lock(&registry_lock);
	for (c = registry; c; c = c->next)
		for (uint32_t cls = 0; cls < GSTK__ARENA_NR_CACHED; cls++) {
			uint64_t nr = __atomic_load_n(&c->mag[cls].nr, __ATOMIC_RELAXED);

			nr_cached += nr;
			st->cached += nr * gstk__class_bytes(cls);
		}
	pthread_mutex_unlock(&registry_lock);
	/* The caches move on meanwhile: never below zero. */
	st->live -= st->cached < st->live ? st->cached : st->live;
	st->nr_live -= nr_cached < st->nr_live ? nr_cached : st->nr_live;
	st->committed = __atomic_load_n(&h->committed, __ATOMIC_RELAXED);
	st->huge = __atomic_load_n(&h->huge_bytes, __ATOMIC_RELAXED);
	st->trimmed = __atomic_load_n(&h->trimmed, __ATOMIC_RELAXED);
	st->collapsed = __atomic_load_n(&h->collapsed, __ATOMIC_RELAXED);
	st->failed = __atomic_load_n(&nr_failed, __ATOMIC_RELAXED);
}

int gstk__arena_class_stats(struct gstk__arena_class_stats *row, int nr)
{
	int n = 0;

	for (uint32_t cls = 0; cls < GSTK__NR_CLASSES && n < nr; cls++) {
		struct gstk__class *k = &gstk__classes[cls];

		pthread_mutex_lock(&k->lock);
		if (k->nr_slabs)
			row[n++] = (struct gstk__arena_class_stats){
				.bytes = gstk__class_bytes(cls),
				.nr_slabs = k->nr_slabs,
				.nr_live = k->nr_live,
				.nr_total = k->nr_total,
			};
		pthread_mutex_unlock(&k->lock);
	}
	return n;
}
