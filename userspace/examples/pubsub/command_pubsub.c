// SPDX-License-Identifier: MIT
/* SUBSCRIBE, UNSUBSCRIBE, PSUBSCRIBE, PUNSUBSCRIBE, PUBLISH, PUBSUB. */
#include <stdlib.h>
#include <string.h>
#include "command.h"

enum { MAX_NAME = 4096 }; /* with max_subscriptions it bounds what one connection can make us keep */

static void confirm(struct session *se, const char *kind, const char *name, uint32_t len)
{
	resp_push(&se->w, 3);
	resp_str(&se->w, kind);
	if (name)
		resp_bulk(&se->w, name, len);
	else
		resp_null(&se->w);
	resp_int(&se->w, subscriptions(se));
}

/* The confirmation must be the first that the client sees of a channel: it is corked before the
 * first one can deliver, and until the end of its turn. */
static void subscribe(struct session *se, bool pattern)
{
	const char *kind = pattern ? "psubscribe" : "subscribe";

	if (!se->corked) {
		client_cork(se->client);
		se->corked = true;
	}
	for (uint32_t i = 1; i < se->request->nr_args; i++) {
		struct word name = session_arg(se, i);

		if (name.len > MAX_NAME)
			resp_error(&se->w, "ERR channel names and patterns have at most %d bytes", MAX_NAME);
		else if (subscriptions(se) >= client_limits.max_subscriptions)
			resp_error(&se->w, "ERR this connection has %u subscriptions, the most that it may have "
				   "(--max-subscriptions)", subscriptions(se));
		else if (topics_subscribe(se->index, pattern, name.s, name.len) < 0)
			resp_error(&se->w, "OOM out of memory");
		else
			confirm(se, kind, name.s, name.len);
	}
}

/* And the confirmation of the end must be the last. */
static void unsubscribe(struct session *se, bool pattern)
{
	const char *kind = pattern ? "punsubscribe" : "unsubscribe";
	uint32_t topic;

	if (se->corked)
		session_uncork(se);
	for (uint32_t i = 1; i < se->request->nr_args; i++) {
		struct word name = session_arg(se, i);

		topics_unsubscribe(se->index, pattern, name.s, name.len);
		confirm(se, kind, name.s, name.len);
	}
	if (se->request->nr_args > 1)
		return;
	topic = topics_any(se->index, pattern);
	if (!topic)
		confirm(se, kind, NULL, 0);
	for (; topic; topic = topics_any(se->index, pattern)) {
		uint32_t len;
		char *name;

		topics_leave(se->index, topic, &name, &len);
		confirm(se, kind, name, len);
		free(name);
	}
}

void command_subscribe(struct session *se)
{
	subscribe(se, false);
}

void command_psubscribe(struct session *se)
{
	subscribe(se, true);
}

void command_unsubscribe(struct session *se)
{
	unsubscribe(se, false);
}

void command_punsubscribe(struct session *se)
{
	unsubscribe(se, true);
}

void unsubscribe_silently(struct session *se)
{
	if (se->corked)
		session_uncork(se);
	topics_leave_all(se->index);
}

/* One message on its way: encoded at most once for RESP2 and once for RESP3, and for each pattern. */
struct publication {
	struct session *se;
	struct word channel, payload;
	const char *pattern;
	struct message *text[2];
	uint64_t lost;
};

static size_t put_bulk(char *out, const char *s, uint32_t len)
{
	size_t n = resp_header(out, '$', len);

	memcpy(out + n, s, len);
	memcpy(out + n + len, "\r\n", 2);
	return n + len + 2;
}

static struct message *encode(struct publication *p, bool resp3, uint32_t pattern_len)
{
	struct message *m = message_new(5 * RESP_HEADER_MAX + 16 + (size_t)p->channel.len +
					p->payload.len + pattern_len);
	size_t at;

	if (!m)
		return NULL;
	at = resp_header(m->data, resp3 ? '>' : '*', p->pattern ? 4 : 3);
	if (p->pattern) {
		at += put_bulk(m->data + at, "pmessage", 8);
		at += put_bulk(m->data + at, p->pattern, pattern_len);
	} else {
		at += put_bulk(m->data + at, "message", 7);
	}
	at += put_bulk(m->data + at, p->channel.s, p->channel.len);
	at += put_bulk(m->data + at, p->payload.s, p->payload.len);
	m->len = (uint32_t)at;
	return m;
}

static void forget_text(struct publication *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->text[i])
			message_put(p->text[i]);
		p->text[i] = NULL;
	}
}

static void deliver(void *user, uint32_t client, const char *pattern, uint32_t pattern_len)
{
	struct publication *p = user;
	struct client *c = client_at(client);
	bool resp3 = atomic_load_explicit(&c->proto, memory_order_relaxed) == 3;

	if (pattern != p->pattern) {
		forget_text(p);
		p->pattern = pattern;
	}
	if (!p->text[resp3]) {
		p->text[resp3] = encode(p, resp3, pattern_len);
		if (!p->text[resp3]) {
			p->lost++;
			return;
		}
	}
	client_deliver(c, message_get(p->text[resp3]), p->se->list);
}

void command_publish(struct session *se)
{
	struct publication p = { .se = se, .channel = session_arg(se, 1), .payload = session_arg(se, 2) };
	size_t nr;

	nr = topics_publish(p.channel.s, p.channel.len, deliver, &p) - p.lost;
	forget_text(&p);
	count(&client_counters.publishes, 1);
	if (nr) {
		count(&client_counters.deliveries, nr);
		se->published = true;
	}
	resp_int(&se->w, (int64_t)nr);
}

/* Names are collected first: the writer may park, and the shard's lock is not held meanwhile. */
struct names {
	char *text;
	size_t len, cap, nr;
	bool failed;
};

static void collect(void *user, const char *name, uint32_t len)
{
	struct names *n = user;

	if (n->cap - n->len < len + 2 * (size_t)RESP_HEADER_MAX) {
		size_t cap = 2 * n->cap + len + 4096;
		char *text = realloc(n->text, cap);

		if (!text) {
			n->failed = true;
			return;
		}
		n->text = text;
		n->cap = cap;
	}
	n->len += put_bulk(n->text + n->len, name, len);
	n->nr++;
}

static void list_channels(struct session *se)
{
	struct names n = { NULL, 0, 0, 0, false };
	struct word glob = { NULL, 0 };

	if (se->request->nr_args > 2)
		glob = session_arg(se, 2);
	topics_list(glob.s, glob.len, collect, &n);
	if (n.failed) {
		resp_error(&se->w, "OOM out of memory");
	} else {
		resp_array(&se->w, n.nr);
		resp_raw(&se->w, n.text ? n.text : "", n.len);
	}
	free(n.text);
}

void command_pubsub(struct session *se)
{
	struct word sub = session_arg(se, 1);
	uint32_t nr = se->request->nr_args;

	if (word_is(sub, "channels") && nr <= 3) {
		list_channels(se);
	} else if (word_is(sub, "numsub")) {
		resp_array(&se->w, 2 * (size_t)(nr - 2));
		for (uint32_t i = 2; i < nr; i++) {
			struct word name = session_arg(se, i);

			resp_bulk(&se->w, name.s, name.len);
			resp_int(&se->w, (int64_t)topics_subscribers(name.s, name.len));
		}
	} else if (word_is(sub, "numpat") && nr == 2) {
		resp_int(&se->w, (int64_t)topics_nr(true));
	} else {
		unknown_subcommand(se, "PUBSUB");
	}
}
