// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <greenstk/sync.h>
#include "glob.h"
#include "pool.h"
#include "subset.h"
#include "topics.h"

#define SHARDS	    64u
#define EXTRA	    (1u << 31)
#define YIELD_EVERY 1024u /* deliveries between two turns of other tasks */

struct topic {
	uint32_t next; /* in its bucket */
	uint32_t hash, len;
	uint32_t nr, cap;
	_Atomic uint32_t pattern; /* others count by it, and may look at a topic that is made anew */
	uint32_t *entry;
	char *name;
};

static struct shard {
	gstk_mutex mutex;
	uint32_t nr, nr_buckets;
	uint32_t *bucket; /* topic indices */
	_Atomic size_t bytes; /* of names and arrays; written under the mutex */
} shards[SHARDS + 1] __attribute__((aligned(64))); /* the last one: patterns */

static struct pool topic_pool = POOL_INIT(struct topic, next);
static _Atomic uint32_t nr_topics[2];
static uint64_t seed[2];
static struct subs *(*subs_of)(uint32_t client);
static topics_changed changed; /* NULL: nobody watches */

int topics_init(struct subs *(*of)(uint32_t))
{
	uint32_t index;

	subs_of = of;
	for (unsigned int i = 0; i <= SHARDS; i++)
		shards[i].mutex = (gstk_mutex)GSTK_MUTEX_INIT;
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	/* Index 0 means none. */
	return pool_get(&topic_pool, &index) ? 0 : -ENOMEM;
}

void topics_watch(topics_changed fn)
{
	changed = fn;
}

/* Seeded, so that clients cannot choose names that collide. */
static uint32_t hash_name(const char *s, uint32_t len)
{
	uint64_t h = seed[0] ^ len, v;

	for (; len >= 8; len -= 8, s += 8) {
		memcpy(&v, s, 8);
		h = (h ^ v) * 0x9fb21c651e98df25ull;
		h ^= h >> 32 ^ seed[1];
	}
	v = 0;
	memcpy(&v, s, len);
	h = (h ^ v) * 0x9fb21c651e98df25ull;
	h = (h ^ h >> 29 ^ seed[1]) * 0xd6e8feb86659fd93ull;
	return (uint32_t)(h >> 32);
}

static struct topic *topic_at(uint32_t index)
{
	return pool_at(&topic_pool, index);
}

static struct shard *shard_of(uint32_t hash, bool pattern)
{
	return &shards[pattern ? SHARDS : hash % SHARDS];
}

static void shard_lock(struct shard *s)
{
	/* Clean-up of a task that was cancelled needs the lock, too. */
	while (gstk_mutex_lock(&s->mutex) == -ECANCELED)
		gstk_cancel_clear();
}

static void shard_unlock(struct shard *s)
{
	gstk_mutex_unlock(&s->mutex);
}

static uint32_t *bucket_of(struct shard *s, uint32_t hash)
{
	return &s->bucket[hash / SHARDS & (s->nr_buckets - 1)];
}

