// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "green.h"
#include "host.h"

#define ROBOTS_MAX_HOPS 5 /* RFC 9309, 2.3.1.2 */

struct host_limits host_limits = { .max_delay_ns = 30000000000u, .tasks = 4 };

struct host *host_new(const struct url *u)
{
	struct host *h = calloc(1, sizeof(*h) + u->path + 1u);

	if (!h)
		return NULL;
	h->queue_end = &h->queue;
	h->max_tasks = 1;
	h->port = u->port;
	h->name = u->host;
	h->name_len = u->host_len;
	h->origin_len = u->path;
	memcpy(h->origin, u->text, u->path);
	return h;
}

void host_free(struct host *h)
{
	robots_free(&h->robots);
	free(h->addrs);
	free(h);
}

static int resolve_host(struct host *h)
{
	char *name = strndup(h->origin + h->name, h->name_len);
	int err = -ENOMEM;

	if (name)
		err = resolve(name, h->port, &h->addrs);
	free(name);
	return err;
}

/* Where a redirect leads, on the heap, with its host where that is another one. */
static __attribute__((noinline)) char *redirected(const char *from, const char *location, struct host *h, struct host **other)
{
	struct url base, u;

	if (url_resolve(NULL, from, strlen(from), &base) || url_resolve(&base, location, strlen(location), &u) || u.secure)
		return NULL;
	if (u.path != h->origin_len || memcmp(u.text, h->origin, u.path)) {
		*other = host_new(&u);
		if (!*other)
			return NULL;
	}
	return strndup(u.text, u.len);
}

/* Follow a redirect of robots.txt. 0 and the new address in *url; or why not. */
static int follow(struct host *h, struct conn *c, char **url, struct reply *r)
{
	struct host *other = NULL;
	struct conn *there = c;
	char *to = redirected(*url, r->location, h, &other);
	int err = to ? 0 : -ENOENT;

	reply_free(r);
	if (other) {
		there = conn_new();
		err = there ? resolve_host(other) : -ENOMEM;
	}
	if (!err)
		err = http_get(there, other ? other->addrs : h->addrs, to, KEEP_ALL, r);
	if (other) {
		if (there)
			conn_free(there);
		host_free(other);
	}
	free(*url);
	*url = to;
	return err;
}

/* 0, or why its rules are unknown. What is not there (4xx) forbids nothing. */
static int fetch_robots(struct host *h, struct conn *c)
{
	struct reply r;
	char *url = malloc(h->origin_len + sizeof("/robots.txt"));
	int err;

	if (!url)
		return -ENOMEM;
	memcpy(url, h->origin, h->origin_len);
	strcpy(url + h->origin_len, "/robots.txt");
	err = http_get(c, h->addrs, url, KEEP_ALL, &r);
	for (int hops = 0; !err && r.location && hops < ROBOTS_MAX_HOPS; hops++)
		err = follow(h, c, &url, &r);
	free(url);
	if (err == -EFBIG)
		err = 0; /* the beginning counts */
	if (!err && r.status >= 500)
		err = -EAGAIN;
	if (!err && r.status >= 200 && r.status < 300)
		err = robots_parse(&h->robots, http_limits.agent, r.body.data ? r.body.data : "", r.body.len);
	reply_free(&r);
	return err;
}

enum host_outcome host_prepare(struct host *h, struct conn *c)
{
	h->prepared = true;
	h->err = resolve_host(h);
	if (h->err)
		return HOST_UNKNOWN;
	h->err = fetch_robots(h, c);
	if (h->err)
		return HOST_UNREACHABLE;
	h->delay_ns = h->robots.delay_ns > host_limits.delay_ns ? h->robots.delay_ns : host_limits.delay_ns;
	if (h->robots.delay_ns <= host_limits.max_delay_ns)
		return HOST_READY;
	h->err = -EBUSY;
	return HOST_TOO_SLOW;
}

unsigned int host_tasks(const struct host *h)
{
	return h->delay_ns ? 1 : host_limits.tasks;
}

uint64_t host_reserve(struct host *h, uint64_t now)
{
	uint64_t at = h->next_ns > now ? h->next_ns : now;

	h->next_ns = at + h->delay_ns;
	return at;
}
