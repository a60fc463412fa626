// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "url.h"

/* A reference in its parts, slices of the cleaned text (RFC 3986, appendix B). */
struct part {
	const char *at;
	size_t len;
	bool there;
};
struct parts {
	struct part scheme, authority, path, query;
};

static bool is_alpha(char c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unreserved(char c)
{
	return is_alpha(c) || is_digit(c) || (c && strchr("-._~", c));
}

/* What may stand in a path or query as it is. */
static bool plain(char c)
{
	return unreserved(c) || (c && strchr("!$&'()*+,;=:@/?", c));
}

static char *put_escape(char *o, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	*o++ = '%';
	*o++ = digits[c >> 4];
	*o++ = digits[c & 15];
	return o;
}

int url_encode(const char *in, size_t len, char *out, size_t cap)
{
	char *o = out, *end = out + cap;

	for (size_t i = 0; i < len; i++) {
		char c = in[i];

		if (end - o < 3)
			return -1;
		if (c == '%' && len - i > 2 && hex(in[i + 1]) >= 0 && hex(in[i + 2]) >= 0) {
			c = (char)(hex(in[i + 1]) << 4 | hex(in[i + 2]));
			i += 2;
			if (unreserved(c))
				*o++ = c;
			else
				o = put_escape(o, (unsigned char)c);
		} else if (plain(c)) {
			*o++ = c;
		} else {
			o = put_escape(o, (unsigned char)c);
		}
	}
	return (int)(o - out);
}

/* Without the white space and control characters that browsers leave out. Length, or -1: too long. */
static int clean(const char *in, size_t len, char *out)
{
	size_t n = 0;

	while (len && (unsigned char)*in <= ' ')
		in++, len--;
	while (len && (unsigned char)in[len - 1] <= ' ')
		len--;
	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\t' || in[i] == '\n' || in[i] == '\r')
			continue;
		if (n == URL_MAX)
			return -1;
		out[n++] = in[i];
	}
	return (int)n;
}

static size_t span_until(const char *s, size_t len, const char *stop)
{
	size_t n = 0;

	while (n < len && !(s[n] && strchr(stop, s[n])))
		n++;
	return n;
}

static void split(const char *s, size_t len, struct parts *p)
{
	size_t n = span_until(s, len, "#");

	len = n; /* the fragment is nobody's business but the reader's */
	memset(p, 0, sizeof(*p));
	n = 0;
	while (n < len && (is_alpha(s[n]) || (n && (is_digit(s[n]) || strchr("+-.", s[n] ? s[n] : 'x')))))
		n++;
	if (n && n < len && s[n] == ':') {
		p->scheme = (struct part){ s, n, true };
		s += n + 1, len -= n + 1;
	}
	if (len >= 2 && s[0] == '/' && s[1] == '/') {
		n = span_until(s + 2, len - 2, "/?");
		p->authority = (struct part){ s + 2, n, true };
		s += n + 2, len -= n + 2;
	}
	n = span_until(s, len, "?");
	p->path = (struct part){ s, n, true };
	if (n < len)
		p->query = (struct part){ s + n + 1, len - n - 1, true };
}

static bool host_char(char c)
{
	return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
}

/* "host", "host:port" or "[v6]:port" into @out. User names are refused: nobody is asked for passwords here. */
static int put_authority(const struct part *a, struct url *out)
{
	const char *s = a->at, *end = s + a->len;
	uint32_t port = 0, usual = out->secure ? 443 : 80;
	bool v6 = s < end && *s == '[';
	const char *h = s + v6;

	for (s = h; s < end && (v6 ? hex(*s) >= 0 || *s == ':' || *s == '.' : host_char(*s)); s++)
		;
	out->host_len = (uint16_t)(s - h);
	if (s == h || s - h > 253 || (v6 && (s == end || *s != ']')) || *h == '.' || memmem(h, (size_t)(s - h), "..", 2))
		return -EINVAL;
	if (v6)
		out->text[out->len++] = '[';
	out->host = out->len;
	for (const char *c = h; c < s; c++)
		out->text[out->len++] = is_alpha(*c) ? *c | 32 : *c;
	if (!v6 && out->host_len > 1 && out->text[out->len - 1] == '.') { /* the root of all domains may be named */
		out->len--;
		out->host_len--;
	}
	if (v6) {
		out->text[out->len++] = ']';
		s++;
	}
	if (s < end && *s++ != ':')
		return -EINVAL;
	for (; s < end; s++) {
		if (!is_digit(*s) || port > 65535)
			return -EINVAL;
		port = port * 10 + (uint32_t)(*s - '0');
	}
	if (port > 65535)
		return -EINVAL;
	out->port = (uint16_t)(port ? port : usual);
	if (out->port != usual) {
		char digits[5];
		int n = 0;

		for (port = out->port; port; port /= 10)
			digits[n++] = (char)('0' + port % 10);
		out->text[out->len++] = ':';
		while (n)
			out->text[out->len++] = digits[--n];
	}
	return 0;
}

