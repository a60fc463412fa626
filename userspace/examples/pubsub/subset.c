// SPDX-License-Identifier: MIT
#include <stdatomic.h>
#include <stdlib.h>
#include "pool.h"
#include "subset.h"

/* Stays where it is until the client ends, so that other tasks may read the counts. */
struct subs_more {
	_Atomic uint32_t nr[2]; /* channels, patterns */
	uint32_t cap;		/* a power of two, at most half full */
	uint32_t used;
	uint32_t hint; /* where subset_any() found the last one: those before it are likely gone */
	uint32_t *slot; /* PATTERN? | pool index + 1; 0: empty */
};
#define PATTERN (1u << 31)

static struct pool extras = POOL_INIT(struct extra, free);
static _Atomic size_t table_bytes;

struct extra *subset_extra(uint32_t index)
{
	return pool_at(&extras, index);
}

static uint32_t index_of(uint32_t slot)
{
	return (slot & ~PATTERN) - 1;
}

static uint32_t home(const struct subs_more *m, uint32_t topic)
{
	return topic * 0x9e3779b1u >> 7 & (m->cap - 1);
}

static uint32_t slot_of(const struct subs_more *m, uint32_t topic)
{
	uint32_t i;

	if (!m || !m->cap)
		return POOL_NONE;
	for (i = home(m, topic); m->slot[i]; i = (i + 1) & (m->cap - 1))
		if (subset_extra(index_of(m->slot[i]))->topic == topic)
			return i;
	return POOL_NONE;
}

uint32_t subset_find(const struct subs *subs, uint32_t topic)
{
	uint32_t i = slot_of(subs->more, topic);

	return i == POOL_NONE ? POOL_NONE : index_of(subs->more->slot[i]);
}

static void insert(struct subs_more *m, uint32_t slot)
{
	uint32_t i = home(m, subset_extra(index_of(slot))->topic);

	while (m->slot[i])
		i = (i + 1) & (m->cap - 1);
	m->slot[i] = slot;
	m->used++;
}

static bool resize(struct subs_more *m, uint32_t cap)
{
	uint32_t *was = m->slot, old = m->cap;
	uint32_t *slot = calloc(cap, sizeof(*slot));

	if (!slot)
		return false;
	m->slot = slot;
	m->cap = cap;
	m->used = 0;
	for (uint32_t i = 0; i < old; i++)
		if (was[i])
			insert(m, was[i]);
	free(was);
	atomic_fetch_add(&table_bytes, (cap - (size_t)old) * sizeof(*slot));
	return true;
}

uint32_t subset_add(struct subs *subs, uint32_t client, uint32_t topic, bool pattern)
{
	struct subs_more *m = subs->more;
	struct extra *e;
	uint32_t index;

	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m)
			return POOL_NONE;
		atomic_fetch_add(&table_bytes, sizeof(*m));
		__atomic_store_n(&subs->more, m, __ATOMIC_RELEASE);
	}
	if (2 * (m->used + 1) > m->cap && !resize(m, m->cap ? 2 * m->cap : 4))
		return POOL_NONE;
	e = pool_get(&extras, &index);
	if (!e)
		return POOL_NONE;
	e->topic = topic;
	e->client = client;
	insert(m, (index + 1) | (pattern ? PATTERN : 0));
	atomic_fetch_add_explicit(&m->nr[pattern], 1, memory_order_relaxed);
	return index;
}

uint32_t subset_remove(struct subs *subs, uint32_t topic, bool pattern)
{
	struct subs_more *m = subs->more;
	uint32_t i = slot_of(m, topic), index = index_of(m->slot[i]), pos = subset_extra(index)->pos;

	/* Those behind it that are away from home move up, so that no search meets a hole. */
	for (uint32_t k = (i + 1) & (m->cap - 1); m->slot[k]; k = (k + 1) & (m->cap - 1)) {
		uint32_t h = home(m, subset_extra(index_of(m->slot[k]))->topic);

		if (((k - h) & (m->cap - 1)) >= ((k - i) & (m->cap - 1))) {
			m->slot[i] = m->slot[k];
			i = k;
		}
	}
	m->slot[i] = 0;
	m->used--;
	atomic_fetch_sub_explicit(&m->nr[pattern], 1, memory_order_relaxed);
	pool_put(&extras, index);
	/* OPTIONAL: without memory it stays big. */
	if (m->cap > 4 && 8 * m->used < m->cap)
		resize(m, m->cap / 2);
	return pos;
}

uint32_t subset_any(struct subs *subs, bool pattern)
{
	struct subs_more *m = subs->more;

	if (!m || !atomic_load_explicit(&m->nr[pattern], memory_order_relaxed))
		return 0;
	for (uint32_t n = 0; n < m->cap; n++) {
		uint32_t i = (m->hint + n) & (m->cap - 1);

		if (m->slot[i] && !(m->slot[i] & PATTERN) == !pattern) {
			m->hint = i;
			return subset_extra(index_of(m->slot[i]))->topic;
		}
	}
	return 0;
}

uint32_t subset_count(const struct subs *subs, bool pattern)
{
	struct subs_more *m = __atomic_load_n(&subs->more, __ATOMIC_ACQUIRE);

	return m ? atomic_load_explicit(&m->nr[pattern], memory_order_relaxed) : 0;
}

void subset_free(struct subs *subs)
{
	struct subs_more *m = subs->more;

	if (!m)
		return;
	atomic_fetch_sub(&table_bytes, sizeof(*m) + m->cap * sizeof(*m->slot));
	free(m->slot);
	free(m);
	subs->more = NULL;
}

size_t subset_bytes(void)
{
	return pool_bytes(&extras) + atomic_load_explicit(&table_bytes, memory_order_relaxed);
}
