// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include "crawl.h"
#include "frontier.h"
#include "green.h"
#include "html.h"

#define GIVE_UP_AFTER 3 /* failures of a host in a row */

struct crawl_counters crawl_counters;
struct crawl_limits crawl_limits = { .pages = 1000000, .tasks = 256, .depth = 65535, .redirects = 10 };

static struct {
	gstk_mutex lock;
	gstk_cond changed; /* no task left, or stopping */
	struct frontier frontier;
	unsigned int tasks, most;
	bool stopping;
} crawl = { .lock = GSTK_MUTEX_INIT, .changed = GSTK_COND_INIT };

#define COUNT(name) atomic_fetch_add_explicit(&crawl_counters.name, 1, memory_order_relaxed)

static void *fetch_main(void *arg);

/* As many tasks as hosts have work for and the limit allows. Locked. */
static void spawn_locked(void)
{
	struct host *h;

	while (!crawl.stopping && crawl.tasks < crawl_limits.tasks && (h = frontier_ready(&crawl.frontier))) {
		if (gstk_go(fetch_main, h)) {
			COUNT(spawn_errors);
			frontier_leave(&crawl.frontier, h);
			break;
		}
		if (++crawl.tasks > crawl.most)
			crawl.most = crawl.tasks;
	}
}

/* @host is a name below @domain, or that. */
static bool below(const char *host, size_t len, const char *domain)
{
	size_t n = strlen(domain);

	return len >= n && !strncasecmp(host + len - n, domain, n) && (len == n || host[len - n - 1] == '.');
}

static bool wanted_host(const struct url *u)
{
	if (crawl_limits.any_host)
		return true;
	for (const char **d = crawl_limits.domains; d && *d; d++)
		if (below(u->text + u->host, u->host_len, *d))
			return true;
	return false;
}

static void add_locked(const struct url *u, unsigned int depth, unsigned int hops)
{
	switch (frontier_add(&crawl.frontier, u, depth, hops)) {
	case FRONTIER_NEW:
		break;
	case FRONTIER_KNOWN:
		COUNT(known);
		break;
	default:
		COUNT(dropped);
	}
}

#define LINKS_AT_ONCE 256 /* of a page, under the lock */

/* The page that is being read. */
struct reading {
	const struct page *page;
	unsigned int nr;
	struct url base, url;
};

/* Called with the lock held: adding is quick, and so most pages take it once. One that is all links does not stop the others. */
static void found(void *arg, const char *ref, size_t len, bool base)
{
	struct reading *r = arg;
	int err;

	if (++r->nr % LINKS_AT_ONCE == 0) {
		spawn_locked();
		gstk_mutex_unlock(&crawl.lock);
		gstk_mutex_lock(&crawl.lock);
	}
	err = url_resolve(&r->base, ref, len, &r->url);
	if (base) {
		if (!err)
			r->base = r->url;
		return;
	}
	COUNT(links);
	if (err == -EPROTONOSUPPORT || (!err && r->url.secure))
		COUNT(other_schemes);
	else if (err)
		COUNT(bad_links);
	else if (!wanted_host(&r->url))
		COUNT(other_hosts);
	else if (r->page->depth >= crawl_limits.depth)
		COUNT(too_deep);
	else
		add_locked(&r->url, r->page->depth + 1u, 0);
}

static void read_links(struct reading *r, const struct reply *reply)
{
	size_t too_long;

	gstk_mutex_lock(&crawl.lock);
	too_long = html_links(reply->body.data, reply->body.len, found, r);
	spawn_locked();
	gstk_mutex_unlock(&crawl.lock);
	atomic_fetch_add_explicit(&crawl_counters.bad_links, too_long, memory_order_relaxed);
}

