// SPDX-License-Identifier: MIT
/* One GET over a connection that may be kept for the next. All of it parks. */
#ifndef CRAWLER_HTTP_H
#define CRAWLER_HTTP_H

#include "resolve.h"
#include "response.h"
#include "url.h"

struct conn; /* on the heap: who stops the crawler ends the connections of all tasks */

struct http_limits {
	uint64_t connect_ns, head_ns, body_ns; /* each phase for itself */
	size_t body;			       /* bytes */
	const char *agent;
};
extern struct http_limits http_limits;

struct reply {
	uint16_t status;
	char *location; /* of a redirect, or NULL */
	bool html;
	struct bytes body;  /* where it was asked for, or is HTML */
	uint64_t bytes;	    /* of the body, kept or not */
};

enum http_keep { KEEP_HTML, KEEP_ALL };

/** NULL: no memory. */
struct conn *conn_new(void);
void conn_free(struct conn *c);
/** Close it; the next request opens it again. */
void conn_close(struct conn *c);
/** End all connections, from whatever task: their calls fail. Those opened later fail at once. */
void conn_end_all(void);

/**
 * Fetch the page, from @addrs where no connection is open. @reply is to be freed whatever comes.
 * 0; -ECONNREFUSED and others of connect(2); -ETIMEDOUT; -EBADMSG: that is no HTTP; -EMSGSIZE, -EFBIG: too big a head,
 * body; -EPIPE: ended too early.
 */
int http_get(struct conn *c, const struct addrs *addrs, const char *url, enum http_keep keep, struct reply *reply);
void reply_free(struct reply *reply);

#endif
