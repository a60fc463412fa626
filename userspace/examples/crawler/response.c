// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "response.h"

#define MAX_CHUNK_LINE 1024

enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END, TRAILER };

/* Field names are tokens (RFC 9110, 5.6.2). */
static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", s[i]))
			return false;
	return len != 0;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(s, word, len);
}

static bool has_token(const char *s, size_t len, const char *word, bool last_only)
{
	bool hit = false;

	while (len) {
		size_t n = 0, w;

		while (n < len && s[n] != ',')
			n++;
		w = n;
		while (w && (s[0] == ' ' || s[0] == '\t'))
			s++, len--, n--, w--;
		while (w && (s[w - 1] == ' ' || s[w - 1] == '\t'))
			w--;
		if (w) {
			bool this = is_word(s, w, word);

			hit = last_only ? this : hit || this;
		}
		n += n < len;
		s += n;
		len -= n;
	}
	return hit;
}

/* Digits only, and again the same number where several are named: a list of lengths hides another body. */
static int parse_length(const char *s, size_t len, uint64_t *length)
{
	uint64_t n = 0;

	if (!len || len > 18)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EBADMSG;
		n = n * 10 + (uint64_t)(s[i] - '0');
	}
	if (*length != UINT64_MAX && *length != n)
		return -EBADMSG;
	*length = n;
	return 0;
}

/* "HTTP/1.1 200 OK" */
static int status_line(struct response *r, const char *s, size_t len)
{
	if (len < 12 || memcmp(s, "HTTP/1.", 7) || (s[7] != '0' && s[7] != '1') || s[8] != ' ')
		return -EBADMSG;
	for (int i = 9; i < 12; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EBADMSG;
		r->status = (uint16_t)(r->status * 10 + s[i] - '0');
	}
	if (r->status < 100 || r->status > 599 || (len > 12 && s[12] != ' '))
		return -EBADMSG;
	r->keep_alive = s[7] == '1';
	return 0;
}

struct framing_fields {
	uint64_t length;
	bool transfer, chunked, close;
};

static int field(struct response *r, struct framing_fields *f, const char *head, const char *s, size_t len)
{
	const char *colon = memchr(s, ':', len), *v;
	size_t vlen, nlen;
	struct slice_of value;

	if (!colon || !is_token(s, (size_t)(colon - s)))
		return -EBADMSG;
	nlen = (size_t)(colon - s);
	v = colon + 1;
	vlen = len - nlen - 1;
	while (vlen && (*v == ' ' || *v == '\t'))
		v++, vlen--;
	while (vlen && (v[vlen - 1] == ' ' || v[vlen - 1] == '\t'))
		vlen--;
	if (memchr(v, 0, vlen))
		return -EBADMSG;
	value = (struct slice_of){ (uint32_t)(v - head), (uint32_t)vlen };
	if (is_word(s, nlen, "content-length"))
		return parse_length(v, vlen, &f->length);
	if (is_word(s, nlen, "transfer-encoding")) {
		f->transfer = true;
		f->chunked = has_token(v, vlen, "chunked", true);
	} else if (is_word(s, nlen, "connection")) {
		f->close |= has_token(v, vlen, "close", false);
		r->keep_alive |= has_token(v, vlen, "keep-alive", false);
	} else if (is_word(s, nlen, "location")) {
		r->location = value;
	} else if (is_word(s, nlen, "content-type")) {
		r->type = value;
	}
	return 0;
}

/* RFC 9112, 6.3. */
static void choose_framing(struct response *r, const struct framing_fields *f)
{
	if (f->close)
		r->keep_alive = false;
	if (r->status < 200 || r->status == 204 || r->status == 304) {
		r->framing = BODY_NONE;
	} else if (f->transfer) {
		r->framing = f->chunked ? BODY_CHUNKED : BODY_CLOSE;
		if (f->length != UINT64_MAX) /* somebody in between may have seen another body */
			r->keep_alive = false;
	} else if (f->length != UINT64_MAX) {
		r->framing = f->length ? BODY_LENGTH : BODY_NONE;
		r->length = f->length;
	} else {
		r->framing = BODY_CLOSE;
	}
	if (r->framing == BODY_CLOSE)
		r->keep_alive = false;
}