/* Where it leads is a page like any other, but knows how many redirects it took. */
static void redirect(struct reading *r, const char *location)
{
	int err = url_resolve(&r->base, location, strlen(location), &r->url);

	COUNT(redirects);
	if (err == -EPROTONOSUPPORT || (!err && r->url.secure)) {
		COUNT(other_schemes);
	} else if (err) {
		COUNT(bad_links);
	} else if (!wanted_host(&r->url)) {
		COUNT(other_hosts);
	} else if (r->page->hops >= crawl_limits.redirects) {
		COUNT(redirect_limit);
	} else {
		gstk_mutex_lock(&crawl.lock);
		add_locked(&r->url, r->page->depth, r->page->hops + 1u);
		spawn_locked();
		gstk_mutex_unlock(&crawl.lock);
	}
}

/* What came back. Not in a frame that waits for servers: two URLs are 4 KiB. */
static __attribute__((noinline)) void digest(const struct page *p, const struct reply *reply)
{
	struct reading r = { .page = p };

	if (url_resolve(NULL, p->text, p->len, &r.base))
		return;
	if (crawl_limits.verbose)
		printf("%u %llu %s\n", reply->status, (unsigned long long)reply->bytes, p->text);
	if (reply->location) {
		redirect(&r, reply->location);
	} else if (reply->status >= 200 && reply->status < 300) {
		COUNT(pages);
		atomic_fetch_add_explicit(&crawl_counters.bytes, reply->bytes, memory_order_relaxed);
		if (reply->html && reply->body.len)
			read_links(&r, reply);
	} else if (reply->status >= 400 && reply->status < 500) {
		COUNT(missing);
	} else {
		COUNT(server_errors);
	}
}

static void count_error(int err)
{
	switch (-err) {
	case ETIMEDOUT:
		COUNT(timeouts);
		break;
	case EBADMSG:
		COUNT(protocol_errors);
		break;
	case EFBIG:
	case EMSGSIZE:
		COUNT(too_big);
		break;
	case EPIPE:
	case ECONNRESET:
		COUNT(cut_short);
		break;
	case ECANCELED: /* the crawl has been stopped */
		COUNT(left);
		break;
	default:
		COUNT(connect_errors);
	}
}

/* The host is known now: let others in, or say why not. */
static void prepare(struct host *h, struct conn *c)
{
	enum host_outcome outcome = host_prepare(h, c);

	COUNT(hosts);
	if (outcome == HOST_UNKNOWN)
		COUNT(hosts_unknown);
	else if (outcome == HOST_UNREACHABLE)
		COUNT(hosts_unreachable);
	else if (outcome == HOST_TOO_SLOW)
		COUNT(hosts_too_slow);
	gstk_mutex_lock(&crawl.lock);
	if (outcome == HOST_READY) {
		h->next_ns = gstk_now() + h->delay_ns;
		frontier_widen(&crawl.frontier, h, host_tasks(h));
		spawn_locked();
	}
	gstk_mutex_unlock(&crawl.lock);
}

/* The next page of the host, when it may be asked for. NULL: no more, or the crawl stops. Parks. */
static struct page *next_page(struct host *h)
{
	struct page *p = NULL;
	uint64_t at;

	gstk_mutex_lock(&crawl.lock);
	while (!crawl.stopping && (p = frontier_take(&crawl.frontier, h))) {
		bool allowed;

		if (h->err) {
			COUNT(left);
			continue;
		}
		/* Not under the lock: a site that writes rules which take long to match keeps only its own tasks. */
		gstk_mutex_unlock(&crawl.lock);
		allowed = robots_allow(&h->robots, p->text + p->path, p->len - p->path);
		gstk_mutex_lock(&crawl.lock);
		if (allowed)
			break;
		COUNT(disallowed);
	}
	at = p ? host_reserve(h, gstk_now()) : 0;
	while (p && h->delay_ns && !crawl.stopping && gstk_now() < at)
		gstk_cond_wait_until(&crawl.changed, &crawl.lock, at);
	if (p && crawl.stopping) {
		COUNT(left);
		p = NULL;
	}
	gstk_mutex_unlock(&crawl.lock);
	return p;
}

static void note_failure(struct host *h, bool failed)
{
	gstk_mutex_lock(&crawl.lock);
	__atomic_store_n(&h->failures, failed ? h->failures + 1 : 0, __ATOMIC_RELAXED);
	if (h->failures == GIVE_UP_AFTER && !h->err) {
		COUNT(hosts_given_up);
		h->err = -EHOSTDOWN;
	}
	gstk_mutex_unlock(&crawl.lock);
}

