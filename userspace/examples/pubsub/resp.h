// SPDX-License-Identifier: MIT
/*
 * The Redis serialization protocol, versions 2 and 3, server side: requests in, replies out.
 *
 * The parser is incremental and owns no text. Its caller keeps the bytes of the request that is
 * not complete yet in one contiguous buffer, which may grow and move between two calls; arguments
 * are offsets into it. No byte is looked at twice, wherever the stream was split.
 */
#ifndef PUBSUB_RESP_H
#define PUBSUB_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line of a header or of an inline request, as in Redis. */
#define RESP_MAX_LINE	(64u * 1024)
#define RESP_MAX_ARGS	(1024u * 1024)
#define RESP_FEW_ARGS	8

enum resp_status {
	RESP_MORE,    /* incomplete: call again with more bytes behind the same ones */
	RESP_REQUEST, /* nr_args >= 1 arguments; the request takes ->pos bytes */
	RESP_NOTHING, /* an empty line or an empty array, ->pos bytes: to be skipped without a reply */
	RESP_ERROR,   /* ->error says what is wrong; the connection is beyond repair */
};

struct resp_arg {
	uint32_t off, len;
};

struct resp_parser {
	uint32_t pos;	   /* parsed so far */
	uint32_t scan;	   /* no line end before this offset */
	int32_t left;	   /* strings still to come; -1 before the header */
	int64_t bulk;	   /* length of the string that is being read, -1 before its header */
	uint32_t max_bulk; /* longest string accepted; set by resp_init() */
	uint32_t nr_args, cap_args;
	struct resp_arg *more; /* heap, once RESP_FEW_ARGS do not do */
	struct resp_arg few[RESP_FEW_ARGS];
	char error[72];
};

/** A parser for requests whose strings have at most @max_bulk bytes (below 2 GiB). */
void resp_init(struct resp_parser *p, uint32_t max_bulk);
/** Forget the request and be ready for the next one, which begins at offset 0 of its buffer. */
void resp_reset(struct resp_parser *p);

/**
 * Go on with the request that begins at buf[0] and of which @len bytes are there. Inline requests
 * are unquoted in place. RESP_ERROR also when memory for the arguments is out.
 */
enum resp_status resp_parse(struct resp_parser *p, char *buf, size_t len);

static inline const struct resp_arg *resp_args(const struct resp_parser *p)
{
	return p->more ? p->more : p->few;
}

/*
 * Writer: appends to a caller's buffer; what does not fit is passed on by ->flush, which empties
 * the buffer (and also takes strings that are longer than it).
 */
struct resp_writer {
	char *buf;
	uint32_t len, cap;
	uint8_t proto; /* 2 or 3 */
	void (*flush)(struct resp_writer *w, const char *extra, size_t extra_len);
	void *user;
};

#define RESP_HEADER_MAX 24 /* a type byte, 20 digits, CR LF, rounded */

/** Write type byte, decimal number, CR LF to @out (RESP_HEADER_MAX bytes); returns the length. */
size_t resp_header(char *out, char type, int64_t n);
/** Write a bulk string to @out (@len + RESP_HEADER_MAX bytes); returns the length. */
size_t resp_put_bulk(char *out, const char *text, uint32_t len);

void resp_raw(struct resp_writer *w, const char *text, size_t len);
void resp_simple(struct resp_writer *w, const char *text);
/** "-" and a printf line; line ends in arguments become spaces. */
void resp_error(struct resp_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void resp_int(struct resp_writer *w, int64_t n);
void resp_bulk(struct resp_writer *w, const char *text, size_t len);
void resp_str(struct resp_writer *w, const char *text);
void resp_null(struct resp_writer *w);
void resp_array(struct resp_writer *w, size_t nr);
/** A map of @nr pairs; RESP2 has none, so there it is an array of 2 * @nr. */
void resp_map(struct resp_writer *w, size_t nr);
/** Out of band: a push in RESP3, an array in RESP2. */
void resp_push(struct resp_writer *w, size_t nr);
/** Text for people: a verbatim string in RESP3. */
void resp_verbatim(struct resp_writer *w, const char *text, size_t len);

#endif