long response_parse(struct response *r, const char *buf, size_t len)
{
	struct framing_fields f = { .length = UINT64_MAX };
	size_t at = 0;
	int err;

	memset(r, 0, sizeof(*r));
	for (;;) {
		const char *nl = memchr(buf + at, '\n', len - at);
		size_t n;

		if (!nl)
			return len >= RESPONSE_MAX_HEAD ? -EMSGSIZE : len >= 7 && memcmp(buf, "HTTP/1.", 7) ? -EBADMSG : 0;
		n = (size_t)(nl - buf) - at;
		if (at + n + 1 > RESPONSE_MAX_HEAD)
			return -EMSGSIZE;
		if (n && buf[at + n - 1] == '\r')
			n--;
		if (at && !n) {
			choose_framing(r, &f);
			return (long)(nl + 1 - buf);
		}
		err = at ? field(r, &f, buf, buf + at, n) : status_line(r, buf, n);
		if (err)
			return err;
		at = (size_t)(nl + 1 - buf);
	}
}

int bytes_add(struct bytes *b, const char *data, size_t len)
{
	size_t cap = b->cap ? b->cap : 512;
	char *more;

	if (len > b->limit - b->len)
		return -EFBIG;
	while (cap < b->len + len)
		cap *= 2;
	if (cap != b->cap) {
		more = realloc(b->data, cap);
		if (!more)
			return -ENOMEM;
		b->data = more;
		b->cap = cap;
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ .limit = b->limit };
}

void body_begin(struct body *b, const struct response *r)
{
	*b = (struct body){ .framing = r->framing, .state = CHUNK_SIZE, .done = r->framing == BODY_NONE };
	if (r->framing == BODY_LENGTH)
		b->left = r->length;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of what stands between the data of chunks. */
static int chunk_byte(struct body *b, char c)
{
	switch (b->state) {
	case CHUNK_SIZE:
		if (digit(c) >= 0) {
			if (++b->line > 15) /* and no overflow of left */
				return -EBADMSG;
			b->left = b->left << 4 | (uint64_t)digit(c);
			return 0;
		}
		if (!b->line || (c != ';' && c != ' ' && c != '\t' && c != '\r' && c != '\n'))
			return -EBADMSG;
		b->state = CHUNK_EXTENSION;
		/* fall through */
	case CHUNK_EXTENSION:
		if (++b->line > MAX_CHUNK_LINE)
			return -EBADMSG;
		if (c == '\n') {
			b->line = 0;
			b->state = b->left ? CHUNK_DATA : TRAILER;
		}
		return 0;
	case CHUNK_END:
		if (c == '\r' && !b->line++)
			return 0;
		if (c != '\n')
			return -EBADMSG;
		b->line = 0;
		b->state = CHUNK_SIZE;
		return 0;
	default: /* TRAILER: left counts all of its bytes, line those of this one */
		if (++b->left > RESPONSE_MAX_HEAD)
			return -EBADMSG;
		if (c == '\n') {
			b->done = !b->line;
			b->line = 0;
		} else if (c != '\r') {
			b->line = 1;
		}
		return 0;
	}
}

int body_feed(struct body *b, const char *in, size_t len, size_t *used, struct bytes *out)
{
	size_t at = 0;
	int err = 0;

	while (at < len && !b->done && !err) {
		size_t n = len - at;

		if (b->framing == BODY_CHUNKED && b->state != CHUNK_DATA) {
			err = chunk_byte(b, in[at++]);
			continue;
		}
		if (b->framing != BODY_CLOSE && n > b->left)
			n = (size_t)b->left;
		err = bytes_add(out, in + at, n);
		at += n;
		if (b->framing == BODY_CLOSE)
			continue;
		b->left -= n;
		if (!b->left && b->framing == BODY_LENGTH)
			b->done = true;
		else if (!b->left)
			b->state = CHUNK_END;
	}
	*used = at;
	return err;
}

int body_eof(struct body *b)
{
	if (!b->done && b->framing != BODY_CLOSE)
		return -EPIPE;
	b->done = true;
	return 0;
}
