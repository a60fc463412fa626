// SPDX-License-Identifier: MIT
/*
 * The frames that wait hold no buffers: a task that waits for a slow server costs some hundred bytes.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include "green.h"
#include "http.h"

struct conn {
	struct conn *next, **pprev; /* of all that are open */
	int fd;
	bool used; /* an answer has come over it: the server may have closed it since */
};

struct exchange {
	struct conn *c;
	struct reply *reply;
	struct bytes head;
	struct response r;
	struct body body;
	enum http_keep keep;
	bool in_body, started;
};

struct http_limits http_limits = {
	.connect_ns = 10000000000u, .head_ns = 30000000000u, .body_ns = 60000000000u, .body = 4 << 20,
	.agent = "greenstk-crawler",
};
static gstk_mutex lock = GSTK_MUTEX_INIT; /* of the list, and descriptors in it against closing */
static struct conn *open_conns;
static bool ended;

struct conn *conn_new(void)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c)
		c->fd = -1;
	return c;
}

void conn_close(struct conn *c)
{
	if (c->fd < 0)
		return;
	gstk_mutex_lock(&lock);
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	gstk_mutex_unlock(&lock);
	gstk_close(c->fd);
	c->fd = -1;
	c->used = false;
}

void conn_free(struct conn *c)
{
	conn_close(c);
	free(c);
}

void conn_end_all(void)
{
	gstk_mutex_lock(&lock);
	ended = true;
	for (struct conn *c = open_conns; c; c = c->next)
		shutdown(c->fd, SHUT_RDWR);
	gstk_mutex_unlock(&lock);
}

static int conn_adopt(struct conn *c, int fd)
{
	int err = 0;

	gstk_mutex_lock(&lock);
	if (ended) {
		err = -ECANCELED;
	} else {
		c->fd = fd;
		c->next = open_conns;
		if (c->next)
			c->next->pprev = &c->next;
		c->pprev = &open_conns;
		open_conns = c;
	}
	gstk_mutex_unlock(&lock);
	if (err)
		gstk_close(fd);
	return err;
}

static int conn_open(struct conn *c, const struct addrs *addrs)
{
	static const int on = 1;
	uint64_t deadline = gstk_now() + http_limits.connect_ns;
	int err = -ENOENT;

	for (int i = 0; i < addrs->nr; i++) {
		int fd = gstk_socket(addrs->at[i].any.sa_family, SOCK_STREAM, 0);

		err = fd < 0 ? fd : conn_adopt(c, fd);
		if (err)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		err = gstk_connect_until(fd, &addrs->at[i].any, addr_len(&addrs->at[i]), deadline);
		if (!err)
			return 0;
		conn_close(c);
	}
	return err;
}

/* The request of an URL in normal form, on the heap because writing may park. */
static __attribute__((noinline)) char *request_text(const char *text)
{
	struct url u;
	char *request;
	int at;

	if (url_resolve(NULL, text, strlen(text), &u))
		return NULL;
	at = u.secure ? 8 : 7; /* the authority begins there */
	if (asprintf(&request,
		     "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: %s\r\nAccept: text/html, */*;q=0.5\r\n"
		     "Accept-Encoding: identity\r\n\r\n",
		     u.len - u.path, u.text + u.path, u.path - at, u.text + at, http_limits.agent) < 0)
		return NULL;
	return request;
}

/* What was received does not end in a zero. */
static char *copy(const char *head, struct slice_of s)
{
	char *text = s.len ? malloc(s.len + 1) : NULL;

	if (!text)
		return NULL;
	memcpy(text, head + s.at, s.len);
	text[s.len] = 0;
	return text;
}

/* The head is there, and it is no interim one. */
static int take_head(struct exchange *x)
{
	const char *type = x->head.data + x->r.type.at;

	x->reply->status = x->r.status;
	if (x->r.status >= 300 && x->r.status < 400)
		x->reply->location = copy(x->head.data, x->r.location);
	x->reply->html = (x->r.type.len >= 9 && !strncasecmp(type, "text/html", 9)) ||
			 (x->r.type.len >= 21 && !strncasecmp(type, "application/xhtml+xml", 21));
	x->reply->body.limit = http_limits.body;
	if (x->keep == KEEP_HTML && x->r.framing == BODY_LENGTH && x->r.length > http_limits.body)
		return -EFBIG;
	body_begin(&x->body, &x->r);
	x->in_body = true;
	return 0;
}

