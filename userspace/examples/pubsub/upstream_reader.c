// SPDX-License-Identifier: MIT
/* The task that keeps the connection to the server above, and hands out what comes from there. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <greenstk/net.h>
#include <greenstk/time.h>
#include "publish.h"
#include "resp_reply.h"
#include "upstream_link.h"
#include "upstream_queue.h"

#define SECOND	       1000000000ull
#define DIAL_NS	       (5 * SECOND)
#define QUIET_NS       (5 * SECOND)  /* then it is asked whether it is still there; again: it is not */
#define BACKOFF_NS     (SECOND / 20) /* doubled with each failure, at most MAX_BACKOFF_NS */
#define MAX_BACKOFF_NS (5 * SECOND)
#define FEW_BYTES      65536u	     /* of the read buffer, unless a message needs more */

char upstream_addr[128];
const char *upstream_given;

static char last_error[128];

struct input {
	char *buf;
	size_t len, cap;
	uint64_t skip; /* bytes of a message that is too big */
};

/* Read once, waiting at most QUIET_NS. */
static int fill(int fd, struct input *in)
{
	ssize_t n = gstk_read_until(fd, in->buf + in->len, in->cap - in->len, gstk_now() + QUIET_NS);

	if (n <= 0)
		return n ? (int)n : -ECONNRESET;
	in->len += (size_t)n;
	if (in->skip) {
		uint64_t gone = in->skip < in->len ? in->skip : in->len;

		in->skip -= gone;
		in->len -= gone;
		memmove(in->buf, in->buf + gone, in->len);
	}
	return 0;
}

/* Room for @need bytes, or the message is let go by. */
static int make_room(struct input *in, size_t need)
{
	size_t cap = (need + FEW_BYTES) / FEW_BYTES * FEW_BYTES;
	char *buf;

	if (need > (size_t)client_limits.max_request + FEW_BYTES) {
		in->skip = need - in->len;
		in->len = 0;
		upstream.too_big++;
		return 0;
	}
	if (cap == in->cap || (cap < in->cap && cap > FEW_BYTES))
		return 0;
	buf = realloc(in->buf, cap);
	if (!buf)
		return -ENOMEM;
	in->buf = buf;
	in->cap = cap;
	return 0;
}

static struct word text(const struct input *in, size_t at, const struct resp_reply *r, uint32_t i)
{
	return (struct word){ in->buf + at + r->text[i].off, r->text[i].len };
}

/* Once, until there is another one or it is connected again. */
static void note_error(const char *what, int len)
{
	upstream_lock();
	if (strncmp(last_error, what, (size_t)len) || last_error[len]) {
		snprintf(last_error, sizeof(last_error), "%.*s", len, what);
		fprintf(stderr, "pubsub: upstream %s: %s\n", upstream_given, last_error);
	}
	upstream_unlock();
}

static void answered(bool well)
{
	upstream_lock();
	if (upstream.open)
		upstream.open--;
	upstream_unlock();
	if (!well)
		upstream.errors++;
}

static void act_on(const struct input *in, size_t at, const struct resp_reply *r, unsigned int list)
{
	struct word kind = { "", 0 };

	if (r->nr)
		kind = text(in, at, r, 0);
	if (r->type == '>' && r->nr == 3 && word_is(kind, "message")) {
		upstream.received++;
		publish_to_channel(text(in, at, r, 1), text(in, at, r, 2), list);
	} else if (r->type == '>' && r->nr == 4 && word_is(kind, "pmessage")) {
		upstream.received++;
		publish_to_pattern(text(in, at, r, 1), text(in, at, r, 2), text(in, at, r, 3), list);
	} else if (r->type == '-') {
		note_error(kind.s, kind.len < sizeof(last_error) ? (int)kind.len : (int)sizeof(last_error) - 1);
		answered(false);
	} else if (r->type == ':') { /* of PUBLISH */
		answered(true);
	}
}

/* Everything that is whole. */
static int digest(struct input *in)
{
	unsigned int list = dirty_list();
	struct resp_reply r = { .need = 0 };
	size_t at = 0;
	int64_t n;

	while ((n = resp_reply_parse(in->buf + at, in->len - at, &r)) > 0) {
		act_on(in, at, &r, list);
		at += (size_t)n;
	}
	dirty_flush(list);
	if (n < 0)
		return -EPROTO;
	in->len -= at;
	memmove(in->buf, in->buf + at, in->len);
	return make_room(in, r.need);
}

