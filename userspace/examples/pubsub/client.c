// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <greenstk/net.h>
#include <greenstk/task.h>
#include <greenstk/time.h>
#include "client.h"
#include "pool.h"
#include "scratch.h"
#include "session.h"

#define FINISH_NS	(5 * 1000000000ull) /* for replies to leave after QUIT */
#define LINGER_NS	(200 * 1000000ull)  /* for the peer to read an error and close */
#define LINGER_BYTES	(1024 * 1024)
#define PARTIAL_SLACK	(RESP_MAX_LINE + 4096)

struct client_limits client_limits;
struct client_counters client_counters;

/* ->refs is looked at even in free elements: client_try_get(). */
static struct pool clients = {
	.elem_size = sizeof(struct client), .link = offsetof(struct client, next),
	.keep = offsetof(struct client, lock), .free = POOL_NONE,
};
static _Atomic uint64_t next_id;
static _Atomic size_t partial_bytes;

enum turn {
	TURN_WAIT,    /* wait for more */
	TURN_FINISH,  /* replies out, then end */
	TURN_END,     /* nobody listens any more */
};

uint32_t client_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint32_t)ts.tv_sec;
}

struct client *client_at(uint32_t index)
{
	return pool_at(&clients, index);
}

struct subs *client_subs(uint32_t index)
{
	return &client_at(index)->subs;
}

uint32_t client_high(void)
{
	return atomic_load_explicit(&clients.high, memory_order_acquire);
}

size_t client_nr(void)
{
	return pool_used(&clients);
}

size_t client_bytes(void)
{
	return pool_bytes(&clients) + atomic_load(&partial_bytes) + scratch_bytes();
}

struct client *client_new(int fd)
{
	struct client *c;
	uint32_t index;

	c = pool_get(&clients, &index);
	if (!c)
		return NULL;
	c->fd = fd;
	c->proto = 2;
	c->id = atomic_fetch_add(&next_id, 1) + 1;
	c->index = index;
	c->created = client_clock();
	atomic_store_explicit(&c->last, c->created, memory_order_relaxed);
	atomic_store_explicit(&c->refs, 1, memory_order_release);
	count(&client_counters.connections, 1);
	return c;
}

struct client *client_try_get(uint32_t index)
{
	struct client *c = client_at(index);
	uint32_t refs = atomic_load_explicit(&c->refs, memory_order_acquire);

	while (refs)
		if (atomic_compare_exchange_weak(&c->refs, &refs, refs + 1))
			return c;
	return NULL;
}

void client_put(struct client *c)
{
	struct details *x;

	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	x = c->details;
	if (x) {
		outq_clear(&x->held);
		free(x->name);
		free(x->lib_name);
		free(x->lib_ver);
		free(x);
	}
	outq_clear(&c->out);
	topics_free(client_index(c));
	pool_put(&clients, client_index(c));
}

struct details *client_details(struct client *c)
{
	struct details *x = client_peek(c);

	if (!x) {
		spin_lock(&c->lock);
		x = c->details;
		if (!x) {
			x = calloc(1, sizeof(*x));
			__atomic_store_n(&c->details, x, __ATOMIC_RELEASE);
		}
		spin_unlock(&c->lock);
	}
	return x;
}

/* Keep the rest of a request until more of it comes. */
static bool keep_partial(struct client *c, const struct resp_parser *parser, const char *buf, size_t len)
{
	struct details *x = client_details(c);
	size_t cap = len < 2048 ? 4096 : 2 * len;
	struct partial *in;

	in = x ? malloc(sizeof(*in) + cap) : NULL;
	if (!in)
		return false;
	in->parser = *parser;
	in->len = (uint32_t)len;
	in->cap = (uint32_t)cap;
	memcpy(in->data, buf, len);
	x->in = in;
	atomic_fetch_add(&partial_bytes, sizeof(*in) + cap);
	return true;
}

