// SPDX-License-Identifier: MIT
/*
 * Who subscribes to what.
 *
 *   shard[hash] -> topic {name, array of entries} <--- position --- subs (in the client)
 *
 * A topic is a channel or a pattern. Its entries name subscribers: a client's first subscription
 * is kept in the client itself (8 bytes, entry = client index), further ones take an element of a
 * pool (entry = EXTRA | index). So one subscription of an idle client costs 8 + 4 bytes and the
 * array's slack.
 *
 * Locks: a shard's mutex covers its topics, their arrays, and the positions of all subscriptions to
 * them. What a client subscribes to (subs.topic, subs.more) is changed by that client's task only.
 * A fan-out holds the mutex, so all subscribers of a channel see messages in one order.
 */
#ifndef PUBSUB_TOPICS_H
#define PUBSUB_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct subs_more;

/* Embedded in a client; all zero: none. */
struct subs {
	uint32_t topic; /* the first one's index, 0: none */
	uint32_t pos;	/* in that topic's array */
	struct subs_more *more;
};

/** @subs_of finds a client's subs. -ENOMEM. Once, before anything else. */
int topics_init(struct subs *(*subs_of)(uint32_t client));

/**
 * @fn is told of each channel and pattern that gets its first subscriber (@there) or loses its last,
 * under its shard's lock: it must not call topics_*(). Once, before the first subscription.
 */
typedef void (*topics_changed)(bool pattern, const char *name, uint32_t len, bool there);
void topics_watch(topics_changed fn);
/** @fn for all channels and patterns of part @part, likewise. False when there is no such part. */
bool topics_walk(unsigned int part, topics_changed fn);

/** 1: subscribed now; 0: was already; -ENOMEM. May park. */
int topics_subscribe(uint32_t client, bool pattern, const char *name, uint32_t len);
/** 1: no longer subscribed; 0: was not. May park. */
int topics_unsubscribe(uint32_t client, bool pattern, const char *name, uint32_t len);
/** Some topic of that kind that the client subscribes to, or 0. */
uint32_t topics_any(uint32_t client, bool pattern);
/** Leave that topic. Its name is handed over in *name (malloc; NULL when memory is out), *len. */
void topics_leave(uint32_t client, uint32_t topic, char **name, uint32_t *len);
/** Leave all topics. */
void topics_leave_all(uint32_t client);
/** Free what a client without topics, which nobody looks at any more, needed for them. */
void topics_free(uint32_t client);
/** How many the client has; for other tasks than the client's own a moment's value. */
uint32_t topics_count(uint32_t client, bool pattern);

/**
 * Call @deliver for every subscriber of @channel (pattern NULL), then for those of each pattern
 * that matches it. Returns how often. @deliver must not park for long nor call topics_*(); NULL only
 * counts.
 */
typedef void (*topics_deliver)(void *user, uint32_t client, const char *pattern, uint32_t pattern_len);
size_t topics_publish(const char *channel, uint32_t len, topics_deliver deliver, void *user);
/** Those of the channel only, or of one pattern only. */
size_t topics_publish_channel(const char *channel, uint32_t len, topics_deliver deliver, void *user);
size_t topics_publish_pattern(const char *pattern, uint32_t len, topics_deliver deliver, void *user);

/** Subscribers of a channel, patterns not counted. */
size_t topics_subscribers(const char *channel, uint32_t len);
/** Channels (or patterns) that have a subscriber. */
size_t topics_nr(bool pattern);
/** @fn for every channel that matches @glob (NULL: all), under its shard's lock. */
void topics_list(const char *glob, uint32_t glob_len,
		 void (*fn)(void *user, const char *name, uint32_t len), void *user);
/** Bytes of all tables, names and arrays. */
size_t topics_bytes(void);

#endif
