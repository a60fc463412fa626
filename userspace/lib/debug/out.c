// SPDX-License-Identifier: MIT
#include "debug/out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

int gstk__out_flush(struct gstk__out *o)
{
	size_t done = 0;

	while (done < o->used && !o->err) {
		ssize_t n = write(o->fd, o->buf + done, o->used - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			o->err = -errno;
	}
	o->used = 0;
	return o->err;
}

static void put(struct gstk__out *o, const char *s, size_t n)
{
	while (n) {
		size_t room = sizeof(o->buf) - o->used, part = n < room ? n : room;

		memcpy(o->buf + o->used, s, part);
		o->used += part;
		s += part;
		n -= part;
		if (o->used == sizeof(o->buf))
			gstk__out_flush(o);
	}
}

static void put_number(struct gstk__out *o, uint64_t v, unsigned int base, unsigned int digits)
{
	char text[24];
	size_t at = sizeof(text);

	do {
		text[--at] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v || sizeof(text) - at < digits);
	put(o, text + at, sizeof(text) - at);
}

void gstk__outf(struct gstk__out *o, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	for (const char *p = format; *p; p++) {
		const char *end = strchr(p, '%');

		if (p != end) {
			size_t n = end ? (size_t)(end - p) : strlen(p);

			put(o, p, n);
			p += n - 1;
			continue;
		}
		switch (*++p) {
		case 's': {
			const char *s = va_arg(ap, const char *);

			put(o, s, strlen(s));
			break;
		}
		case 'u':
			put_number(o, va_arg(ap, uint64_t), 10, 1);
			break;
		case 'p':
			put(o, "0x", 2);
			put_number(o, va_arg(ap, uint64_t), 16, 12);
			break;
		default:
			put(o, "0x", 2);
			put_number(o, va_arg(ap, uint64_t), 16, 1);
			break;
		}
	}
	va_end(ap);
}