static void drop_partial(struct client *c)
{
	struct details *x = client_peek(c);
	struct partial *in = x ? x->in : NULL;

	if (!in)
		return;
	atomic_fetch_sub(&partial_bytes, sizeof(*in) + in->cap);
	resp_reset(&in->parser);
	free(in);
	x->in = NULL;
}

/* Room for more of the request; it grows with what has come, not with what was announced. */
static struct partial *grow_partial(struct client *c, struct partial *in)
{
	size_t cap = 2 * (size_t)in->cap, most = (size_t)client_limits.max_request + PARTIAL_SLACK;

	if (in->len < in->cap)
		return in;
	if (in->cap >= most)
		return NULL;
	cap = cap < most ? cap : most;
	in = realloc(in, sizeof(*in) + cap);
	if (!in)
		return NULL;
	atomic_fetch_add(&partial_bytes, cap - in->cap);
	in->cap = (uint32_t)cap;
	c->details->in = in;
	return in;
}

/* OPTIONAL: what was a big request and is the beginning of a small one now. */
static void shrink_partial(struct client *c, struct partial *in)
{
	size_t cap = 2 * (size_t)in->len + 4096;

	if (in->cap < 65536 || cap > in->cap / 4)
		return;
	atomic_fetch_sub(&partial_bytes, in->cap - cap);
	in->cap = (uint32_t)cap;
	in = realloc(in, sizeof(*in) + cap);
	if (in)
		c->details->in = in;
}

void session_flush(struct session *se)
{
	client_write(se->client, se->w.buf, se->w.len, NULL, 0);
	se->w.len = 0;
}

/* Its replies have left the buffer and may be too many in the queue: wait until it has read some. */
static __attribute__((noinline)) void relieve(struct session *se)
{
	if (se->published)
		dirty_flush(se->list);
	se->published = false;
	if (client_relieve(se->client, client_limits.output_soft, GSTK_NEVER))
		se->quit = true;
}

static bool has_queue(const struct client *c)
{
	return __atomic_load_n(&c->out, __ATOMIC_RELAXED);
}

/* Amid a command, too: a million names in one request are answered with a hundred megabytes. */
static void writer_flush(struct resp_writer *w, const char *extra, size_t extra_len)
{
	struct session *se = w->user;

	client_write(se->client, w->buf, w->len, extra, extra_len);
	w->len = 0;
	if (has_queue(se->client))
		relieve(se);
}

void session_uncork(struct session *se)
{
	session_flush(se);
	client_uncork(se->client);
	se->corked = false;
}

/* Carry out all whole requests. Returns how many bytes they took; *bad for a protocol error. */
static size_t feed(struct session *se, struct resp_parser *p, char *buf, size_t len, bool *bad)
{
	struct client *c = se->client;
	size_t at = 0;

	se->request = p;
	while (at < len && !se->quit) {
		enum resp_status status = resp_parse(p, buf + at, len - at);

		if (status == RESP_MORE)
			break;
		if (status == RESP_ERROR) {
			count(&client_counters.protocol_errors, 1);
			resp_error(&se->w, "ERR %s", p->error);
			*bad = true;
			break;
		}
		if (status == RESP_REQUEST) {
			se->buf = buf + at;
			se->w.proto = c->proto;
			command_run(se);
			/* Replies that it does not read must not pile up without end. */
			if (!se->w.len && has_queue(c))
				relieve(se);
		}
		at += p->pos;
		resp_reset(p);
	}
	return at;
}

static void note_rest(struct client *c, uint32_t len)
{
	struct details *x = client_details(c);

	if (x)
		atomic_store_explicit(&x->in_len, len, memory_order_relaxed);
}

/* What has come is in buf[0..len): carry it out, keep the rest. */
static enum turn digest(struct session *se, struct partial *in, char *buf, size_t len)
{
	struct client *c = se->client;
	struct resp_parser fresh, *p = &fresh;
	bool bad = false;
	size_t done;

