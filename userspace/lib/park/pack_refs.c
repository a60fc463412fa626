// SPDX-License-Identifier: MIT
#include "pack_refs.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "arena.h"

#define NR_ENTRIES	4096u
#define NR_BUCKETS	256u
#define PER_SIZE	8	/* candidates of one size: call chains that share it */
#define OFFERS		4	/* an image becomes a reference at the fourth miss of its size */
#define MAX_BYTES	(16u << 10)

struct entry {
	uint32_t bytes;		/* of the image; 0: entry is free */
	uint32_t block;		/* image, then the bits of words that move with it */
	uint32_t count;		/* packed images that use it; raised under the lock only */
	uint32_t next;		/* of the bucket, or of the free list */
	uintptr_t base;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[NR_ENTRIES];
static uint32_t buckets[NR_BUCKETS], free_list, high = 1;
static uint8_t misses[NR_BUCKETS];
static uint64_t nr_refs, ref_bytes;

static uint32_t bucket_of(uint32_t bytes)
{
	return bytes / 8 * 0x9e3779b1u >> 24;
}

static uint32_t block_bytes(uint32_t bytes)
{
	return bytes + (bytes / 8 + 7) / 8;
}

static void view(const struct entry *e, struct gstk__codec_ref *r)
{
	const uint8_t *p = gstk__arena_ptr(e->block);

	r->word = (const uint64_t *)p;
	r->moves = p + e->bytes;
	r->base = e->base;
	r->n = e->bytes;
}

uint32_t gstk__pack_ref_find(const void *src, uint32_t bytes, uintptr_t base,
			     struct gstk__codec_ref *r)
{
	uint32_t id[PER_SIZE], best = 0;
	size_t nonzero, hits, most = 0;
	int nr = 0;

	pthread_mutex_lock(&lock);
	for (uint32_t i = buckets[bucket_of(bytes)]; i && nr < PER_SIZE; i = entries[i].next)
		if (entries[i].bytes == bytes) {
			__atomic_fetch_add(&entries[i].count, 1, __ATOMIC_RELAXED);
			id[nr++] = i;
		}
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < nr; i++) {
		struct gstk__codec_ref cand;

		view(&entries[id[i]], &cand);
		hits = gstk__codec_ref_hits(&cand, src, base, &nonzero);
		/* A quarter of what is not zero: below that the codec alone is as good. */
		if (hits > most && hits * 4 >= nonzero) {
			most = hits;
			best = id[i];
			*r = cand;
		}
	}
	for (int i = 0; i < nr; i++)
		if (id[i] != best)
			gstk__pack_ref_put(id[i]);
	return best;
}

int gstk__pack_ref_at(uint32_t id, struct gstk__codec_ref *r)
{
	if (!id || id >= NR_ENTRIES || !entries[id].bytes)
		return 0;
	view(&entries[id], r);
	return 1;
}

void gstk__pack_ref_put(uint32_t id)
{
	/* Pairs with the acquire in drop_unused: reads of the image come before. */
	__atomic_fetch_sub(&entries[id].count, 1, __ATOMIC_RELEASE);
}

/* Under the lock: free one entry of the bucket that no image uses. */
static void drop_unused(uint32_t b)
{
	for (uint32_t *p = &buckets[b]; *p; p = &entries[*p].next) {
		struct entry *e = &entries[*p];
		uint32_t id = *p;

		if (__atomic_load_n(&e->count, __ATOMIC_ACQUIRE))
			continue;
		*p = e->next;
		nr_refs--;
		ref_bytes -= block_bytes(e->bytes);
		gstk__arena_free(NULL, e->block, block_bytes(e->bytes));
		e->bytes = 0;
		e->next = free_list;
		free_list = id;
		return;
	}
}

void gstk__pack_ref_offer(const void *src, uint32_t bytes, uintptr_t base, uint64_t source_bytes)
{
	uint32_t b = bucket_of(bytes), same = 0, size = block_bytes(bytes), id, block;
	struct entry *e;

	if (bytes > MAX_BYTES)
		return;
	pthread_mutex_lock(&lock);
	if (++misses[b] < OFFERS)
		goto out;
	misses[b] = 0;
	for (uint32_t i = buckets[b]; i; i = entries[i].next)
		same += entries[i].bytes == bytes;
	if (same >= PER_SIZE || ref_bytes + size > GSTK__REFS_FREE + source_bytes / 64 ||
	    (!free_list && high == NR_ENTRIES)) {
		drop_unused(b);
		goto out;	/* the next miss finds the room */
	}
	block = gstk__arena_alloc(NULL, size);
	if (!block)
		goto out;
	if (free_list) {
		id = free_list;
		free_list = entries[id].next;
	} else {
		id = high++;
	}
	e = &entries[id];
	memcpy(gstk__arena_ptr(block), src, bytes);
	gstk__codec_ref_moves((uint8_t *)gstk__arena_ptr(block) + bytes, src, bytes, base);
	e->bytes = bytes;
	e->block = block;
	e->base = base;
	e->count = 0;
	e->next = buckets[b];
	buckets[b] = id;
	nr_refs++;
	ref_bytes += size;
out:
	pthread_mutex_unlock(&lock);
}

void gstk__pack_refs_stats(uint64_t *nr, uint64_t *bytes, uint64_t *uses)
{
	pthread_mutex_lock(&lock);
	*uses = 0;
	for (uint32_t i = 1; i < high; i++)
		*uses += __atomic_load_n(&entries[i].count, __ATOMIC_RELAXED);
	*nr = nr_refs;
	*bytes = ref_bytes;
	pthread_mutex_unlock(&lock);
}

void gstk__pack_refs_fini(void)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 1; i < high; i++)
		if (entries[i].bytes)
			gstk__arena_free(NULL, entries[i].block, block_bytes(entries[i].bytes));
	memset(entries, 0, sizeof(entries));
	memset(buckets, 0, sizeof(buckets));
	memset(misses, 0, sizeof(misses));
	nr_refs = ref_bytes = free_list = 0;
	high = 1;
	pthread_mutex_unlock(&lock);
}
