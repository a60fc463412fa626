// SPDX-License-Identifier: MIT
/* A client's subscriptions beyond the first: a small hash table of pool elements. For topics.c. */
#ifndef PUBSUB_SUBSET_H
#define PUBSUB_SUBSET_H

#include "topics.h"

struct extra {
	uint32_t topic;
	uint32_t client;
	uint32_t pos; /* in the topic's array, under its shard's lock */
	uint32_t free;
};

struct extra *subset_extra(uint32_t index);
/** The element of @topic, or POOL_NONE. */
uint32_t subset_find(const struct subs *subs, uint32_t topic);
/** A new element; POOL_NONE when memory is out. */
uint32_t subset_add(struct subs *subs, uint32_t client, uint32_t topic, bool pattern);
/** Remove the element of @topic, which must be there; returns its position in the topic's array. */
uint32_t subset_remove(struct subs *subs, uint32_t topic, bool pattern);
/** A topic of that kind, or 0. */
uint32_t subset_any(struct subs *subs, bool pattern);
uint32_t subset_count(const struct subs *subs, bool pattern);
void subset_free(struct subs *subs);
size_t subset_bytes(void);

#endif
