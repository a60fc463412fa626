// SPDX-License-Identifier: MIT
/* Listening and dialling by "host:port" and "unix:path". */
#include <greenstk/net.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "host/refuse.h"

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* Length of the address, or -EINVAL. @why: what is wrong with it. */
static int parse(const char *s, union addr *a, const char **why)
{
	char host[64];
	const char *colon;
	char *end;
	unsigned long port;
	size_t len;

	memset(a, 0, sizeof(*a));
	*why = "is no address";
	if (!s)
		return -EINVAL;
	if (strncmp(s, "unix:", 5) == 0) {
		*why = s[5] ? "has a longer path than a Unix socket may have, 107 bytes" : "has no path";
		if (strlen(s + 5) >= sizeof(a->un.sun_path) || !s[5])
			return -EINVAL;
		a->un.sun_family = AF_UNIX;
		strcpy(a->un.sun_path, s + 5);
		return (int)sizeof(a->un);
	}
	colon = strrchr(s, ':');
	*why = "has no port";
	if (!colon || !colon[1])
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	*why = "has no port from 0 to 65535";
	if (*end || port > 65535 || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	len = (size_t)(colon - s);
	*why = "has a host that is no numeric address; names are not looked up, use getaddrinfo() and gstk_connect()";
	if (len >= sizeof(host))
		return -EINVAL;
	if (s[0] == '[' && len >= 2 && s[len - 1] == ']') {
		memcpy(host, s + 1, len - 2);
		host[len - 2] = 0;
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1 ? (int)sizeof(a->in6) : -EINVAL;
	}
	memcpy(host, s, len);
	host[len] = 0;
	a->in.sin_family = AF_INET;
	a->in.sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, len ? host : "0.0.0.0", &a->in.sin_addr) == 1 ? (int)sizeof(a->in) : -EINVAL;
}

/* For the function @who. */
static int parse_or_refuse(const char *who, const char *s, union addr *a)
{
	const char *why;
	int len = parse(s, a, &why);

	return len >= 0 ? len : gstk__refuse("%s: \"%.120s\" %s; write 127.0.0.1:6379, [::1]:6379 or unix:/run/socket",
					     who, s ? s : "(NULL)", why);
}

int gstk_listen(const char *addr, int backlog)
{
	union addr a;
	int len = parse_or_refuse("gstk_listen", addr, &a), fd, err, on = 1;

	if (len < 0)
		return len;
	fd = gstk_socket(a.sa.sa_family, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	if (a.sa.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &a.sa, (socklen_t)len) || listen(fd, backlog > 0 ? backlog : SOMAXCONN)) {
		err = -errno;
		gstk_close(fd);
		return err;
	}
	return fd;
}

int gstk_dial(const char *addr, uint64_t deadline_ns)
{
	union addr a;
	int len = parse_or_refuse("gstk_dial", addr, &a), fd, err;

	if (len < 0)
		return len;
	fd = gstk_socket(a.sa.sa_family, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	err = gstk_connect_until(fd, &a.sa, (socklen_t)len, deadline_ns);
	if (err) {
		gstk_close(fd);
		return err;
	}
	return fd;
}
