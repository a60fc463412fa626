// SPDX-License-Identifier: MIT
/* The table of channels and patterns, by name: of topics.c, which says who subscribes to them. */
#ifndef PUBSUB_TOPIC_TABLE_H
#define PUBSUB_TOPIC_TABLE_H

#include <stdatomic.h>
#include <string.h>
#include <greenstk/sync.h>
#include "pool.h"
#include "topics.h"

#define SHARDS 64u

struct topic {
	uint32_t next; /* in its bucket */
	uint32_t hash, len;
	uint32_t nr, cap;
	_Atomic uint32_t pattern; /* others count by it, and may look at a topic that is made anew */
	uint32_t *entry;
	char *name;
};

struct shard {
	gstk_mutex mutex;
	uint32_t nr, nr_buckets;
	uint32_t *bucket; /* topic indices */
	_Atomic size_t bytes; /* of names and arrays; written under the mutex */
};

extern struct shard shards[SHARDS + 1]; /* the last one: patterns */
extern struct pool topic_pool;
extern _Atomic uint32_t nr_topics[2];
extern uint64_t topic_seed[2];
extern struct subs *(*subs_of)(uint32_t client);

/* Seeded, so that clients cannot choose names that collide. */
static inline uint32_t topic_hash(const char *s, uint32_t len)
{
	uint64_t h = topic_seed[0] ^ len, v;

	for (; len >= 8; len -= 8, s += 8) {
		memcpy(&v, s, 8);
		h = (h ^ v) * 0x9fb21c651e98df25ull;
		h ^= h >> 32 ^ topic_seed[1];
	}
	v = 0;
	memcpy(&v, s, len);
	h = (h ^ v) * 0x9fb21c651e98df25ull;
	h = (h ^ h >> 29 ^ topic_seed[1]) * 0xd6e8feb86659fd93ull;
	return (uint32_t)(h >> 32);
}

static inline struct topic *topic_at(uint32_t index)
{
	return pool_at(&topic_pool, index);
}

static inline struct shard *shard_of(uint32_t hash, bool pattern)
{
	return &shards[pattern ? SHARDS : hash % SHARDS];
}

static inline void shard_lock(struct shard *s)
{
	/* Clean-up of a task that was cancelled needs the lock, too. */
	while (gstk_mutex_lock(&s->mutex) == -ECANCELED)
		gstk_cancel_clear();
}

static inline void shard_unlock(struct shard *s)
{
	gstk_mutex_unlock(&s->mutex);
}

static inline uint32_t *bucket_of(struct shard *s, uint32_t hash)
{
	return &s->bucket[hash / SHARDS & (s->nr_buckets - 1)];
}

static inline uint32_t topic_find(struct shard *s, uint32_t hash, const char *name, uint32_t len)
{
	uint32_t i = s->nr_buckets ? *bucket_of(s, hash) : 0;

	for (; i; i = topic_at(i)->next) {
		struct topic *t = topic_at(i);

		if (t->hash == hash && t->len == len && !memcmp(t->name, name, len))
			break;
	}
	return i;
}

/* A topic without subscribers; 0: no memory. Its shard is locked. */
uint32_t topic_make(struct shard *s, uint32_t hash, bool pattern, const char *name, uint32_t len);
/* It has none any more. */
void topic_unmake(struct shard *s, uint32_t index);

#endif
