// SPDX-License-Identifier: MIT
/* robots.txt as RFC 9309 has it, and Crawl-delay, which it has not. */
#ifndef CRAWLER_ROBOTS_H
#define CRAWLER_ROBOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROBOTS_MAX_BYTES (512 * 1024) /* what is behind them is ignored */

struct robots_rule {
	bool allow;
	uint16_t len;
	char *pattern; /* encoded as URLs are, with "*" and a "$" at the end */
};

struct robots {
	struct robots_rule *rules;
	size_t nr;
	uint64_t delay_ns; /* between requests; 0: none asked for */
};

/**
 * The rules for @agent (a product name, without version) in @text: those of the groups that name it, else of the
 * groups for "*". 0, -ENOMEM. Lines that make no sense are left out.
 */
int robots_parse(struct robots *r, const char *agent, const char *text, size_t len);
/** May @path (with the query, in normal form) be fetched? The longest pattern decides, Allow among equals. */
bool robots_allow(const struct robots *r, const char *path, size_t len);
void robots_free(struct robots *r);

#endif
