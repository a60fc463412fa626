// SPDX-License-Identifier: MIT
/* What is to be sent upstream. Under one lock with the state of the connection. */
#ifndef PUBSUB_UPSTREAM_QUEUE_H
#define PUBSUB_UPSTREAM_QUEUE_H

#include <greenstk/sync.h>
#include "session.h"

enum upstream_state { UPSTREAM_AWAY, UPSTREAM_SYNC, UPSTREAM_UP, UPSTREAM_CLOSING };

struct upstream_request {
	struct upstream_request *next;
	uint32_t len, channel, payload; /* offsets of a message; 0: it is none */
	uint32_t channel_len, payload_len;
	char data[];
};

struct upstream {
	gstk_mutex mutex;
	gstk_cond work; /* for the writer */
	gstk_cond room; /* for publishers, and for the reader that waits for the writer */
	_Atomic int state; /* enum upstream_state; changed under the mutex */
	int fd;
	bool writing;	   /* the writer is in a system call or parked in it */
	bool resync;	   /* the subscriptions are to be sent first */
	struct upstream_request *head, **tail;
	uint32_t sent;	   /* bytes of the head that have left */
	_Atomic size_t bytes; /* of the whole queue */
	_Atomic uint64_t connects, forwarded, received, local, returned, unanswered, errors, too_big;
	uint64_t open; /* messages that have left and are not answered yet */
};
extern struct upstream upstream;

/** Lock, and with the lock wait, also for a task that was cancelled, which stays so. */
void upstream_lock(void);
void upstream_wait(gstk_cond *c);
void upstream_unlock(void);

/** Append words as a request; with the lock. The last two are a message's when @message. -ENOMEM. */
int upstream_push(const struct word *words, uint32_t nr, bool message);
/** Take note that the first @n bytes have left; with the lock. */
void upstream_sent(size_t n);
/** The connection is of no use any more: the reader ends it. With the lock. */
void upstream_break(void);
/** Free a list of requests. */
void upstream_forget(struct upstream_request *r);

#endif
