// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include "glob.h"
#include "subset.h"
#include "topic_table.h"

#define EXTRA	    (1u << 31)
#define YIELD_EVERY 1024u /* deliveries between two turns of other tasks */

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
	uint32_t hash = topic_hash(name, len), index, entry = client;
	struct shard *s = shard_of(hash, pattern);
	struct subs *subs = subs_of(client);
	struct topic *t;
	int ret = -ENOMEM;

	shard_lock(s);
	index = topic_find(s, hash, name, len);
	if (index && has(subs, index)) {
		shard_unlock(s);
		return 0;
	}
	if (!index)
		index = topic_make(s, hash, pattern, name, len);
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
		topic_unmake(s, index);
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
		topic_unmake(s, index);
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
	uint32_t hash = topic_hash(name, len), index;
	struct shard *s = shard_of(hash, pattern);
	struct subs *subs = subs_of(client);
	bool there;

	shard_lock(s);
	index = topic_find(s, hash, name, len);
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
	uint32_t hash = topic_hash(name, len), index;
	struct shard *s = shard_of(hash, pattern);
	size_t nr = 0;

	if (!atomic_load_explicit(&nr_topics[pattern], memory_order_relaxed))
		return 0;
	shard_lock(s);
	index = topic_find(s, hash, name, len);
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
