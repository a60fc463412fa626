// SPDX-License-Identifier: MIT
/* What an HTTP/1.x server answers, as bytes: the head, then a body in one of its four framings. No input or output. */
#ifndef CRAWLER_RESPONSE_H
#define CRAWLER_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_MAX_HEAD (64 * 1024)

enum response_framing {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
	BODY_CLOSE, /* ends with the connection */
};

struct slice_of { /* of the head */
	uint32_t at, len;
};

struct response {
	uint16_t status;
	enum response_framing framing;
	uint64_t length;
	bool keep_alive;
	struct slice_of location, type;
};

/**
 * Parse the answer to a GET. Returns the length of the head; 0 when it is not all there; -EBADMSG for anything that is
 * no such head or leaves the end of the body in doubt; -EMSGSIZE.
 */
long response_parse(struct response *r, const char *buf, size_t len);

/* Bytes that grow up to a limit. */
struct bytes {
	char *data;
	size_t len, cap, limit;
};
/** Append; 0, -ENOMEM, -EFBIG. */
int bytes_add(struct bytes *b, const char *data, size_t len);
void bytes_free(struct bytes *b);

struct body {
	enum response_framing framing;
	uint64_t left; /* of the length, or of the chunk */
	uint8_t state;
	uint16_t line; /* bytes of the line so far: a bound */
	bool done;
};

void body_begin(struct body *b, const struct response *r);
/**
 * Take what came, up to the end of the body, and append the contents to @out. @used: how many bytes of @in belong to
 * it. 0; -EBADMSG for broken chunks; as bytes_add(). @b->done tells that the body has ended.
 */
int body_feed(struct body *b, const char *in, size_t len, size_t *used, struct bytes *out);
/** The connection has ended: 0 when that ends the body, -EPIPE when something is missing. */
int body_eof(struct body *b);

#endif
