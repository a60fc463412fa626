// SPDX-License-Identifier: MIT
/* Names: libc's resolver waits by itself, and wants much stack. */
#include "block.h"

#include <stdlib.h>
#include <string.h>

static void find_addresses(struct preload_call *c)
{
	c->ret = real(getaddrinfo)(c->a[0].p, c->a[1].p, c->a[2].p, (struct addrinfo **)c->a[3].p);
}

EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	struct preload_call c = { .fn = find_addresses };
	struct addrinfo **found;
	int r = EAI_MEMORY;

	if (!IS_GREEN() || (hints && (hints->ai_flags & AI_NUMERICHOST)))
		return real(getaddrinfo)(node, service, hints, res);
	found = calloc(1, sizeof(*found));
	c.a[0].p = node;
	c.a[1].p = service;
	c.a[2].p = hints;
	c.a[3].p = found;
	if (found && !preload_lend(&c.a[0].p, node ? strlen(node) + 1 : 0) &&
	    !preload_lend(&c.a[1].p, service ? strlen(service) + 1 : 0) && !preload_lend(&c.a[2].p, sizeof(*hints))) {
		r = preload_block(&c) ? EAI_SYSTEM : (int)c.ret;
		if (!r)
			*res = *found;
	}
	preload_take_back(c.a[0].p, node);
	preload_take_back(c.a[1].p, service);
	preload_take_back(c.a[2].p, hints);
	free(found);
	return r;
}

struct name_query {
	struct sockaddr_storage addr;
	socklen_t len;
	int flags;
	socklen_t host_len, service_len;
	char host[NI_MAXHOST], service[NI_MAXSERV];
};

static void find_name(struct preload_call *c)
{
	struct name_query *q = (void *)c->a[0].p;

	c->ret = real(getnameinfo)((struct sockaddr *)&q->addr, q->len, q->host, q->host_len, q->service, q->service_len,
				   q->flags);
}

static socklen_t at_most(socklen_t len, socklen_t most)
{
	return len < most ? len : most;
}

EXPORT int getnameinfo(const struct sockaddr *addr, socklen_t len, char *host, socklen_t host_len, char *service,
		       socklen_t service_len, int flags)
{
	struct preload_call c = { .fn = find_name };
	struct name_query *q;
	int r;

	if (!IS_GREEN() || (flags & NI_NUMERICHOST) || len > sizeof(q->addr))
		return real(getnameinfo)(addr, len, host, host_len, service, service_len, flags);
	q = calloc(1, sizeof(*q));
	if (!q)
		return EAI_MEMORY;
	memcpy(&q->addr, addr, len);
	q->len = len;
	q->flags = flags;
	q->host_len = host ? at_most(host_len, NI_MAXHOST) : 0;
	q->service_len = service ? at_most(service_len, NI_MAXSERV) : 0;
	c.a[0].p = q;
	r = preload_block(&c) ? EAI_SYSTEM : (int)c.ret;
	if (!r && q->host_len)
		strcpy(host, q->host);
	if (!r && q->service_len)
		strcpy(service, q->service);
	free(q);
	return r;
}

/* The old ones: their results are libc's own, or in a buffer of the caller. */
struct host_query {
	const char *name;
	int family;
	struct hostent *into, *found;
	char *buf;
	size_t len;
	int herr;
};

static void find_host(struct preload_call *c)
{
	struct host_query *q = (void *)c->a[0].p;

	if (!q->into) {
		q->found = q->family ? real(gethostbyname2)(q->name, q->family) : real(gethostbyname)(q->name);
		q->herr = h_errno;
		return;
	}
	c->ret = q->family ? real(gethostbyname2_r)(q->name, q->family, q->into, q->buf, q->len, &q->found, &q->herr)
			   : real(gethostbyname_r)(q->name, q->into, q->buf, q->len, &q->found, &q->herr);
}

static NOINLINE void set_h_errno(int err)
{
	h_errno = err;
}

static int find_host_there(const struct host_query *in, struct host_query **out)
{
	struct preload_call c = { .fn = find_host };
	const void *name = in->name;
	struct host_query *q = malloc(sizeof(*q));
	int r = ENOMEM;

	*out = q;
	if (!q)
		return r;
	*q = *in;
	q->herr = NETDB_INTERNAL;
	if (!preload_lend(&name, strlen(in->name) + 1)) {
		q->name = name;
		c.a[0].p = q;
		r = preload_block(&c) ? preload_errno() : (int)c.ret;
		preload_take_back(name, in->name);
	}
	return r;
}

static struct hostent *find_host_simply(const char *name, int family)
{
	struct host_query in = { .name = name, .family = family }, *q;
	struct hostent *found = NULL;

	if (find_host_there(&in, &q) || !q->found)
		set_h_errno(q ? q->herr : NETDB_INTERNAL);
	else
		found = q->found;
	free(q);
	return found;
}

EXPORT struct hostent *gethostbyname(const char *name)
{
	return IS_GREEN() ? find_host_simply(name, 0) : real(gethostbyname)(name);
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
	return IS_GREEN() ? find_host_simply(name, family) : real(gethostbyname2)(name, family);
}

static int find_host_into(struct host_query *in, struct hostent **found, int *herr)
{
	struct host_query *q;
	int r = find_host_there(in, &q);

	*found = q && !r ? q->found : NULL;
	*herr = q ? q->herr : NETDB_INTERNAL;
	free(q);
	return r;
}

EXPORT int gethostbyname_r(const char *name, struct hostent *into, char *buf, size_t len, struct hostent **found,
			   int *herr)
{
	if (!IS_GREEN() || gstk_movable(into) || gstk_movable(buf))
		return real(gethostbyname_r)(name, into, buf, len, found, herr);
	return find_host_into(&(struct host_query){ .name = name, .into = into, .buf = buf, .len = len }, found, herr);
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *into, char *buf, size_t len,
			    struct hostent **found, int *herr)
{
	if (!IS_GREEN() || gstk_movable(into) || gstk_movable(buf))
		return real(gethostbyname2_r)(name, family, into, buf, len, found, herr);
	return find_host_into(&(struct host_query){ .name = name, .family = family, .into = into, .buf = buf, .len = len },
			      found, herr);
}
