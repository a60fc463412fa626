// SPDX-License-Identifier: MIT
/* Absolute http and https URLs in one normal form, so that equal pages have equal text. */
#ifndef CRAWLER_URL_H
#define CRAWLER_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_MAX 2048

struct url {
	uint16_t len;
	uint16_t host, host_len; /* in text; an IPv6 address without its brackets */
	uint16_t port;
	uint16_t path;	  /* in text: path and query, up to the end */
	uint16_t path_len; /* of the path alone */
	bool secure;
	char text[URL_MAX];
};

/**
 * Resolve the reference @ref against @base (NULL: it must be absolute) as RFC 3986 says, and normalise it:
 * scheme and host in lower case, no default port, no dot segments, no fragment, percent-encoding only where it is
 * needed and in upper case, "/" for an empty path. White space around it, tabs and line ends in it are left out, as
 * browsers do. @out may not be @base.
 *
 * 0; -EINVAL: no URL; -EPROTONOSUPPORT: of another scheme; -ENAMETOOLONG: longer than URL_MAX.
 */
int url_resolve(const struct url *base, const char *ref, size_t len, struct url *out);

/** Percent-encode and -decode as in URLs of normal form. Bytes written, at most @cap; -1 when it does not fit. */
int url_encode(const char *in, size_t len, char *out, size_t cap);

#endif