static void fetch(struct host *h, struct conn *c, const struct page *p)
{
	struct reply reply;
	int err;

	COUNT(requests);
	err = http_get(c, h->addrs, p->text, KEEP_HTML, &reply);
	if (err)
		count_error(err);
	else
		digest(p, &reply);
	reply_free(&reply);
	if (err || __atomic_load_n(&h->failures, __ATOMIC_RELAXED))
		note_failure(h, err && err != -EFBIG && err != -EMSGSIZE);
}

/* The host after @h for the calling task, or NULL: it ends. */
static struct host *next_host(struct host *h)
{
	gstk_mutex_lock(&crawl.lock);
	frontier_leave(&crawl.frontier, h);
	h = crawl.stopping ? NULL : frontier_ready(&crawl.frontier);
	if (!h && !--crawl.tasks)
		gstk_cond_broadcast(&crawl.changed);
	gstk_mutex_unlock(&crawl.lock);
	return h;
}

static void *fetch_main(void *arg)
{
	struct conn *c = conn_new();
	struct host *h = arg;
	struct page *p;

	if (!c)
		crawl_stop();
	do {
		if (c && !h->prepared)
			prepare(h, c);
		while (c && (p = next_page(h)))
			fetch(h, c, p);
		if (c)
			conn_close(c);
	} while ((h = next_host(h)));
	if (c)
		conn_free(c);
	return NULL;
}

void crawl_init(void)
{
	uint32_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint32_t)gstk_now();
	frontier_init(&crawl.frontier, crawl_limits.pages, seed);
}

/* The host of a seed is crawled, and no other unless it is named. */
static int add_domain(const struct url *u)
{
	size_t nr = 0;
	const char **more;

	while (crawl_limits.domains && crawl_limits.domains[nr])
		nr++;
	more = realloc(crawl_limits.domains, (nr + 2) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	crawl_limits.domains = more;
	more[nr] = strndup(u->text + u->host, u->host_len);
	more[nr + 1] = NULL;
	return more[nr] ? 0 : -ENOMEM;
}

int crawl_seed(const char *text)
{
	struct url u;
	int err = url_resolve(NULL, text, strlen(text), &u);

	if (!err && u.secure)
		err = -EPROTONOSUPPORT;
	if (!err && !wanted_host(&u))
		err = add_domain(&u);
	if (err)
		return err;
	gstk_mutex_lock(&crawl.lock);
	add_locked(&u, 0, 0);
	gstk_mutex_unlock(&crawl.lock);
	return 0;
}

void crawl_start(void)
{
	gstk_mutex_lock(&crawl.lock);
	spawn_locked();
	gstk_mutex_unlock(&crawl.lock);
}

bool crawl_wait(uint64_t deadline_ns)
{
	bool done;

	gstk_mutex_lock(&crawl.lock);
	while (crawl.tasks && gstk_now() < deadline_ns)
		gstk_cond_wait_until(&crawl.changed, &crawl.lock, deadline_ns);
	done = !crawl.tasks;
	gstk_mutex_unlock(&crawl.lock);
	return done;
}

void crawl_stop(void)
{
	gstk_mutex_lock(&crawl.lock);
	crawl.stopping = true;
	gstk_cond_broadcast(&crawl.changed);
	gstk_mutex_unlock(&crawl.lock);
}

unsigned int crawl_tasks(unsigned int *most)
{
	unsigned int now;

	gstk_mutex_lock(&crawl.lock);
	now = crawl.tasks;
	*most = crawl.most;
	gstk_mutex_unlock(&crawl.lock);
	return now;
}

void crawl_fini(void)
{
	atomic_fetch_add_explicit(&crawl_counters.left, crawl.frontier.nr_queued, memory_order_relaxed);
	frontier_fini(&crawl.frontier);
	for (const char **d = crawl_limits.domains; d && *d; d++)
		free((char *)*d);
	free(crawl_limits.domains);
	crawl_limits.domains = NULL;
}
