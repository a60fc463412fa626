// SPDX-License-Identifier: MIT
/* Names to addresses, without keeping a worker: the system's resolver runs on the pool of blocking calls. */
#ifndef CRAWLER_RESOLVE_H
#define CRAWLER_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define RESOLVE_MAX_ADDRS 8

union addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct addrs {
	int nr;
	union addr at[];
};

/** "HOST:PORT:ADDRESS", "*" for any host, as curl has it: asked first. False when it makes no sense. */
bool resolve_fixed(const char *text);
/** Addresses of @host, text without brackets, to be freed. 0, -ENOENT: no such name or none now, -ENOMEM. Parks. */
int resolve(const char *host, uint16_t port, struct addrs **out);
socklen_t addr_len(const union addr *a);

#endif
