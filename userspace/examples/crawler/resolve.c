// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "green.h"
#include "resolve.h"

struct fixed {
	struct fixed *next;
	uint16_t port;
	const char *address;
	char host[];
};

struct job {
	struct addrs *addrs;
	int err;
	uint16_t port;
	char host[];
};

static struct fixed *fixed_names;

bool resolve_fixed(const char *text)
{
	const char *colon = strchr(text, ':');
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
	const char *address = colon ? strchr(colon + 1, ':') : NULL;
	unsigned char any[sizeof(struct in6_addr)];
	struct fixed *f;

	if (!address || colon == text || !port || port > 65535)
		return false;
	address++;
	if (inet_pton(AF_INET, address, any) != 1 && inet_pton(AF_INET6, address, any) != 1)
		return false;
	f = calloc(1, sizeof(*f) + (size_t)(colon - text) + 1);
	if (!f)
		return false;
	f->port = (uint16_t)port;
	f->address = address;
	memcpy(f->host, text, (size_t)(colon - text));
	f->next = fixed_names;
	fixed_names = f;
	return true;
}

socklen_t addr_len(const union addr *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static int look_up(const char *host, uint16_t port, int flags, struct addrs **out)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
	struct addrinfo *list, *i;
	struct addrs *addrs;
	char service[8];
	int err, nr = 0;

	snprintf(service, sizeof(service), "%u", port);
	err = getaddrinfo(host, service, &hints, &list);
	if (err)
		return err == EAI_MEMORY ? -ENOMEM : -ENOENT;
	for (i = list; i && nr < RESOLVE_MAX_ADDRS; i = i->ai_next)
		nr += i->ai_family == AF_INET || i->ai_family == AF_INET6;
	addrs = malloc(sizeof(*addrs) + (size_t)nr * sizeof(addrs->at[0]));
	if (addrs) {
		addrs->nr = 0;
		for (i = list; i && addrs->nr < nr; i = i->ai_next)
			if (i->ai_family == AF_INET || i->ai_family == AF_INET6)
				memcpy(&addrs->at[addrs->nr++], i->ai_addr, i->ai_addrlen);
	}
	freeaddrinfo(list);
	*out = addrs;
	return !addrs ? -ENOMEM : nr ? 0 : -ENOENT;
}

static void *job_run(void *arg)
{
	struct job *job = arg;

	job->err = look_up(job->host, job->port, AI_ADDRCONFIG, &job->addrs);
	return NULL;
}

int resolve(const char *host, uint16_t port, struct addrs **out)
{
	struct job *job;
	int err;

	for (struct fixed *f = fixed_names; f; f = f->next)
		if (f->port == port && (!strcmp(f->host, "*") || !strcasecmp(f->host, host)))
			return look_up(f->address, port, AI_NUMERICHOST, out);
	job = calloc(1, sizeof(*job) + strlen(host) + 1);
	if (!job)
		return -ENOMEM;
	job->port = port;
	memcpy(job->host, host, strlen(host));
	err = gstk_blocking(job_run, job, NULL);
	if (!err)
		err = job->err;
	*out = job->addrs;
	free(job);
	return err;
}
