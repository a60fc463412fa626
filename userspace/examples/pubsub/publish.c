// SPDX-License-Identifier: MIT
#include "publish.h"

/* One message on its way: encoded at most once for RESP2 and once for RESP3, and for each pattern. */
struct publication {
	unsigned int list;
	struct word channel, payload;
	const char *pattern;
	struct message *text[2];
	uint64_t lost;
};

static struct message *encode(struct publication *p, bool resp3, uint32_t pattern_len)
{
	struct message *m = message_new(5 * RESP_HEADER_MAX + 16 + (size_t)p->channel.len +
					p->payload.len + pattern_len);
	size_t at;

	if (!m)
		return NULL;
	at = resp_header(m->data, resp3 ? '>' : '*', p->pattern ? 4 : 3);
	if (p->pattern) {
		at += resp_put_bulk(m->data + at, "pmessage", 8);
		at += resp_put_bulk(m->data + at, p->pattern, pattern_len);
	} else {
		at += resp_put_bulk(m->data + at, "message", 7);
	}
	at += resp_put_bulk(m->data + at, p->channel.s, p->channel.len);
	at += resp_put_bulk(m->data + at, p->payload.s, p->payload.len);
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
	client_deliver(c, message_get(p->text[resp3]), p->list);
}

/* Messages are out of the publication's hands; @nr got them but for those that memory was out for. */
static size_t finish(struct publication *p, size_t nr)
{
	forget_text(p);
	nr -= p->lost;
	count(&client_counters.deliveries, nr);
	return nr;
}

size_t publish_here(struct word channel, struct word payload, unsigned int list)
{
	struct publication p = { .list = list, .channel = channel, .payload = payload };

	return finish(&p, topics_publish(channel.s, channel.len, deliver, &p));
}

size_t publish_to_channel(struct word channel, struct word payload, unsigned int list)
{
	struct publication p = { .list = list, .channel = channel, .payload = payload };

	return finish(&p, topics_publish_channel(channel.s, channel.len, deliver, &p));
}

size_t publish_to_pattern(struct word pattern, struct word channel, struct word payload, unsigned int list)
{
	struct publication p = { .list = list, .channel = channel, .payload = payload };

	return finish(&p, topics_publish_pattern(pattern.s, pattern.len, deliver, &p));
}
