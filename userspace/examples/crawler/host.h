// SPDX-License-Identifier: MIT
/*
 * An origin (scheme, name, port), what it permits, and when it may be asked next. Members above the line belong to the
 * frontier, under its lock; those below are written by the first task of the host before any other is let in.
 */
#ifndef CRAWLER_HOST_H
#define CRAWLER_HOST_H

#include "http.h"
#include "robots.h"

struct page;

struct host {
	struct page *queue, **queue_end;
	struct host *next_ready;
	uint32_t hash;
	uint32_t nr_queued;
	uint32_t tasks, max_tasks; /* connections, one each */
	uint32_t failures;	   /* in a row: it is given up after some */
	uint64_t next_ns;	   /* when the next request may begin */
	bool listed;
	/* ---- */
	bool prepared;
	int err; /* it cannot be asked: why */
	uint64_t delay_ns;
	struct robots robots;
	struct addrs *addrs;
	uint16_t port, name, name_len; /* the name in origin */
	uint16_t origin_len;
	char origin[];
};

struct host_limits {
	uint64_t delay_ns;     /* between requests to a host, at least */
	uint64_t max_delay_ns; /* of what its robots.txt may ask for; beyond, it is left alone */
	unsigned int tasks;    /* connections to a host */
};
extern struct host_limits host_limits;

enum host_outcome {
	HOST_READY,
	HOST_UNKNOWN,	  /* its name has no address */
	HOST_UNREACHABLE, /* so that nobody knows what its robots.txt says: nothing is fetched */
	HOST_TOO_SLOW,	  /* asks for longer pauses than we would keep */
};

/** A host that may have one task. NULL: no memory. */
struct host *host_new(const struct url *u);
void host_free(struct host *h);
/** Resolve its name, fetch and read its robots.txt over @c. Parks. */
enum host_outcome host_prepare(struct host *h, struct conn *c);
/** How many tasks it may have after that: one where pauses are kept. */
unsigned int host_tasks(const struct host *h);
/** When the request that is to be made may begin. Under the frontier's lock. */
uint64_t host_reserve(struct host *h, uint64_t now);

#endif
