// SPDX-License-Identifier: MIT
/* One process of pubsub-load: thousands of subscribers in one epoll loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "load.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum state { CONNECTING, SUBSCRIBING, READY, CLOSED };

struct sub {
	int fd;
	enum state state;
	uint64_t ping_at;      /* when PING was sent; 0: none under way */
	uint32_t rest_len;
	char *rest;	       /* the beginning of a reply whose end has not come */
};

static struct subscriber {
	int epoll, control, index;
	struct load_counts *counts;
	struct sub *sub;
	uint32_t nr, ready, cap;
	uint32_t want, under_way, first;  /* connecting */
	uint32_t ping_next, ping_under_way;
	enum load_op busy; /* the order that is not answered yet */
} S;

static char buf[256 * 1024];

static void done(void)
{
	char c = 0;

	S.busy = 0;
	if (write(S.control, &c, 1) != 1)
		exit(1);
}

static void close_sub(struct sub *s, bool error)
{
	if (s->state == CLOSED)
		return;
	if (s->state != READY)
		S.under_way--;
	if (s->ping_at)
		S.ping_under_way--;
	close(s->fd);
	free(s->rest);
	s->rest = NULL;
	s->state = CLOSED;
	s->ping_at = 0;
	if (error)
		atomic_fetch_add(&S.counts->errors, 1);
	else
		atomic_fetch_add(&S.counts->closed, 1);
}

static void start_one(void)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = S.nr };
	static const int on = 1;
	struct sub *s;

	if (S.nr == S.cap) {
		S.cap = S.cap ? 2 * S.cap : 1024;
		S.sub = realloc(S.sub, S.cap * sizeof(*S.sub));
		if (!S.sub)
			load_die("memory");
	}
	s = &S.sub[S.nr++];
	memset(s, 0, sizeof(*s));
	S.want--;
	S.under_way++;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		close_sub(s, true);
		return;
	}
	/* Each process its own source address: ports are counted for each. */
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)S.index);
	setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(s->fd, (struct sockaddr *)&from, sizeof(from)) ||
	    (connect(s->fd, (struct sockaddr *)&load.server, load.server_len) && errno != EINPROGRESS) ||
	    epoll_ctl(S.epoll, EPOLL_CTL_ADD, s->fd, &ev))
		close_sub(s, true);
}