static int serve(int fd, struct input *in)
{
	static const struct word ping = { "PING", 4 };
	bool asked = false;

	for (;;) {
		int err = fill(fd, in);

		if (err == -ETIMEDOUT && !asked) {
			asked = true;
			upstream_lock();
			err = upstream_push(&ping, 1, false);
			upstream_unlock();
			if (!err)
				continue;
		}
		if (!err)
			err = digest(in);
		if (err)
			return err;
		asked = false;
	}
}

/* Connect and agree on RESP3: a descriptor, or an error. */
static int open_connection(struct input *in)
{
	static const char hello[] = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";
	static const int on = 1;
	struct resp_reply r;
	int64_t n = 0;
	int fd = gstk_dial(upstream_addr, gstk_now() + DIAL_NS), err;

	if (fd < 0)
		return fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	in->len = 0;
	in->skip = 0;
	err = make_room(in, 0);
	if (!err)
		err = gstk_write_all_until(fd, hello, sizeof(hello) - 1, gstk_now() + DIAL_NS);
	while (!err && !n) {
		err = fill(fd, in);
		if (!err) {
			n = resp_reply_parse(in->buf, in->len, &r);
			if (n < 0 || (!n && in->len == in->cap))
				err = -EPROTO;
		}
	}
	if (!err && r.type == '-') {
		struct word why = text(in, 0, &r, 0);

		note_error(why.s, why.len < sizeof(last_error) ? (int)why.len : (int)sizeof(last_error) - 1);
		err = -EPROTONOSUPPORT;
	}
	if (err) {
		gstk_close(fd);
		return err;
	}
	in->len -= (size_t)n;
	memmove(in->buf, in->buf + n, in->len);
	upstream.connects++;
	upstream_lock();
	upstream.fd = fd;
	upstream.open = 0;
	upstream.resync = true;
	upstream.state = UPSTREAM_SYNC;
	gstk_cond_signal(&upstream.work);
	upstream_unlock();
	return fd;
}

/* Messages that have not left are delivered here, before any that comes later. */
static void close_connection(int fd)
{
	struct upstream_request *list;
	unsigned int dirty = dirty_list();

	upstream_lock();
	upstream_break();
	while (upstream.writing)
		upstream_wait(&upstream.room);
	list = upstream.head;
	upstream.head = NULL;
	upstream.tail = &upstream.head;
	upstream.sent = 0;
	upstream.bytes = 0;
	upstream.unanswered += upstream.open;
	upstream.fd = -1;
	upstream_unlock();
	gstk_close(fd);
	for (struct upstream_request *r = list; r; r = r->next)
		if (r->channel) {
			publish_here((struct word){ r->data + r->channel, r->channel_len },
				     (struct word){ r->data + r->payload, r->payload_len }, dirty);
			upstream.returned++;
		}
	dirty_flush(dirty);
	upstream_forget(list);
	upstream_lock();
	upstream.state = UPSTREAM_AWAY;
	gstk_cond_broadcast(&upstream.room);
	upstream_unlock();
}

static void *reader_main(void *arg)
{
	struct input *in = arg;
	uint64_t backoff = BACKOFF_NS;
	int err = 0;

	while (err != -ECANCELED) {
		int fd = open_connection(in);

		err = fd;
		if (fd >= 0) {
			uint64_t began = gstk_now();

			err = serve(fd, in);
			close_connection(fd);
			if (gstk_now() - began > QUIET_NS)
				backoff = BACKOFF_NS;
		}
		if (err == -ECANCELED)
			break;
		if (err != -EPROTONOSUPPORT) /* that has been reported in its own words */
			note_error(strerror(-err), (int)strlen(strerror(-err)));
		/* A little apart from others that lost it at the same moment. */
		err = gstk_sleep(backoff + gstk_now() % (backoff / 4));
		backoff = 2 * backoff < MAX_BACKOFF_NS ? 2 * backoff : MAX_BACKOFF_NS;
	}
	free(in->buf);
	free(in);
	return NULL;
}

void upstream_note_connected(void)
{
	fprintf(stderr, "pubsub: upstream %s: connected\n", upstream_given);
	*last_error = 0;
}

int upstream_start_reader(void)
{
	struct input *in = calloc(1, sizeof(*in));
	int err;

	if (!in)
		return -ENOMEM;
	err = gstk_spawn(NULL, reader_main, in, GSTK_OPTS(gstk_spawn_opts, .name = "upstream reader"));
	if (err)
		free(in);
	return err;
}
