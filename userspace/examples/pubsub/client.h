// SPDX-License-Identifier: MIT
/*
 * A connection: 64 bytes while it is idle, and a task that waits in gstk_poll() on a stack of a few
 * frames. Whatever else it needs (read buffer, reply buffer, rest of an incomplete request, output
 * that the socket did not take) is there only while it is needed.
 *
 * Messages for it come from the publishers' tasks. They send themselves when the socket takes it;
 * what it does not take is queued, and a task is started that drains the queue and ends. When the
 * queue grows past the limit, the connection is shut down.
 *
 * Who may touch what: ->lock covers flags, out, fd against closing, and installing ->details. The
 * connection's own task reads its fd and details without it, since only it ends the connection.
 * Lock order: shard of topics -> client -> dirty list.
 */
#ifndef PUBSUB_CLIENT_H
#define PUBSUB_CLIENT_H

#include "message.h"
#include "resp.h"
#include "spin.h"
#include "topics.h"

enum client_flag {
	CLIENT_DEAD = 1 << 0,	 /* its descriptor must not be used any more */
	CLIENT_KILLED = 1 << 1,	 /* shut down; its own task will end it */
	CLIENT_DIRTY = 1 << 2,	 /* on a dirty list */
	CLIENT_CORKED = 1 << 3,	 /* messages wait in details.held until a confirmation is out */
	CLIENT_DRAINED = 1 << 4, /* a task is draining its output */
	CLIENT_SLOW = 1 << 5,	 /* killed because of its output: forget what is in the socket */
};

/* The rest of a request that is not complete. */
struct partial {
	struct resp_parser parser;
	uint32_t len, cap;
	char data[];
};

/* What most connections do not have. */
struct details {
	struct partial *in;
	_Atomic uint32_t in_len; /* of the rest of a request, for CLIENT LIST */
	outq held;
	char *name, *lib_name, *lib_ver;
};

struct client {
	_Atomic uint32_t refs; /* its task, its dirty list, the draining task */
	spin lock;
	uint8_t flags;
	_Atomic uint8_t proto; /* 2 or 3 */
	_Atomic uint8_t command; /* the last one: index + 1 in the table */
	int fd;
	uint32_t next; /* in the dirty list */
	struct subs subs;
	uint64_t id : 40;    /* ten thousand new ones a second for three years */
	uint64_t index : 24; /* in the pool */
	outq out;
	struct details *details;
	uint32_t created;
	_Atomic uint32_t last; /* seconds of client_clock() */
};
_Static_assert(sizeof(struct client) == 64, "an idle connection is one cache line");

struct client_limits {
	uint32_t max_clients;
	uint32_t max_request; /* bytes of one request */
	uint32_t max_subscriptions; /* of one connection */
	size_t output_limit;  /* bytes queued for one connection before it is dropped */
	size_t output_soft;   /* bytes of its own replies queued before it must read some */
	size_t stack_use;     /* bytes on the stack of each connection that it need not have */
};
extern struct client_limits client_limits;

/* Counters for INFO. */
struct client_counters {
	_Atomic uint64_t connections, rejected, commands, protocol_errors;
	_Atomic uint64_t publishes, deliveries, sends, coalesced, queued, drains, slow_killed;
};
extern struct client_counters client_counters;

static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/** A connection for @fd with one reference, which client_main() takes over; NULL: -ENOMEM. */
struct client *client_new(int fd);
/** The task of a connection. */
void *client_main(void *client);
/** The same on a stack that has client_limits.stack_use bytes more, which stay as they are or the server aborts. */
void *client_deep_main(void *client);

struct client *client_at(uint32_t index);
static inline uint32_t client_index(const struct client *c)
{
	return (uint32_t)c->index;
}
struct subs *client_subs(uint32_t index);
/** Reference to the client in that slot when there is one; for walking over all of them. */
struct client *client_try_get(uint32_t index);
uint32_t client_high(void);
void client_put(struct client *c);
size_t client_nr(void);
size_t client_bytes(void);
uint32_t client_clock(void);
/** Its details, or NULL. Without the lock a publisher may install them at any moment. */
static inline struct details *client_peek(struct client *c)
{
	return __atomic_load_n(&c->details, __ATOMIC_ACQUIRE);
}
/** Its details, made when it has none. NULL when memory is out. Own task only. */
struct details *client_details(struct client *c);

/* Output: output.c */

/** Send @a and @b behind what is queued, or queue copies. Own task. */
void client_write(struct client *c, const char *a, size_t a_len, const char *b, size_t b_len);
/** A message from a publisher, whose reference is taken over. Sent at the latest by dirty_flush(@list). */
void client_deliver(struct client *c, struct message *m, unsigned int list);
/** Send what the socket takes; starts a draining task for the rest. */
void client_flush(struct client *c);
/** Messages that come from now on follow what client_uncork() finds written. */
void client_cork(struct client *c);
void client_uncork(struct client *c);
/** Park until at most @bytes are queued. -ETIMEDOUT, -ECANCELED, -EPIPE when it was killed. */
int client_relieve(struct client *c, size_t bytes, uint64_t deadline_ns);
/** Shut it down; its own task does the rest. */
void client_kill(struct client *c);

/** The list that this turn of a publisher should use. */
unsigned int dirty_list(void);
/** Let other publishers add theirs, then send what is on @list now, a few at a time. Parks. */
void dirty_flush(unsigned int list);

#endif
