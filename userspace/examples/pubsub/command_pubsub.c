// SPDX-License-Identifier: MIT
/* SUBSCRIBE, UNSUBSCRIBE, PSUBSCRIBE, PUNSUBSCRIBE, PUBLISH, PUBSUB. */
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "publish.h"
#include "upstream.h"

enum { MAX_NAME = 4096 }; /* with max_subscriptions it bounds what one connection can make us keep */

static bool too_long(struct session *se, struct word name)
{
	if (name.len <= MAX_NAME)
		return false;
	resp_error(&se->w, "ERR channel names and patterns have at most %d bytes", MAX_NAME);
	return true;
}

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

		upstream_wait_room();
		if (too_long(se, name))
			continue;
		if (subscriptions(se) >= client_limits.max_subscriptions)
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

void command_publish(struct session *se)
{
	struct word channel = session_arg(se, 1), payload = session_arg(se, 2);
	size_t nr;

	if (too_long(se, channel)) /* patterns that could match it would take long to find out */
		return;
	count(&client_counters.publishes, 1);
	if (upstream_publish(channel, payload)) {
		/* It is delivered when it comes back. */
		nr = topics_publish(channel.s, channel.len, NULL, NULL);
	} else {
		nr = publish_here(channel, payload, se->list);
		se->published |= nr != 0;
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
	n->len += resp_put_bulk(n->text + n->len, name, len);
	n->nr++;
}

static void list_channels(struct session *se)
{
	struct names n = { NULL, 0, 0, 0, false };
	struct word glob = { NULL, 0 };

	if (se->request->nr_args > 2)
		glob = session_arg(se, 2);
	if (too_long(se, glob))
		return;
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