static uint32_t find(struct shard *s, uint32_t hash, const char *name, uint32_t len)
{
	uint32_t i = s->nr_buckets ? *bucket_of(s, hash) : 0;

	for (; i; i = topic_at(i)->next) {
		struct topic *t = topic_at(i);

		if (t->hash == hash && t->len == len && !memcmp(t->name, name, len))
			break;
	}
	return i;
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

static uint32_t make(struct shard *s, uint32_t hash, bool pattern, const char *name, uint32_t len)
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

static void unmake(struct shard *s, uint32_t index)
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

static uint32_t *pos_of(uint32_t entry)
{
	return entry & EXTRA ? &subset_extra(entry & ~EXTRA)->pos : &subs_of(entry)->pos;
}

static uint32_t client_of(uint32_t entry)
{
	return entry & EXTRA ? subset_extra(entry & ~EXTRA)->client : entry;
}

static bool has(const struct subs *subs, uint32_t topic)
{
	return subs->topic == topic || subset_find(subs, topic) != POOL_NONE;
}

static bool reserve_entry(struct shard *s, struct topic *t)
{
	uint32_t cap = t->cap < 4 ? t->cap + 1 : t->cap + t->cap / 2;
	uint32_t *entry;

	if (t->nr < t->cap)
		return true;
	entry = realloc(t->entry, cap * sizeof(*entry));
	if (!entry)
		return false;
	s->bytes += (cap - t->cap) * sizeof(*entry);
	t->entry = entry;
	t->cap = cap;
	return true;
}

int topics_subscribe(uint32_t client, bool pattern, const char *name, uint32_t len)
{
	uint32_t hash = hash_name(name, len), index, entry = client;
	struct shard *s = shard_of(hash, pattern);
	struct subs *subs = subs_of(client);
	struct topic *t;
	int ret = -ENOMEM;

	shard_lock(s);
	index = find(s, hash, name, len);
	if (index && has(subs, index)) {
		shard_unlock(s);
		return 0;
	}
	if (!index)
		index = make(s, hash, pattern, name, len);
	if (!index)
		goto unlock;
	t = topic_at(index);
	if (!reserve_entry(s, t))
		goto drop;
	if (subs->topic) {
		uint32_t extra = subset_add(subs, client, index, pattern);

		if (extra == POOL_NONE)
			goto drop;
		entry = extra | EXTRA;
	} else {
		__atomic_store_n(&subs->topic, index, __ATOMIC_RELAXED);
	}
	*pos_of(entry) = t->nr;
	t->entry[t->nr++] = entry;
	ret = 1;
drop:
	if (!t->nr)
		unmake(s, index);
unlock:
	shard_unlock(s);
	return ret;
}

/* The client's entry leaves the array; the last one takes its place. */
static void remove_entry(struct shard *s, uint32_t index, struct subs *subs)
{
	struct topic *t = topic_at(index);
	uint32_t pos, last;

	if (subs->topic == index) {
		pos = subs->pos;
		__atomic_store_n(&subs->topic, 0, __ATOMIC_RELAXED);
	} else {
		pos = subset_remove(subs, index, t->pattern);
	}
	last = t->entry[--t->nr];
	if (pos != t->nr) {
		t->entry[pos] = last;
		*pos_of(last) = pos;
	}
	if (!t->nr) {
		unmake(s, index);
	} else if (t->nr < t->cap / 4) {
		uint32_t *less = realloc(t->entry, t->cap / 2 * sizeof(*less));

		if (less) {
			s->bytes -= (t->cap - t->cap / 2) * sizeof(*less);
			t->entry = less;
			t->cap /= 2;
		}
	}
}

int topics_unsubscribe(uint32_t client, bool pattern, const char *name, uint32_t len)
{
	uint32_t hash = hash_name(name, len), index;
	struct shard *s = shard_of(hash, pattern);
	struct subs *subs = subs_of(client);
	bool there;

	shard_lock(s);
	index = find(s, hash, name, len);
	there = index && has(subs, index);
	if (there)
		remove_entry(s, index, subs);
	shard_unlock(s);
	return there;
}

uint32_t topics_any(uint32_t client, bool pattern)
{
	struct subs *subs = subs_of(client);

	if (subs->topic && !topic_at(subs->topic)->pattern == !pattern)
		return subs->topic;
	return subset_any(subs, pattern);
}

void topics_leave(uint32_t client, uint32_t index, char **name, uint32_t *len)
{
	struct topic *t = topic_at(index); /* stays, as long as the client subscribes to it */
	struct shard *s = shard_of(t->hash, t->pattern);

	*len = t->len;
	*name = malloc(t->len + 1);
	if (*name)
		memcpy(*name, t->name, t->len + 1);
	shard_lock(s);
	remove_entry(s, index, subs_of(client));
	shard_unlock(s);
}

void topics_leave_all(uint32_t client)
{
	struct subs *subs = subs_of(client);
	uint32_t index;

	while ((index = topics_any(client, false)) || (index = topics_any(client, true))) {
		struct shard *s = shard_of(topic_at(index)->hash, topic_at(index)->pattern);

		shard_lock(s);
		remove_entry(s, index, subs);
		shard_unlock(s);
	}
}

void topics_free(uint32_t client)
{
	subset_free(subs_of(client));
}

uint32_t topics_count(uint32_t client, bool pattern)
{
	struct subs *subs = subs_of(client);
	uint32_t first = __atomic_load_n(&subs->topic, __ATOMIC_RELAXED);

	return (first && !atomic_load_explicit(&topic_at(first)->pattern, memory_order_relaxed) == !pattern) +
	       subset_count(subs, pattern);
}

static void fan_out(struct topic *t, topics_deliver deliver, void *user)
{
	const char *pattern = t->pattern ? t->name : NULL;

	for (uint32_t i = 0; i < t->nr; i++) {
		deliver(user, client_of(t->entry[i]), pattern, t->len);
		if (i % YIELD_EVERY == YIELD_EVERY - 1)
			gstk_yield();
	}
}

/* Of one name; the shard's lock is held. */
static size_t publish_topic(struct topic *t, topics_deliver deliver, void *user)
{
	size_t nr = t->nr;

	if (deliver)
		fan_out(t, deliver, user);
	return nr;
}

static size_t publish_name(bool pattern, const char *name, uint32_t len, topics_deliver deliver, void *user)
{
	uint32_t hash = hash_name(name, len), index;
	struct shard *s = shard_of(hash, pattern);
	size_t nr = 0;

	if (!atomic_load_explicit(&nr_topics[pattern], memory_order_relaxed))
		return 0;
	shard_lock(s);
	index = find(s, hash, name, len);
	if (index)
		nr = publish_topic(topic_at(index), deliver, user);
	shard_unlock(s);
	return nr;
}

size_t topics_publish_channel(const char *channel, uint32_t len, topics_deliver deliver, void *user)
{
	return publish_name(false, channel, len, deliver, user);
}

size_t topics_publish_pattern(const char *pattern, uint32_t len, topics_deliver deliver, void *user)
{
	return publish_name(true, pattern, len, deliver, user);
}

size_t topics_publish(const char *channel, uint32_t len, topics_deliver deliver, void *user)
{
	size_t nr = publish_name(false, channel, len, deliver, user);
	struct shard *s = &shards[SHARDS];

	if (!atomic_load_explicit(&nr_topics[true], memory_order_relaxed))
		return nr;
	shard_lock(s);
	for (uint32_t b = 0; b < s->nr_buckets; b++)
		for (uint32_t i = s->bucket[b]; i; i = topic_at(i)->next) {
			struct topic *t = topic_at(i);

			if (glob_match(t->name, t->len, channel, len))
				nr += publish_topic(t, deliver, user);
		}
	shard_unlock(s);
	return nr;
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
	uint32_t hash = hash_name(channel, len), index;
	struct shard *s = shard_of(hash, false);
	size_t nr;

	shard_lock(s);
	index = find(s, hash, channel, len);
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
