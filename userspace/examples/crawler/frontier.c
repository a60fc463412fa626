// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include "frontier.h"

static uint32_t hash(const struct frontier *f, const char *s, size_t len)
{
	uint32_t h = f->seed ^ 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	h ^= h >> 15;
	h *= 0x2c1b3c6du;
	return h ^ h >> 13;
}

void frontier_init(struct frontier *f, size_t max_pages, uint32_t seed)
{
	*f = (struct frontier){ .max_pages = max_pages, .seed = seed };
	f->ready_end = &f->ready;
}

void frontier_fini(struct frontier *f)
{
	for (size_t i = 0; i < f->pages_cap; i++)
		free(f->pages[i]);
	for (size_t i = 0; i < f->hosts_cap; i++)
		if (f->hosts[i])
			host_free(f->hosts[i]);
	free(f->pages);
	free(f->hosts);
	memset(f, 0, sizeof(*f));
}

static struct page **find_page(const struct frontier *f, uint32_t h, const char *text, size_t len)
{
	size_t i = h & (f->pages_cap - 1);

	for (; f->pages[i]; i = (i + 1) & (f->pages_cap - 1))
		if (f->pages[i]->hash == h && f->pages[i]->len == len && !memcmp(f->pages[i]->text, text, len))
			break;
	return &f->pages[i];
}

static struct host **find_host(const struct frontier *f, uint32_t h, const char *origin, size_t len)
{
	size_t i = h & (f->hosts_cap - 1);

	for (; f->hosts[i]; i = (i + 1) & (f->hosts_cap - 1))
		if (f->hosts[i]->hash == h && f->hosts[i]->origin_len == len && !memcmp(f->hosts[i]->origin, origin, len))
			break;
	return &f->hosts[i];
}

static bool grow(struct frontier *f)
{
	struct page **pages = f->pages;
	struct host **hosts = f->hosts;
	size_t pages_cap = f->pages_cap, hosts_cap = f->hosts_cap;

	if (2 * (f->nr_pages + 1) > pages_cap) {
		f->pages = calloc(pages_cap ? 2 * pages_cap : 256, sizeof(*pages));
		if (!f->pages) {
			f->pages = pages;
			return false;
		}
		f->pages_cap = pages_cap ? 2 * pages_cap : 256;
		for (size_t i = 0; i < pages_cap; i++)
			if (pages[i])
				*find_page(f, pages[i]->hash, pages[i]->text, pages[i]->len) = pages[i];
		free(pages);
	}
	if (2 * (f->nr_hosts + 1) > hosts_cap) {
		f->hosts = calloc(hosts_cap ? 2 * hosts_cap : 16, sizeof(*hosts));
		if (!f->hosts) {
			f->hosts = hosts;
			return false;
		}
		f->hosts_cap = hosts_cap ? 2 * hosts_cap : 16;
		for (size_t i = 0; i < hosts_cap; i++)
			if (hosts[i])
				*find_host(f, hosts[i]->hash, hosts[i]->origin, hosts[i]->origin_len) = hosts[i];
		free(hosts);
	}
	return true;
}

static void list(struct frontier *f, struct host *h)
{
	if (h->listed || !h->nr_queued || h->tasks >= h->max_tasks)
		return;
	h->listed = true;
	h->next_ready = NULL;
	*f->ready_end = h;
	f->ready_end = &h->next_ready;
}

static struct host *host_of(struct frontier *f, const struct url *u)
{
	uint32_t h = hash(f, u->text, u->path);
	struct host **at = find_host(f, h, u->text, u->path);

	if (!*at) {
		*at = host_new(u);
		if (!*at)
			return NULL;
		(*at)->hash = h;
		f->nr_hosts++;
	}
	return *at;
}

enum frontier_added frontier_add(struct frontier *f, const struct url *u, unsigned int depth, unsigned int hops)
{
	uint32_t h = hash(f, u->text, u->len);
	struct page *p, **at;
	struct host *host;

	if (!grow(f))
		return FRONTIER_NOMEM;
	at = find_page(f, h, u->text, u->len);
	if (*at)
		return FRONTIER_KNOWN;
	if (f->nr_pages >= f->max_pages)
		return FRONTIER_FULL;
	host = host_of(f, u);
	p = host ? malloc(sizeof(*p) + u->len + 1u) : NULL;
	if (!p)
		return FRONTIER_NOMEM;
	*p = (struct page){ .host = host, .hash = h, .depth = (uint16_t)depth, .hops = (uint16_t)hops,
			    .path = u->path, .len = u->len };
	memcpy(p->text, u->text, u->len);
	p->text[u->len] = 0;
	*at = p;
	f->nr_pages++;
	*host->queue_end = p;
	host->queue_end = &p->next;
	host->nr_queued++;
	f->nr_queued++;
	list(f, host);
	return FRONTIER_NEW;
}

struct host *frontier_ready(struct frontier *f)
{
	struct host *h;

	while ((h = f->ready)) {
		f->ready = h->next_ready;
		if (!f->ready)
			f->ready_end = &f->ready;
		h->listed = false;
		if (!h->nr_queued) /* its tasks have taken them since it was listed */
			continue;
		h->tasks++;
		if (h->nr_queued > h->tasks)
			list(f, h);
		return h;
	}
	return NULL;
}

void frontier_leave(struct frontier *f, struct host *h)
{
	h->tasks--;
	list(f, h);
}

void frontier_widen(struct frontier *f, struct host *h, unsigned int max_tasks)
{
	h->max_tasks = max_tasks;
	if (h->nr_queued > 1)
		list(f, h);
}

struct page *frontier_take(struct frontier *f, struct host *h)
{
	struct page *p = h->queue;

	if (!p)
		return NULL;
	h->queue = p->next;
	if (!h->queue)
		h->queue_end = &h->queue;
	h->nr_queued--;
	f->nr_queued--;
	return p;
}
