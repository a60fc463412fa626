// SPDX-License-Identifier: MIT
#include <string.h>
#include "resp_reply.h"

#define MAX_BULK (512ll << 20) /* as in Redis */

/* A decimal number that fills s[0..len). */
static bool number(const char *s, size_t len, int64_t *n)
{
	bool negative = len && *s == '-';
	int64_t v = 0;

	if (negative)
		s++, len--;
	if (!len || len > 18)
		return false;
	for (; len; s++, len--) {
		if (*s < '0' || *s > '9')
			return false;
		v = 10 * v + (*s - '0');
	}
	*n = negative ? -v : v;
	return true;
}

static void note(struct resp_reply *r, size_t off, size_t len)
{
	if (r->nr < RESP_REPLY_TEXTS)
		r->text[r->nr++] = (struct resp_arg){ (uint32_t)off, (uint32_t)len };
}

int64_t resp_reply_parse(const char *buf, size_t len, struct resp_reply *r)
{
	static const char types[] = "+-:$=!*%>~|_,#(";
	uint64_t left = 1; /* values still to come */
	size_t at = 0;

	r->nr = 0;
	r->type = len ? *buf : 0;
	for (; left; left--) {
		const char *end;
		size_t line;
		int64_t n = 0;

		if (at < len && !memchr(types, buf[at], sizeof(types) - 1))
			return -1;
		r->need = len + 1;
		end = at < len ? memchr(buf + at, '\n', len - at) : NULL;
		if (!end)
			return len - at > RESP_MAX_LINE ? -1 : 0;
		line = (size_t)(end - buf);
		if (line < at + 2 || buf[line - 1] != '\r')
			return -1;
		switch (buf[at]) {
		case '$': case '=': case '!':
			if (!number(buf + at + 1, line - at - 2, &n) || n < -1 || n > MAX_BULK)
				return -1;
			if (n < 0)
				break;
			r->need = line + 1 + (size_t)n + 2;
			if (r->need > len)
				return 0;
			note(r, line + 1, (size_t)n);
			at = r->need;
			continue;
		case '*': case '>': case '~': case '%': case '|':
			if (!number(buf + at + 1, line - at - 2, &n) || n < -1 || n > RESP_MAX_ARGS)
				return -1;
			if (n > 0)
				left += (uint64_t)n << (buf[at] == '%' || buf[at] == '|');
			left += buf[at] == '|'; /* attributes stand before a value */
			break;
		default:
			note(r, at + 1, line - at - 2);
		}
		at = line + 1;
	}
	return (int64_t)at;
}
