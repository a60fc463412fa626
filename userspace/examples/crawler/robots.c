// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "robots.h"
#include "url.h"

#define MAX_RULES   4096
#define MAX_DELAY_S 3600

/* Where the parser is: a group is its User-agent lines, then its rules. */
struct state {
	struct robots *r;
	const char *agent;
	size_t agent_len;
	bool in_agents; /* the last line was a User-agent */
	bool named, any; /* the group names our agent; names "*" */
	bool found;	/* some group did name our agent */
};

static void drop_rules(struct robots *r)
{
	while (r->nr)
		free(r->rules[--r->nr].pattern);
	r->delay_ns = 0;
}

void robots_free(struct robots *r)
{
	drop_rules(r);
	free(r->rules);
	memset(r, 0, sizeof(*r));
}

static void trim(const char **s, size_t *len)
{
	while (*len && (**s == ' ' || **s == '\t'))
		(*s)++, (*len)--;
	while (*len && ((*s)[*len - 1] == ' ' || (*s)[*len - 1] == '\t' || (*s)[*len - 1] == '\r'))
		(*len)--;
}

static bool is_key(const char *s, size_t len, const char *key)
{
	return len == strlen(key) && !strncasecmp(s, key, len);
}

static void user_agent(struct state *st, const char *v, size_t len)
{
	size_t n = 0;

	if (!st->in_agents)
		st->named = st->any = false;
	st->in_agents = true;
	if (len && *v == '*') {
		st->any = true;
		return;
	}
	while (n < len && (((v[n] | 32) >= 'a' && (v[n] | 32) <= 'z') || v[n] == '-' || v[n] == '_'))
		n++;
	if (n != st->agent_len || strncasecmp(v, st->agent, n))
		return;
	st->named = true;
	if (!st->found) /* what groups for everybody have said so far does not concern us */
		drop_rules(st->r);
	st->found = true;
}

static bool ours(const struct state *st)
{
	return st->found ? st->named : st->any;
}

static int add_rule(struct robots *r, bool allow, const char *v, size_t len)
{
	char text[URL_MAX];
	struct robots_rule *rules;
	bool anchored = len && v[len - 1] == '$';
	int n;

	if (!len || r->nr == MAX_RULES)
		return 0;
	n = url_encode(v, len - anchored, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	if (anchored)
		text[n++] = '$';
	if ((r->nr & (r->nr - 1)) == 0) {
		rules = realloc(r->rules, sizeof(*rules) * (r->nr ? 2 * r->nr : 1));
		if (!rules)
			return -ENOMEM;
		r->rules = rules;
	}
	r->rules[r->nr] = (struct robots_rule){ allow, (uint16_t)n, malloc((size_t)n) };
	if (!r->rules[r->nr].pattern)
		return -ENOMEM;
	memcpy(r->rules[r->nr++].pattern, text, (size_t)n);
	return 0;
}

static uint64_t seconds(const char *v, size_t len)
{
	char text[16];
	char *end;
	double s;

	if (!len || len >= sizeof(text))
		return 0;
	memcpy(text, v, len);
	text[len] = 0;
	s = strtod(text, &end);
	if (*end || !(s > 0))
		return 0;
	return (uint64_t)((s < MAX_DELAY_S ? s : MAX_DELAY_S) * 1e9);
}

static int line(struct state *st, const char *s, size_t len)
{
	const char *hash = memchr(s, '#', len), *colon, *v;
	size_t vlen;

	if (hash)
		len = (size_t)(hash - s);
	colon = memchr(s, ':', len);
	if (!colon)
		return 0;
	v = colon + 1;
	vlen = len - (size_t)(v - s);
	len = (size_t)(colon - s);
	trim(&s, &len);
	trim(&v, &vlen);
	if (is_key(s, len, "user-agent")) {
		user_agent(st, v, vlen);
		return 0;
	}
	if (is_key(s, len, "allow") || is_key(s, len, "disallow")) {
		st->in_agents = false;
		return ours(st) ? add_rule(st->r, len == 5, v, vlen) : 0;
	}
	if (is_key(s, len, "crawl-delay")) {
		st->in_agents = false;
		if (ours(st))
			st->r->delay_ns = seconds(v, vlen);
	}
	return 0; /* Sitemap and others belong to no group */
}

int robots_parse(struct robots *r, const char *agent, const char *text, size_t len)
{
	struct state st = { .r = r, .agent = agent, .agent_len = strlen(agent) };
	int err = 0;

	memset(r, 0, sizeof(*r));
	if (len > ROBOTS_MAX_BYTES)
		len = ROBOTS_MAX_BYTES;
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* a byte order mark */
		text += 3, len -= 3;
	while (len && !err) {
		size_t n = 0;

		while (n < len && text[n] != '\n' && text[n] != '\r')
			n++;
		err = line(&st, text, n);
		n += n < len;
		text += n;
		len -= n;
	}
	if (err)
		robots_free(r);
	return err;
}

/* Does @pattern match a beginning of @path? Only the last "*" needs another try. */
static bool match(const char *p, size_t plen, const char *t, size_t tlen)
{
	const char *pend = p + plen, *tend = t + tlen, *star = NULL, *retry = NULL;
	bool anchored = plen && pend[-1] == '$';

	pend -= anchored;
	for (;;) {
		if (p < pend && *p == '*') {
			star = ++p;
			retry = t;
			continue;
		}
		if (p == pend && (!anchored || t == tend))
			return true;
		if (p < pend && t < tend && *p == *t) {
			p++, t++;
			continue;
		}
		if (!star || retry == tend)
			return false;
		p = star;
		t = ++retry;
	}
}

bool robots_allow(const struct robots *r, const char *path, size_t len)
{
	bool allow = true;
	size_t best = 0;

	if (len == 11 && !memcmp(path, "/robots.txt", 11))
		return true; /* whatever it says of itself */
	for (size_t i = 0; i < r->nr; i++) {
		const struct robots_rule *rule = &r->rules[i];

		if (rule->len < best || (rule->len == best && !rule->allow))
			continue;
		if (!match(rule->pattern, rule->len, path, len))
			continue;
		best = rule->len;
		allow = rule->allow;
	}
	return allow;
}