/* RFC 3986, 5.2.4, on an encoded path that begins with "/"; in place. */
static size_t remove_dots(char *path, size_t len)
{
	size_t in = 0, out = 0;

	while (in < len) {
		size_t n = 1 + span_until(path + in + 1, len - in - 1, "/");
		bool last = in + n == len;

		if (n == 2 && path[in + 1] == '.') {
			if (last)
				path[out++] = '/';
		} else if (n == 3 && path[in + 1] == '.' && path[in + 2] == '.') {
			while (out && path[--out] != '/')
				;
			if (last)
				path[out++] = '/';
		} else {
			memmove(path + out, path + in, n);
			out += n;
		}
		in += n;
	}
	return out;
}

/* The path of @r, where it is relative behind the directory of @base's, then the query. */
static int put_path(const struct parts *r, const struct url *base, struct url *out)
{
	char raw[2 * URL_MAX];
	size_t n = 0;
	int len;

	out->path = out->len;
	if (r->path.len && r->path.at[0] == '/')
		base = NULL;
	if (base) {
		n = base->path_len;
		while (r->path.len && n && base->text[base->path + n - 1] != '/')
			n--;
		memcpy(raw, base->text + base->path, n);
	} else if (!r->path.len || r->path.at[0] != '/') {
		raw[n++] = '/';
	}
	memcpy(raw + n, r->path.at, r->path.len);
	n += r->path.len;
	len = url_encode(raw, n, out->text + out->len, sizeof(out->text) - out->len);
	if (len < 0)
		return -ENAMETOOLONG;
	out->path_len = (uint16_t)remove_dots(out->text + out->len, (size_t)len);
	out->len = (uint16_t)(out->len + out->path_len);
	if (r->query.there || (base && !r->path.len && base->path + base->path_len < base->len)) {
		const char *q = r->query.there ? r->query.at : base->text + base->path + base->path_len + 1;

		n = r->query.there ? r->query.len : (size_t)(base->len - base->path - base->path_len - 1);
		if (out->len >= sizeof(out->text))
			return -ENAMETOOLONG;
		out->text[out->len++] = '?';
		len = url_encode(q, n, out->text + out->len, sizeof(out->text) - out->len);
		if (len < 0)
			return -ENAMETOOLONG;
		out->len = (uint16_t)(out->len + len);
	}
	return 0;
}

int url_resolve(const struct url *base, const char *ref, size_t len, struct url *out)
{
	char text[URL_MAX];
	struct parts r;
	int n, err;

	n = clean(ref, len, text);
	if (n < 0)
		return -ENAMETOOLONG;
	split(text, (size_t)n, &r);
	if (r.scheme.there) {
		out->secure = r.scheme.len == 5 && !strncasecmp(r.scheme.at, "https", 5);
		if (!out->secure && (r.scheme.len != 4 || strncasecmp(r.scheme.at, "http", 4)))
			return -EPROTONOSUPPORT;
		if (!r.authority.there)
			return -EINVAL;
	} else if (base) {
		out->secure = base->secure;
	} else {
		return -EINVAL;
	}
	out->len = out->secure ? 8 : 7;
	memcpy(out->text, out->secure ? "https://" : "http://", out->len);
	if (r.authority.there) {
		err = put_authority(&r.authority, out);
		if (err)
			return err;
		return put_path(&r, NULL, out);
	}
	memcpy(out->text + out->len, base->text + out->len, (size_t)(base->path - out->len));
	out->len = base->path;
	out->host = base->host;
	out->host_len = base->host_len;
	out->port = base->port;
	return put_path(&r, base, out);
}