static void subscribe(struct sub *s)
{
	uint32_t number = S.first + (uint32_t)(s - S.sub);
	char text[128], room[32];
	int n, err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) || err) {
		close_sub(s, true);
		return;
	}
	n = snprintf(room, sizeof(room), "room:%u", number % load.rooms);
	n = snprintf(text, sizeof(text), "%s*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%s\r\n",
		     load.resp == 3 ? "HELLO 3\r\n" : "", n, room);
	if (send(s->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		close_sub(s, true);
	else
		s->state = SUBSCRIBING;
}

/* The length of the reply at p, 0 when it is not whole. Its last string is in *last. */
static size_t reply(const char *p, const char *end, const char **last, size_t *last_len)
{
	const char *at = p;
	long items = 1;

	while (items > 0) {
		const char *lf = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
		long n;

		if (!lf)
			return 0;
		n = strtol(at + 1, NULL, 10);
		items--;
		switch (*at) {
		case '*': case '>': case '~':
			items += n;
			break;
		case '%':
			items += 2 * n;
			break;
		case '$':
			if (n >= 0) {
				*last = lf + 1;
				*last_len = (size_t)n;
				lf += n + 2;
				if (lf >= end)
					return 0;
			}
			break;
		case '+':
			*last = at + 1;
			*last_len = (size_t)(lf - at - 2);
			break;
		case ':': case '-': case '_':
			break;
		default:
			return SIZE_MAX;
		}
		at = lf + 1;
	}
	return (size_t)(at - p);
}

static void take(struct sub *s, const char *p, const char *last, size_t last_len)
{
	uint64_t now = load_now();

	if (s->ping_at && last_len <= 4 && !strncasecmp(p[0] == '+' ? p + 1 : p + 8, "pong", 4)) {
		hist_add(&S.counts->latency, now - s->ping_at);
		atomic_fetch_add_explicit(&S.counts->pongs, 1, memory_order_relaxed);
		s->ping_at = 0;
		S.ping_under_way--;
	} else if (p[0] == '%' || (load.resp == 3 && p[0] == '*')) {
		; /* HELLO's answer */
	} else if (s->state == SUBSCRIBING && (p[0] == '*' || p[0] == '>')) {
		s->state = READY;
		S.under_way--;
		S.ready++;
		atomic_fetch_add_explicit(&S.counts->connected, 1, memory_order_relaxed);
	} else if (s->state == READY && last_len >= LOAD_STAMP) {
		uint64_t at = 0;

		for (int i = 0; i < LOAD_STAMP; i++)
			at = at * 10 + (uint64_t)(last[i] - '0');
		hist_add(&S.counts->latency, now - at);
		atomic_fetch_add_explicit(&S.counts->received, 1, memory_order_relaxed);
	} else {
		close_sub(s, true);
	}
}

static void readable(struct sub *s)
{
	size_t have = s->rest_len, at = 0;
	ssize_t n;

	if (have)
		memcpy(buf, s->rest, have);
	n = recv(s->fd, buf + have, sizeof(buf) - have, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		close_sub(s, n < 0);
		return;
	}
	have += (size_t)n;
	while (at < have && s->state != CLOSED) {
		const char *last = "";
		size_t last_len = 0, len = reply(buf + at, buf + have, &last, &last_len);

		if (!len)
			break;
		if (len == SIZE_MAX) {
			close_sub(s, true);
			return;
		}
		take(s, buf + at, last, last_len);
		at += len;
	}
	if (s->state == CLOSED)
		return;
	free(s->rest);
	s->rest = NULL;
	s->rest_len = (uint32_t)(have - at);
	if (s->rest_len) {
		s->rest = malloc(s->rest_len);
		if (!s->rest)
			load_die("memory");
		memcpy(s->rest, buf + at, s->rest_len);
	}
	/* Edge triggered: more than the buffer took is still there. */
	if ((size_t)n == sizeof(buf) - (have - (size_t)n))
		readable(s);
}

static void ping_some(void)
{
	while (S.ping_next < S.nr && S.ping_under_way < load.window) {
		struct sub *s = &S.sub[S.ping_next++];

		if (s->state != READY)
			continue;
		s->ping_at = load_now();
		S.ping_under_way++;
		if (send(s->fd, "*1\r\n$4\r\nPING\r\n", 14, MSG_NOSIGNAL) != 14)
			close_sub(s, true);
	}
	if (S.ping_next == S.nr && !S.ping_under_way)
		done();
}

static void obey(void)
{
	struct load_order o;
	ssize_t n = recv(S.control, &o, sizeof(o), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != sizeof(o) || o.op == OP_QUIT)
		exit(0);
	S.busy = o.op;
	switch (o.op) {
	case OP_CONNECT:
		S.want = o.nr;
		S.first = o.first - S.nr;
		break;
	case OP_PING:
		S.ping_next = 0;
		break;
	default: /* CLEAR */
		memset(&S.counts->latency, 0, sizeof(S.counts->latency));
		S.counts->received = 0;
		done();
	}
}

void load_subscriber(int control, int index)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = UINT32_MAX }, events[256];

	S.index = index;
	S.control = control;
	S.counts = &load.counts[index];
	S.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (S.epoll < 0 || epoll_ctl(S.epoll, EPOLL_CTL_ADD, control, &ev))
		load_die("epoll");
	for (;;) {
		int nr;

		while (S.want && S.under_way < load.window)
			start_one();
		if (S.busy == OP_CONNECT && !S.want && !S.under_way)
			done();
		if (S.busy == OP_PING)
			ping_some();
		nr = epoll_wait(S.epoll, events, 256, -1);
		for (int i = 0; i < nr; i++) {
			struct sub *s;

			if (events[i].data.u32 == UINT32_MAX) {
				obey();
				continue;
			}
			s = &S.sub[events[i].data.u32];
			if (s->state == CONNECTING)
				subscribe(s);
			else if (s->state != CLOSED && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				readable(s);
		}
	}
}
