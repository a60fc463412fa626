// SPDX-License-Identifier: MIT
/* The Redis serialization protocol, client side: what another server answers or pushes. */
#ifndef PUBSUB_RESP_REPLY_H
#define PUBSUB_RESP_REPLY_H

#include "resp.h"

#define RESP_REPLY_TEXTS 4

/* One value. Of nested ones the strings are counted through, in the order of the wire. */
struct resp_reply {
	char type;    /* its first byte */
	uint32_t nr;  /* of the strings below that are there; numbers, errors and null count as strings */
	struct resp_arg text[RESP_REPLY_TEXTS]; /* offsets into the buffer */
	size_t need;  /* incomplete: not before so many bytes are there */
};

/**
 * The value that begins at buf[0]: how many bytes it takes; 0 when it is incomplete; -1 when this is
 * not the protocol. Looks at each string's header only, so calling it again for more bytes is cheap.
 */
int64_t resp_reply_parse(const char *buf, size_t len, struct resp_reply *r);

#endif
