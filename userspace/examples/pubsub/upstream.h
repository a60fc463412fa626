// SPDX-License-Identifier: MIT
/*
 * A server above this one (a Redis of version 6 or later, or another of these): several servers with the
 * same upstream share one space of messages.
 *
 * One connection, RESP3. Each channel and pattern that has a subscriber here is subscribed to there once;
 * what comes is fanned out. A PUBLISH goes up, and its subscribers here get it when it comes back, in
 * the order that all servers see.
 *
 *   AWAY --connected--> SYNC --all subscriptions sent--> UP --end of stream, error, silence--> CLOSING --> AWAY
 *
 * Not UP: messages are delivered here only. So a message is either sent up or delivered here, never
 * both; of those that wait to be sent when the stream ends the ones that did not leave are delivered here,
 * the ones that left without an answer are lost (upstream_unanswered), as with any publisher of Redis.
 *
 * Lock order: shard of topics -> upstream.
 */
#ifndef PUBSUB_UPSTREAM_H
#define PUBSUB_UPSTREAM_H

#include <stdio.h>
#include "session.h"

/** @addr: host:port, [IPv6]:port, unix:path. Resolves the name, so before the runtime. A message is on stderr. */
bool upstream_set(const char *addr);
/** Start its two tasks. Does nothing without upstream_set(). */
int upstream_start(void);

/**
 * Pass a message on. True: it will come back. False: it is to be delivered here. Parks while too much waits
 * to be sent.
 */
bool upstream_publish(struct word channel, struct word payload);
/** Park while too much waits to be sent: before subscribing. */
void upstream_wait_room(void);
/** Its lines of INFO. */
void upstream_info(FILE *f);

#endif
