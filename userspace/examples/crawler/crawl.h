// SPDX-License-Identifier: MIT
/*
 * The crawl: one task for each connection, in plain blocking style. A task serves one host until nothing of it is left
 * to fetch, then the next host that could use one. Tasks are as many as hosts have work for, up to a limit.
 */
#ifndef CRAWLER_CRAWL_H
#define CRAWLER_CRAWL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counters, as the report names and explains them. */
#define CRAWL_COUNTERS(x)                                                       \
	x(requests, "pages asked for, robots.txt not among them")               \
	x(pages, "answered with 2xx")                                           \
	x(bytes, "of their bodies")                                             \
	x(redirects, "answered with 3xx and a place to look at")                \
	x(missing, "answered with 4xx")                                         \
	x(server_errors, "answered with 5xx, or nothing that HTTP has")         \
	x(links, "found in pages")                                              \
	x(known, "of them, seen before")                                        \
	x(bad_links, "that are no URL")                                         \
	x(other_schemes, "mailto:, javascript:, https: and others that are not spoken here") \
	x(other_hosts, "to hosts that are not to be crawled")                   \
	x(too_deep, "further from the seeds than --depth")                      \
	x(dropped, "because --pages are known already, or memory is out")       \
	x(disallowed, "by robots.txt")                                          \
	x(redirect_limit, "more redirects in a row than --redirects")           \
	x(hosts, "asked for robots.txt")                                        \
	x(hosts_unknown, "whose name has no address")                           \
	x(hosts_unreachable, "that did not give their robots.txt")              \
	x(hosts_too_slow, "that ask for longer pauses than --max-delay")        \
	x(hosts_given_up, "after failures in a row")                            \
	x(left, "pages not fetched because of their host, or the end of the crawl") \
	x(connect_errors, "connection refused, no route")                       \
	x(timeouts, "in one of the phases")                                     \
	x(protocol_errors, "no HTTP, or broken")                                \
	x(too_big, "heads and bodies over the limits")                          \
	x(cut_short, "connections that ended too early")                        \
	x(spawn_errors, "tasks that could not be had")

struct crawl_counters {
#define x(name, what) _Atomic uint64_t name;
	CRAWL_COUNTERS(x)
#undef x
};
extern struct crawl_counters crawl_counters;

struct crawl_limits {
	size_t pages;
	unsigned int tasks, depth, redirects;
	bool any_host;
	bool verbose; /* a line for each page */
	const char **domains; /* NULL at the end: hosts below them are crawled, too */
};
extern struct crawl_limits crawl_limits;

/** Before the first seed. */
void crawl_init(void);
/** 0, or why this is no address to begin with (url_resolve()). Seeds name the hosts that are crawled. */
int crawl_seed(const char *url);
/** Start the tasks; they end when nothing is left, or after crawl_stop(). */
void crawl_start(void);
/** Wait until all tasks have ended: true, or until @deadline_ns: false. Parks. */
bool crawl_wait(uint64_t deadline_ns);
/** Begin no more requests. */
void crawl_stop(void);
/** Tasks now; the most there were. */
unsigned int crawl_tasks(unsigned int *most);
/** After the last task has ended. */
void crawl_fini(void);

#endif
