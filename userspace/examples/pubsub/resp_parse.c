// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "resp.h"

void resp_init(struct resp_parser *p, uint32_t max_bulk)
{
	p->more = NULL;
	p->cap_args = RESP_FEW_ARGS;
	p->max_bulk = max_bulk;
	resp_reset(p);
}

void resp_reset(struct resp_parser *p)
{
	free(p->more);
	p->more = NULL;
	p->cap_args = RESP_FEW_ARGS;
	p->nr_args = 0;
	p->pos = p->scan = 0;
	p->left = -1;
	p->bulk = -1;
	p->error[0] = 0;
}

static enum resp_status bad(struct resp_parser *p, const char *what)
{
	snprintf(p->error, sizeof(p->error), "Protocol error: %s", what);
	return RESP_ERROR;
}

/* The array grows with strings that have come, never with the number that a header promises. */
static bool push_arg(struct resp_parser *p, size_t off, size_t len)
{
	struct resp_arg *args = p->more ? p->more : p->few;

	if (p->nr_args == p->cap_args) {
		struct resp_arg *more = realloc(p->more, 2 * p->cap_args * sizeof(*more));

		if (!more)
			return false;
		if (!p->more)
			memcpy(more, p->few, sizeof(p->few));
		p->more = args = more;
		p->cap_args *= 2;
	}
	args[p->nr_args++] = (struct resp_arg){ (uint32_t)off, (uint32_t)len };
	return true;
}

/* Find the LF of the line at ->pos. Its offset, or -1 when it has not come yet. */
static int64_t line_end(struct resp_parser *p, const char *buf, size_t len)
{
	size_t from = p->scan > p->pos ? p->scan : p->pos;
	const char *lf = from < len ? memchr(buf + from, '\n', len - from) : NULL;

	p->scan = (uint32_t)len;
	return lf ? lf - buf : -1;
}

/* A whole line [from, to) as a number: an optional minus and digits, nothing else. */
static bool parse_int(const char *s, const char *end, int64_t *out)
{
	bool minus = s < end && *s == '-';
	int64_t n = 0;

	s += minus;
	if (s == end || end - s > 10 || (*s == '0' && (end - s > 1 || minus)))
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = n * 10 + (*s - '0');
	}
	*out = minus ? -n : n;
	return true;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0;
}

/*
 * One word of an inline request from *s, unquoted in place. Returns false for quotes that are not
 * balanced: a closing quote must be there, and be followed by a blank or the end.
 */
static bool inline_word(char **s, char *end, char **word, size_t *len)
{
	char *in = *s, *out = in, quote = 0;

	*word = in;
	while (in < end) {
		char c = *in;

		if (!quote) {
			if (blank(c))
				break;
			if (c == '"' || c == '\'')
				quote = c;
			else
				*out++ = c;
			in++;
		} else if (quote == '"' && c == '\\' && end - in >= 4 && in[1] == 'x' &&
			   hex(in[2]) >= 0 && hex(in[3]) >= 0) {
			*out++ = (char)(hex(in[2]) * 16 + hex(in[3]));
			in += 4;
		} else if (quote == '"' && c == '\\' && end - in >= 2) {
			static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
			const char *e = memchr(from, in[1], sizeof(from) - 1);

			*out++ = e ? to[e - from] : in[1];
			in += 2;
		} else if (quote == '\'' && c == '\\' && end - in >= 2 && in[1] == '\'') {
			*out++ = '\'';
			in += 2;
		} else if (c == quote) {
			if (in + 1 < end && !blank(in[1]))
				return false;
			quote = 0;
			in++;
		} else {
			*out++ = c;
			in++;
		}
	}
	*len = (size_t)(out - *word);
	*s = in;
	return !quote;
}

static enum resp_status parse_inline(struct resp_parser *p, char *buf, size_t len)
{
	int64_t lf = line_end(p, buf, len);
	char *s = buf, *end;

	if (lf < 0)
		return len > RESP_MAX_LINE ? bad(p, "too big inline request") : RESP_MORE;
	end = buf + lf;
	if (end > s && end[-1] == '\r')
		end--;
	for (;;) {
		char *word;
		size_t n;

		while (s < end && blank(*s))
			s++;
		if (s == end)
			break;
		if (!inline_word(&s, end, &word, &n))
			return bad(p, "unbalanced quotes in request");
		if (!push_arg(p, (size_t)(word - buf), n))
			return bad(p, "out of memory");
	}
	p->pos = (uint32_t)lf + 1;
	return p->nr_args ? RESP_REQUEST : RESP_NOTHING;
}

/* A header line at ->pos: its number. MORE, REQUEST (found), or ERROR. */
static enum resp_status parse_header(struct resp_parser *p, const char *buf, size_t len, int64_t *n,
				     const char *too_big, const char *invalid)
{
	int64_t lf = line_end(p, buf, len);

	if (lf < 0)
		return len - p->pos > RESP_MAX_LINE ? bad(p, too_big) : RESP_MORE;
	if (lf == p->pos || buf[lf - 1] != '\r' || !parse_int(buf + p->pos + 1, buf + lf - 1, n))
		return bad(p, invalid);
	p->pos = p->scan = (uint32_t)lf + 1;
	return RESP_REQUEST;
}

static enum resp_status parse_strings(struct resp_parser *p, char *buf, size_t len)
{
	while (p->left > 0) {
		enum resp_status s;

		if (p->bulk < 0) {
			if (p->pos == len)
				return RESP_MORE;
			if (buf[p->pos] != '$') {
				char c = buf[p->pos];

				snprintf(p->error, sizeof(p->error), "Protocol error: expected '$', got '%c'",
					 c >= ' ' && c <= '~' ? c : '?');
				return RESP_ERROR;
			}
			s = parse_header(p, buf, len, &p->bulk, "too big bulk count string",
					 "invalid bulk length");
			if (s != RESP_REQUEST) {
				p->bulk = -1;
				return s;
			}
			if (p->bulk < 0 || p->bulk > p->max_bulk)
				return bad(p, "invalid bulk length");
		}
		if (len - p->pos < (size_t)p->bulk + 2)
			return RESP_MORE;
		/* As Redis: the two bytes behind a string are skipped, whatever they are. */
		if (!push_arg(p, p->pos, (size_t)p->bulk))
			return bad(p, "out of memory");
		p->pos += (uint32_t)p->bulk + 2;
		p->scan = p->pos;
		p->bulk = -1;
		p->left--;
	}
	return RESP_REQUEST;
}

enum resp_status resp_parse(struct resp_parser *p, char *buf, size_t len)
{
	if (p->left < 0) {
		enum resp_status s;
		int64_t n = 0;

		if (!len)
			return RESP_MORE;
		if (buf[0] != '*')
			return parse_inline(p, buf, len);
		s = parse_header(p, buf, len, &n, "too big mbulk count string", "invalid multibulk length");
		if (s != RESP_REQUEST)
			return s;
		if (n > RESP_MAX_ARGS)
			return bad(p, "invalid multibulk length");
		if (n <= 0)
			return RESP_NOTHING;
		p->left = (int32_t)n;
	}
	return parse_strings(p, buf, len);
}
