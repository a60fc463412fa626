// SPDX-License-Identifier: MIT
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "html.h"

struct slice {
	const char *at;
	size_t len;
};

/* The attributes that matter, of one tag. */
struct tag {
	struct slice name;
	struct slice href, src, rel, http_equiv, content, meta_name;
};

struct scan {
	const char *p, *end;
	html_link_fn fn;
	void *arg;
	size_t too_long;
	bool nofollow;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is(struct slice s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

/* Is @word one of the words of @s, which white space or commas separate? */
static bool has_word(struct slice s, const char *word)
{
	size_t at = 0;

	while (at < s.len) {
		size_t n = 0;

		while (at + n < s.len && !is_space(s.at[at + n]) && s.at[at + n] != ',')
			n++;
		if (is((struct slice){ s.at + at, n }, word))
			return true;
		at += n + 1;
	}
	return false;
}

static size_t put_utf8(char *o, uint32_t c)
{
	if (c < 0x80) {
		o[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		o[0] = (char)(0xc0 | c >> 6);
		o[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		o[0] = (char)(0xe0 | c >> 12);
		o[1] = (char)(0x80 | (c >> 6 & 63));
		o[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	o[0] = (char)(0xf0 | c >> 18);
	o[1] = (char)(0x80 | (c >> 12 & 63));
	o[2] = (char)(0x80 | (c >> 6 & 63));
	o[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* A character reference at @s, which begins with "&": its character and length, or 0: none. */
static size_t reference(const char *s, size_t len, uint32_t *c)
{
	static const struct { const char *name; char c; } names[] = {
		{ "amp;", '&' }, { "lt;", '<' }, { "gt;", '>' }, { "quot;", '"' }, { "apos;", '\'' },
	};
	size_t n = 2;
	bool hex;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len > strlen(names[i].name) && !memcmp(s + 1, names[i].name, strlen(names[i].name))) {
			*c = (unsigned char)names[i].c;
			return 1 + strlen(names[i].name);
		}
	if (len < 4 || s[1] != '#')
		return 0;
	hex = (s[2] | 32) == 'x';
	n += hex;
	*c = 0;
	for (size_t first = n;; n++) {
		char d = n < len ? s[n] : 0;

		if (d >= '0' && d <= '9')
			*c = *c * (hex ? 16 : 10) + (uint32_t)(d - '0');
		else if (hex && (d | 32) >= 'a' && (d | 32) <= 'f')
			*c = *c * 16 + (uint32_t)((d | 32) - 'a' + 10);
		else if (n == first)
			return 0;
		else
			break;
		if (*c > 0x10ffff)
			return 0;
	}
	if (!*c || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return n + (n < len && s[n] == ';');
}

static void give(struct scan *s, struct slice v, bool base)
{
	char text[HTML_MAX_LINK + 4];
	size_t n = 0;

	for (size_t i = 0; i < v.len; i++) {
		uint32_t c;
		size_t used = v.at[i] == '&' ? reference(v.at + i, v.len - i, &c) : 0;

		if (n >= HTML_MAX_LINK) {
			s->too_long++;
			return;
		}
		if (used) {
			n += put_utf8(text + n, c);
			i += used - 1;
		} else {
			text[n++] = v.at[i];
		}
	}
	s->fn(s->arg, text, n, base);
}

/* "5; url='next.html'" */
static void refresh(struct scan *s, struct slice v)
{
	while (v.len && *v.at != ';' && *v.at != ',')
		v.at++, v.len--;
	while (v.len && (is_space(*v.at) || *v.at == ';' || *v.at == ','))
		v.at++, v.len--;
	if (v.len < 4 || strncasecmp(v.at, "url", 3))
		return;
	v.at += 3, v.len -= 3;
	while (v.len && (is_space(*v.at) || *v.at == '='))
		v.at++, v.len--;
	if (v.len && (*v.at == '"' || *v.at == '\'')) {
		const char *close = memchr(v.at + 1, *v.at, v.len - 1);

		v.len = close ? (size_t)(close - v.at - 1) : v.len - 1;
		v.at++;
	}
	if (v.len)
		give(s, v, false);
}

static void handle(struct scan *s, const struct tag *t)
{
	if (is(t->name, "base")) {
		if (t->href.at)
			give(s, t->href, true);
	} else if (is(t->name, "meta")) {
		if (is(t->meta_name, "robots") && (has_word(t->content, "nofollow") || has_word(t->content, "none")))
			s->nofollow = true;
		else if (is(t->http_equiv, "refresh") && !s->nofollow)
			refresh(s, t->content);
	} else if (s->nofollow || has_word(t->rel, "nofollow")) {
		return;
	} else if (is(t->name, "a") || is(t->name, "area")) {
		if (t->href.at)
			give(s, t->href, false);
	} else if (is(t->name, "link")) {
		if (t->href.at && (has_word(t->rel, "next") || has_word(t->rel, "prev") || has_word(t->rel, "canonical") ||
				   (has_word(t->rel, "alternate") && !has_word(t->rel, "stylesheet"))))
			give(s, t->href, false);
	} else if (is(t->name, "frame") || is(t->name, "iframe")) {
		if (t->src.at)
			give(s, t->src, false);
	}
}

static struct slice value(struct scan *s)
{
	struct slice v = { s->p, 0 };

	if (s->p < s->end && (*s->p == '"' || *s->p == '\'')) {
		const char *close = memchr(s->p + 1, *s->p, (size_t)(s->end - s->p - 1));

		v.at++;
		v.len = (size_t)((close ? close : s->end) - v.at);
		s->p = close ? close + 1 : s->end;
		return v;
	}
	while (s->p < s->end && !is_space(*s->p) && *s->p != '>')
		s->p++;
	v.len = (size_t)(s->p - v.at);
	return v;
}

/* The attributes up to ">"; the first of a name counts. False when the page ends in them. */
static bool attributes(struct scan *s, struct tag *t)
{
	const struct { const char *name; struct slice *to; } known[] = {
		{ "href", &t->href }, { "src", &t->src }, { "rel", &t->rel }, { "name", &t->meta_name },
		{ "http-equiv", &t->http_equiv }, { "content", &t->content },
	};

	for (;;) {
		struct slice name, v = { NULL, 0 };

		while (s->p < s->end && (is_space(*s->p) || *s->p == '/'))
			s->p++;
		if (s->p == s->end)
			return false;
		if (*s->p == '>') {
			s->p++;
			return true;
		}
		name.at = s->p++; /* also "=", which is no attribute's name but must be got past */
		while (s->p < s->end && !is_space(*s->p) && *s->p != '=' && *s->p != '>' && *s->p != '/')
			s->p++;
		name.len = (size_t)(s->p - name.at);
		while (s->p < s->end && is_space(*s->p))
			s->p++;
		if (s->p < s->end && *s->p == '=') {
			s->p++;
			while (s->p < s->end && is_space(*s->p))
				s->p++;
			v = value(s);
		}
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (is(name, known[i].name) && !known[i].to->at)
				*known[i].to = v;
	}
}

/* Behind "<script ...>" and the like: to the closing tag of that name. */
static void skip_raw(struct scan *s, struct slice name)
{
	while (s->p < s->end) {
		const char *lt = memchr(s->p, '<', (size_t)(s->end - s->p));

		if (!lt)
			break;
		s->p = lt + 1;
		if ((size_t)(s->end - s->p) > name.len && *s->p == '/' && !strncasecmp(s->p + 1, name.at, name.len))
			return;
	}
	s->p = s->end;
}

static void skip_past(struct scan *s, const char *what)
{
	const char *at = memmem(s->p, (size_t)(s->end - s->p), what, strlen(what));

	s->p = at ? at + strlen(what) : s->end;
}

size_t html_links(const char *html, size_t len, html_link_fn fn, void *arg)
{
	struct scan s = { .p = html, .end = html + len, .fn = fn, .arg = arg };

	while (s.p < s.end) {
		const char *lt = memchr(s.p, '<', (size_t)(s.end - s.p));
		struct tag t = { 0 };

		if (!lt)
			break;
		s.p = lt + 1;
		if (s.end - s.p >= 3 && !memcmp(s.p, "!--", 3)) {
			s.p++; /* "<!-->" is a whole comment */
			skip_past(&s, "-->");
			continue;
		}
		if (s.p < s.end && (*s.p == '!' || *s.p == '?' || *s.p == '/')) {
			skip_past(&s, ">");
			continue;
		}
		t.name.at = s.p;
		while (s.p < s.end && !is_space(*s.p) && *s.p != '>' && *s.p != '/')
			s.p++;
		t.name.len = (size_t)(s.p - t.name.at);
		if (!t.name.len || (*t.name.at | 32) < 'a' || (*t.name.at | 32) > 'z') {
			s.p = t.name.at;
			continue;
		}
		if (!attributes(&s, &t))
			break;
		handle(&s, &t);
		if (is(t.name, "script") || is(t.name, "style") || is(t.name, "textarea") || is(t.name, "title"))
			skip_raw(&s, t.name);
	}
	return s.too_long;
}