	if (in)
		p = &in->parser;
	else
		resp_init(p, client_limits.max_request);
	done = feed(se, p, buf, len, &bad);
	/* The answer to PUBLISH comes when the messages are on their way: who publishes waits for the
	 * sockets of subscribers, not they for a heap of messages. */
	if (se->published)
		dirty_flush(se->list);
	if (se->corked)
		session_uncork(se);
	else
		session_flush(se);
	if (bad || se->quit) {
		if (!in)
			resp_reset(p);
		return TURN_FINISH;
	}
	if (in || done < len)
		note_rest(c, (uint32_t)(len - done));
	if (in && done < len) {
		memmove(in->data, in->data + done, len - done);
		in->len = (uint32_t)(len - done);
		shrink_partial(c, in);
	} else if (in) {
		drop_partial(c);
	} else if (done < len && !keep_partial(c, p, buf + done, len - done)) {
		resp_reset(p);
		return TURN_END;
	}
	return TURN_WAIT;
}

/* The socket has something: one read and all that follows from it. */
static __attribute__((noinline)) enum turn client_turn(struct client *c)
{
	struct details *x = client_peek(c);
	struct partial *in = x ? x->in : NULL;
	struct session se = { .client = c, .index = client_index(c) };
	struct scratch *s;
	enum turn turn;
	size_t cap;
	char *to;
	ssize_t n;

	s = scratch_get();
	if (!s)
		return TURN_END;
	se.w = (struct resp_writer){ .buf = s->out, .cap = sizeof(s->out), .proto = c->proto,
				     .flush = writer_flush, .user = &se };
	se.list = dirty_list();
	if (in) {
		in = grow_partial(c, in);
		if (!in) {
			count(&client_counters.protocol_errors, 1);
			resp_error(&se.w, "ERR Protocol error: too big request");
			session_flush(&se);
			scratch_put(s);
			return TURN_FINISH;
		}
		to = in->data + in->len;
		cap = in->cap - in->len;
	} else {
		to = s->in;
		cap = sizeof(s->in);
	}
	n = gstk_recv(c->fd, to, cap, MSG_DONTWAIT);
	if (n > 0) {
		atomic_store_explicit(&c->last, client_clock(), memory_order_relaxed);
		if (in)
			in->len += (uint32_t)n;
		turn = digest(&se, in, in ? in->data : s->in, in ? in->len : (size_t)n);
	} else if (n == -EAGAIN || n == -EINTR) {
		turn = TURN_WAIT;
	} else {
		turn = n == 0 ? TURN_FINISH : TURN_END;
	}
	scratch_put(s);
	return turn;
}

/* Let the last replies leave, and the peer read them before a reset can overtake them. */
static __attribute__((noinline)) void client_finish(struct client *c)
{
	uint64_t until = gstk_now() + LINGER_NS;
	size_t left = LINGER_BYTES;
	char sink[512];

	topics_leave_all(client_index(c));
	if (client_relieve(c, 0, gstk_now() + FINISH_NS))
		return;
	shutdown(c->fd, SHUT_WR);
	while (left && gstk_poll(c->fd, POLLIN, until) > 0) {
		ssize_t n = gstk_recv(c->fd, sink, sizeof(sink), MSG_DONTWAIT);

		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		left -= (size_t)n < left ? (size_t)n : left;
	}
}

static __attribute__((noinline)) void client_end(struct client *c)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	bool slow;

	topics_leave_all(client_index(c));
	spin_lock(&c->lock);
	c->flags |= CLIENT_DEAD;
	slow = c->flags & CLIENT_SLOW;
	outq_clear(&c->out);
	spin_unlock(&c->lock);
	drop_partial(c);
	if (slow) /* the kernel need not keep what nobody reads */
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	gstk_close(c->fd);
	client_put(c);
}

/* While it waits, this frame and the ones of gstk_poll() are all its stack. */
void *client_main(void *arg)
{
	struct client *c = arg;

	while (gstk_poll(c->fd, POLLIN, GSTK_NEVER) > 0) {
		enum turn turn = client_turn(c);

		if (turn == TURN_FINISH)
			client_finish(c);
		if (turn != TURN_WAIT)
			break;
	}
	client_end(c);
	return NULL;
}
