// SPDX-License-Identifier: MIT
#include "topic_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include "glob.h"
#include "subset.h"

struct shard shards[SHARDS + 1] __attribute__((aligned(64)));
struct pool topic_pool = POOL_INIT(struct topic, next);
_Atomic uint32_t nr_topics[2];
uint64_t topic_seed[2];
struct subs *(*subs_of)(uint32_t client);
static topics_changed changed; /* NULL: nobody watches */

int topics_init(struct subs *(*of)(uint32_t))
{
	uint32_t index;

	subs_of = of;
	for (unsigned int i = 0; i <= SHARDS; i++)
		shards[i].mutex = (gstk_mutex)GSTK_MUTEX_INIT;
	if (getrandom(topic_seed, sizeof(topic_seed), 0) != sizeof(topic_seed))
		return -EIO;
	/* Index 0 means none. */
	return pool_get(&topic_pool, &index) ? 0 : -ENOMEM;
}

void topics_watch(topics_changed fn)
{
	changed = fn;
}

/* OPTIONAL beyond the first buckets: without memory chains only get longer. */
static bool grow_buckets(struct shard *s)
{
	uint32_t nr = s->nr_buckets ? 2 * s->nr_buckets : 8, old = s->nr_buckets;
	uint32_t *bucket = calloc(nr, sizeof(*bucket)), *was = s->bucket;

	if (!bucket)
		return s->nr_buckets != 0;
	s->bucket = bucket;
	s->nr_buckets = nr;
	s->bytes += (nr - old) * sizeof(*bucket);
	for (uint32_t b = 0; b < old; b++) {
		uint32_t next;

		for (uint32_t i = was[b]; i; i = next) {
			uint32_t *head = bucket_of(s, topic_at(i)->hash);

			next = topic_at(i)->next;
			topic_at(i)->next = *head;
			*head = i;
		}
	}
	free(was);
	return true;
}

uint32_t topic_make(struct shard *s, uint32_t hash, bool pattern, const char *name, uint32_t len)
{
	struct topic *t;
	uint32_t index;

	if (s->nr >= s->nr_buckets && !grow_buckets(s))
		return 0;
	t = pool_get(&topic_pool, &index);
	if (!t)
		return 0;
	t->name = malloc(len + 1);
	if (!t->name) {
		pool_put(&topic_pool, index);
		return 0;
	}
	memcpy(t->name, name, len);
	t->name[len] = 0;
	t->hash = hash;
	t->len = len;
	atomic_store_explicit(&t->pattern, pattern, memory_order_relaxed);
	t->next = *bucket_of(s, hash);
	*bucket_of(s, hash) = index;
	s->nr++;
	s->bytes += len + 1;
	atomic_fetch_add_explicit(&nr_topics[pattern], 1, memory_order_relaxed);
	if (changed)
		changed(pattern, t->name, len, true);
	return index;
}

void topic_unmake(struct shard *s, uint32_t index)
{
	struct topic *t = topic_at(index);
	uint32_t *link = bucket_of(s, t->hash);

	if (changed)
		changed(t->pattern, t->name, t->len, false);
	while (*link != index)
		link = &topic_at(*link)->next;
	*link = t->next;
	s->nr--;
	s->bytes -= t->len + 1 + t->cap * sizeof(*t->entry);
	atomic_fetch_sub_explicit(&nr_topics[t->pattern], 1, memory_order_relaxed);
	free(t->entry);
	free(t->name);
	pool_put(&topic_pool, index);
}

bool topics_walk(unsigned int part, topics_changed fn)
{
	struct shard *s = &shards[part];

	if (part > SHARDS)
		return false;
	shard_lock(s);
	for (uint32_t b = 0; b < s->nr_buckets; b++)
		for (uint32_t i = s->bucket[b]; i; i = topic_at(i)->next)
			fn(part == SHARDS, topic_at(i)->name, topic_at(i)->len, true);
	shard_unlock(s);
	return true;
}

size_t topics_subscribers(const char *channel, uint32_t len)
{
	uint32_t hash = topic_hash(channel, len), index;
	struct shard *s = shard_of(hash, false);
	size_t nr;

	shard_lock(s);
	index = topic_find(s, hash, channel, len);
	nr = index ? topic_at(index)->nr : 0;
	shard_unlock(s);
	return nr;
}

size_t topics_nr(bool pattern)
{
	return atomic_load_explicit(&nr_topics[pattern], memory_order_relaxed);
}

void topics_list(const char *glob, uint32_t glob_len,
		 void (*fn)(void *user, const char *name, uint32_t len), void *user)
{
	for (unsigned int i = 0; i < SHARDS; i++) {
		struct shard *s = &shards[i];

		shard_lock(s);
		for (uint32_t b = 0; b < s->nr_buckets; b++)
			for (uint32_t k = s->bucket[b]; k; k = topic_at(k)->next) {
				struct topic *t = topic_at(k);

				if (!glob || glob_match(glob, glob_len, t->name, t->len))
					fn(user, t->name, t->len);
			}
		shard_unlock(s);
	}
}

size_t topics_bytes(void)
{
	size_t bytes = pool_bytes(&topic_pool) + subset_bytes();

	for (unsigned int i = 0; i <= SHARDS; i++)
		bytes += atomic_load_explicit(&shards[i].bytes, memory_order_relaxed);
	return bytes;
}
