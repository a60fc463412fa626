// SPDX-License-Identifier: MIT
/*
 * Which pages are known, and which of them wait to be fetched, by host. Bounded: it never forgets a page, so that none is
 * fetched twice, and takes no more than so many. No locks: the crawl has one over it.
 */
#ifndef CRAWLER_FRONTIER_H
#define CRAWLER_FRONTIER_H

#include "host.h"
#include "url.h"

struct page {
	struct page *next; /* in its host's queue */
	struct host *host;
	uint32_t hash;
	uint16_t depth; /* links from a seed */
	uint16_t hops;	/* redirects that led here */
	uint16_t path;	/* in text */
	uint16_t len;
	char text[];
};

struct frontier {
	struct page **pages; /* open addressing */
	struct host **hosts;
	size_t pages_cap, nr_pages, max_pages;
	size_t hosts_cap, nr_hosts;
	size_t nr_queued;
	struct host *ready, **ready_end; /* hosts that could use one more task, in order */
	uint32_t seed; /* of the hash: who writes pages does not choose collisions */
};

enum frontier_added { FRONTIER_NEW, FRONTIER_KNOWN, FRONTIER_FULL, FRONTIER_NOMEM };

void frontier_init(struct frontier *f, size_t max_pages, uint32_t seed);
void frontier_fini(struct frontier *f);
enum frontier_added frontier_add(struct frontier *f, const struct url *u, unsigned int depth, unsigned int hops);
/** The next host that has pages and fewer tasks than it may have; it is counted as one more. NULL: none. */
struct host *frontier_ready(struct frontier *f);
/** A task has left the host. */
void frontier_leave(struct frontier *f, struct host *h);
/** How many tasks the host may have from now on. The caller is its only one, and takes the first page itself. */
void frontier_widen(struct frontier *f, struct host *h, unsigned int max_tasks);
/** The next page of the host, first in first out. NULL: none. */
struct page *frontier_take(struct frontier *f, struct host *h);

#endif