static int take_body(struct exchange *x, const char *in, size_t len)
{
	bool keep = x->keep == KEEP_ALL || (x->reply->html && x->r.status == 200);
	struct bytes *out = &x->reply->body;
	size_t used, before = out->len;
	int err;

	err = body_feed(&x->body, in, len, &used, out);
	x->reply->bytes += out->len - before;
	if (!keep)
		out->len = 0;
	if (!err && x->reply->bytes > http_limits.body)
		err = -EFBIG;
	if (used < len) /* nobody asked for what follows */
		x->r.keep_alive = false;
	return err;
}

/* Some bytes of the answer. */
static int digest(struct exchange *x, const char *in, size_t len)
{
	long head;
	int err;

	x->started = true;
	if (x->in_body)
		return take_body(x, in, len);
	err = bytes_add(&x->head, in, len);
	if (err)
		return err == -EFBIG ? -EMSGSIZE : err;
	for (;;) {
		head = response_parse(&x->r, x->head.data, x->head.len);
		if (head <= 0)
			return (int)head;
		if (x->r.status >= 200)
			break;
		if (x->r.status == 101)
			return -EBADMSG;
		x->head.len -= (size_t)head;
		memmove(x->head.data, x->head.data + head, x->head.len);
	}
	err = take_head(x);
	if (!err)
		err = take_body(x, x->head.data + head, x->head.len - (size_t)head);
	bytes_free(&x->head);
	return err;
}

/* The socket has something. Its buffer is not in a frame that waits. */
static __attribute__((noinline)) int receive(struct exchange *x)
{
	char buf[16384];
	ssize_t n = gstk_read_until(x->c->fd, buf, sizeof(buf), gstk_now() + http_limits.head_ns);

	if (n < 0)
		return (int)n;
	if (n)
		return digest(x, buf, (size_t)n);
	return x->in_body ? body_eof(&x->body) : -EPIPE;
}

static int answer(struct exchange *x)
{
	uint64_t deadline = gstk_now() + http_limits.head_ns;

	while (!x->in_body || !x->body.done) {
		bool in_body = x->in_body;
		int err = gstk_poll(x->c->fd, POLLIN, deadline);

		if (err >= 0)
			err = receive(x);
		if (err < 0)
			return err;
		if (!in_body && x->in_body)
			deadline = gstk_now() + http_limits.body_ns;
	}
	return 0;
}

static int exchange(struct exchange *x, const char *request)
{
	int err = gstk_write_all_until(x->c->fd, request, strlen(request), gstk_now() + http_limits.head_ns);

	if (!err)
		err = answer(x);
	bytes_free(&x->head);
	return err;
}

void reply_free(struct reply *reply)
{
	free(reply->location);
	bytes_free(&reply->body);
	memset(reply, 0, sizeof(*reply));
}

int http_get(struct conn *c, const struct addrs *addrs, const char *url, enum http_keep keep, struct reply *reply)
{
	char *request = request_text(url);
	struct exchange x;
	bool again;
	int err;

	memset(reply, 0, sizeof(*reply));
	if (!request)
		return -ENOMEM;
	do {
		again = c->used && c->fd >= 0;
		err = c->fd < 0 ? conn_open(c, addrs) : 0;
		if (err)
			break;
		x = (struct exchange){ .c = c, .reply = reply, .head.limit = 2 * RESPONSE_MAX_HEAD, .keep = keep };
		err = exchange(&x, request);
		c->used = true;
		if (err || !x.r.keep_alive)
			conn_close(c);
		/* A kept connection that the server closed in the meantime: once more over a new one. */
	} while (err && again && !x.started && err != -ETIMEDOUT);
	free(request);
	return err;
}
