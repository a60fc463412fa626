// SPDX-License-Identifier: MIT
/* Encoded text that many connections share, and the queue of it that a connection may have. */
#ifndef PUBSUB_MESSAGE_H
#define PUBSUB_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct message {
	_Atomic uint32_t refs;
	uint32_t len;
	char data[];
};

/** A message of @len bytes to be filled in, with one reference; NULL when memory is out. */
struct message *message_new(size_t len);
void message_put(struct message *m);

static inline struct message *message_get(struct message *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

/*
 * What a connection still has to send. Almost always nothing (0), sometimes one whole message (its
 * address): only more than that, or a message sent in part, costs an allocation (address | 1).
 */
typedef uintptr_t outq;

/** Append @m, taking over the caller's reference also when it fails. False when memory is out. */
bool outq_push(outq *q, struct message *m);
/** Unsent bytes. */
size_t outq_bytes(outq q);
/** Describe the first at most @max pieces in @iov; returns how many. */
int outq_iov(outq q, struct iovec *iov, int max);
/** @n bytes are sent. False when memory for remembering a part is out: then the queue is useless. */
bool outq_sent(outq *q, size_t n);
void outq_clear(outq *q);
/** Append all of @from, of which nothing was sent. False when memory is out; @from is empty anyway. */
bool outq_splice(outq *q, outq *from);

#endif
