// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "upstream_queue.h"

struct upstream upstream = {
	.mutex = GSTK_MUTEX_INIT, .work = GSTK_COND_INIT, .room = GSTK_COND_INIT, .fd = -1, .tail = &upstream.head,
};

void upstream_lock(void)
{
	bool asked = false;

	while (gstk_mutex_lock(&upstream.mutex) == -ECANCELED)
		asked |= gstk_cancel_clear();
	if (asked) /* to end: by the next call that waits */
		gstk_cancel(gstk_self());
}

void upstream_wait(gstk_cond *c)
{
	bool asked = false;

	while (gstk_cond_wait(c, &upstream.mutex) == -ECANCELED)
		asked |= gstk_cancel_clear();
	if (asked)
		gstk_cancel(gstk_self());
}

void upstream_unlock(void)
{
	gstk_mutex_unlock(&upstream.mutex);
}

int upstream_push(const struct word *words, uint32_t nr, bool message)
{
	size_t len = RESP_HEADER_MAX;
	struct upstream_request *r;

	for (uint32_t i = 0; i < nr; i++)
		len += words[i].len + (size_t)RESP_HEADER_MAX;
	r = malloc(sizeof(*r) + len);
	if (!r)
		return -ENOMEM;
	r->next = NULL;
	r->channel = r->payload = r->channel_len = r->payload_len = 0;
	len = resp_header(r->data, '*', nr);
	for (uint32_t i = 0; i < nr; i++) {
		len += resp_put_bulk(r->data + len, words[i].s, words[i].len);
		if (message && i == nr - 2) {
			r->channel_len = words[i].len;
			r->channel = (uint32_t)len - 2 - words[i].len;
		} else if (message && i == nr - 1) {
			r->payload_len = words[i].len;
			r->payload = (uint32_t)len - 2 - words[i].len;
		}
	}
	r->len = (uint32_t)len;
	*upstream.tail = r;
	upstream.tail = &r->next;
	upstream.bytes += sizeof(*r) + len;
	gstk_cond_signal(&upstream.work);
	return 0;
}

void upstream_sent(size_t n)
{
	while (upstream.head) {
		struct upstream_request *r = upstream.head;
		size_t left = r->len - upstream.sent;

		if (n < left) {
			upstream.sent += (uint32_t)n;
			break;
		}
		n -= left;
		upstream.sent = 0;
		upstream.open += r->channel != 0;
		upstream.bytes -= sizeof(*r) + r->len;
		upstream.head = r->next;
		free(r);
	}
	if (!upstream.head)
		upstream.tail = &upstream.head;
	gstk_cond_broadcast(&upstream.room);
}

void upstream_break(void)
{
	if (upstream.state != UPSTREAM_SYNC && upstream.state != UPSTREAM_UP)
		return;
	upstream.state = UPSTREAM_CLOSING;
	shutdown(upstream.fd, SHUT_RDWR);
	gstk_cond_broadcast(&upstream.work);
	gstk_cond_broadcast(&upstream.room);
}

void upstream_forget(struct upstream_request *r)
{
	while (r) {
		struct upstream_request *next = r->next;

		free(r);
		r = next;
	}
}
