// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "resp.h"

size_t resp_header(char *out, char type, int64_t n)
{
	char digits[20], *d = digits + sizeof(digits), *o = out;
	uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

	do
		*--d = (char)('0' + u % 10);
	while (u /= 10);
	*o++ = type;
	if (n < 0)
		*o++ = '-';
	memcpy(o, d, (size_t)(digits + sizeof(digits) - d));
	o += digits + sizeof(digits) - d;
	*o++ = '\r';
	*o++ = '\n';
	return (size_t)(o - out);
}

size_t resp_put_bulk(char *out, const char *text, uint32_t len)
{
	size_t n = resp_header(out, '$', len);

	memcpy(out + n, text, len);
	memcpy(out + n + len, "\r\n", 2);
	return n + len + 2;
}

void resp_raw(struct resp_writer *w, const char *text, size_t len)
{
	if (len > w->cap - w->len) {
		if (len > w->cap) {
			w->flush(w, text, len);
			return;
		}
		w->flush(w, NULL, 0);
	}
	memcpy(w->buf + w->len, text, len);
	w->len += (uint32_t)len;
}

static void header(struct resp_writer *w, char type, int64_t n)
{
	char line[RESP_HEADER_MAX];

	resp_raw(w, line, resp_header(line, type, n));
}

void resp_simple(struct resp_writer *w, const char *text)
{
	resp_raw(w, "+", 1);
	resp_raw(w, text, strlen(text));
	resp_raw(w, "\r\n", 2);
}

void resp_error(struct resp_writer *w, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	line[0] = '-';
	va_start(ap, fmt);
	n = vsnprintf(line + 1, sizeof(line) - 3, fmt, ap);
	va_end(ap);
	n = n < 0 ? 0 : n > (int)sizeof(line) - 4 ? (int)sizeof(line) - 4 : n;
	for (int i = 1; i <= n; i++)
		if (line[i] == '\r' || line[i] == '\n')
			line[i] = ' ';
	memcpy(line + 1 + n, "\r\n", 2);
	resp_raw(w, line, (size_t)n + 3);
}

void resp_int(struct resp_writer *w, int64_t n)
{
	header(w, ':', n);
}

void resp_bulk(struct resp_writer *w, const char *text, size_t len)
{
	header(w, '$', (int64_t)len);
	resp_raw(w, text, len);
	resp_raw(w, "\r\n", 2);
}

void resp_str(struct resp_writer *w, const char *text)
{
	resp_bulk(w, text, strlen(text));
}

void resp_null(struct resp_writer *w)
{
	if (w->proto >= 3)
		resp_raw(w, "_\r\n", 3);
	else
		resp_raw(w, "$-1\r\n", 5);
}

void resp_array(struct resp_writer *w, size_t nr)
{
	header(w, '*', (int64_t)nr);
}

void resp_map(struct resp_writer *w, size_t nr)
{
	if (w->proto >= 3)
		header(w, '%', (int64_t)nr);
	else
		header(w, '*', 2 * (int64_t)nr);
}

void resp_push(struct resp_writer *w, size_t nr)
{
	header(w, w->proto >= 3 ? '>' : '*', (int64_t)nr);
}

void resp_verbatim(struct resp_writer *w, const char *text, size_t len)
{
	if (w->proto < 3) {
		resp_bulk(w, text, len);
		return;
	}
	header(w, '=', (int64_t)len + 4);
	resp_raw(w, "txt:", 4);
	resp_raw(w, text, len);
	resp_raw(w, "\r\n", 2);
}
