// SPDX-License-Identifier: MIT
/* What the server gives upstream, and the task that writes it; upstream_reader.c keeps the connection, and reads. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <greenstk/net.h>
#include <greenstk/time.h>
#include "upstream.h"
#include "upstream_link.h"
#include "upstream_queue.h"

#define SECOND	   1000000000ull
#define WRITE_NS   (10 * SECOND) /* for a write to make any progress */
#define QUEUE_MAX  (8u << 20)	 /* bytes; beyond it publishers and subscribers wait */
#define BATCH	   64		 /* requests in one write */

/* ---- from the rest of the server ---- */

/* Lock held. False: not connected, or cancelled. */
static bool wait_room(void)
{
	while (upstream.state == UPSTREAM_CLOSING || (upstream.state != UPSTREAM_AWAY && upstream.bytes > QUEUE_MAX))
		if (gstk_cond_wait(&upstream.room, &upstream.mutex))
			return false;
	return true;
}

void upstream_wait_room(void)
{
	if (!*upstream_addr)
		return;
	upstream_lock();
	wait_room();
	upstream_unlock();
}

bool upstream_publish(struct word channel, struct word payload)
{
	struct word words[] = { { "PUBLISH", 7 }, channel, payload };
	bool up;

	if (!*upstream_addr)
		return false;
	upstream_lock();
	up = wait_room() && upstream.state == UPSTREAM_UP && !upstream_push(words, 3, true);
	upstream_unlock();
	count(up ? &upstream.forwarded : &upstream.local, 1);
	return up;
}

static void subscription(bool pattern, const char *name, uint32_t len, bool there)
{
	static const char *const verbs[2][2] = { { "UNSUBSCRIBE", "SUBSCRIBE" }, { "PUNSUBSCRIBE", "PSUBSCRIBE" } };
	const char *verb = verbs[pattern][there];
	struct word words[] = { { verb, (uint32_t)strlen(verb) }, { name, len } };

	upstream_lock();
	if ((upstream.state == UPSTREAM_SYNC || upstream.state == UPSTREAM_UP) && upstream_push(words, 2, false))
		upstream_break(); /* the next connection begins with what is true then */
	upstream_unlock();
}

void upstream_info(FILE *f)
{
	static const char *const names[] = { "away", "sync", "up", "away" };

	if (!*upstream_addr)
		return;
#define FIELD(name) fprintf(f, "upstream_" #name ":%llu\r\n", (unsigned long long)upstream.name)
	fprintf(f, "upstream:%s\r\nupstream_state:%s\r\n", upstream_given,
		names[atomic_load(&upstream.state)]);
	FIELD(connects);
	FIELD(forwarded);
	FIELD(received);
	FIELD(local);
	FIELD(returned);
	FIELD(unanswered);
	FIELD(errors);
	FIELD(too_big);
	fprintf(f, "upstream_queued_bytes:%zu\r\n", (size_t)upstream.bytes);
#undef FIELD
}

/* ---- writer ---- */

static bool connected(void)
{
	return upstream.state == UPSTREAM_SYNC || upstream.state == UPSTREAM_UP;
}

/* Send what is queued, and what comes meanwhile. -ECANCELED; a broken connection is the reader's affair. */
static int send_queue(void)
{
	struct iovec iov[BATCH];
	ssize_t n = 0;

	upstream_lock();
	while (n >= 0 && connected() && upstream.head) {
		struct upstream_request *r = upstream.head;
		uint32_t skip = upstream.sent;
		int nr = 0;

		for (; r && nr < BATCH; r = r->next, nr++) {
			iov[nr] = (struct iovec){ r->data + skip, r->len - skip };
			skip = 0;
		}
		upstream.writing = true;
		upstream_unlock();
		n = gstk_writev_until(upstream.fd, iov, nr, gstk_now() + WRITE_NS);
		upstream_lock();
		upstream.writing = false;
		if (n >= 0)
			upstream_sent((size_t)n);
		else
			upstream_break();
	}
	gstk_cond_broadcast(&upstream.room);
	upstream_unlock();
	return n == -ECANCELED ? -ECANCELED : 0;
}

/* All that has subscribers, a part at a time; new ones queue up behind. */
static int send_subscriptions(void)
{
	for (unsigned int part = 0; topics_walk(part, subscription); part++)
		if (send_queue())
			return -ECANCELED;
	upstream_lock();
	if (upstream.state == UPSTREAM_SYNC) {
		upstream.state = UPSTREAM_UP;
		upstream_note_connected();
	}
	upstream_unlock();
	return 0;
}

static void *writer_main(void *arg)
{
	int err = 0;

	while (!err) {
		bool resync;

		upstream_lock();
		while (!err && !(connected() && (upstream.head || upstream.resync)))
			err = gstk_cond_wait(&upstream.work, &upstream.mutex);
		resync = upstream.resync;
		upstream.resync = false;
		upstream_unlock();
		if (!err)
			err = resync ? send_subscriptions() : send_queue();
	}
	return arg;
}

/* ---- start ---- */

bool upstream_set(const char *addr)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	const char *colon = strrchr(addr, ':');
	char host[256], name[64], port[16];
	size_t len;
	int err;

	upstream_given = addr;
	if (!strncmp(addr, "unix:", 5) && strlen(addr) < sizeof(upstream_addr)) {
		strcpy(upstream_addr, addr);
		return true;
	}
	len = colon ? (size_t)(colon - addr) : 0;
	if (!len || !colon[1] || len >= sizeof(host)) {
		fprintf(stderr, "pubsub: --upstream: \"%s\" is not host:port\n", addr);
		return false;
	}
	if (*addr == '[' && addr[len - 1] == ']')
		addr++, len -= 2;
	memcpy(host, addr, len);
	host[len] = 0;
	err = getaddrinfo(host, colon + 1, &hints, &ai);
	if (!err) {
		err = getnameinfo(ai->ai_addr, ai->ai_addrlen, name, sizeof(name), port, sizeof(port),
				  NI_NUMERICHOST | NI_NUMERICSERV);
		snprintf(upstream_addr, sizeof(upstream_addr), ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", name, port);
		freeaddrinfo(ai);
	}
	if (err)
		fprintf(stderr, "pubsub: --upstream: %s: %s\n", upstream_given, gai_strerror(err));
	return !err;
}

int upstream_start(void)
{
	int err;

	if (!*upstream_addr)
		return 0;
	topics_watch(subscription);
	err = upstream_start_reader();
	if (err)
		return err;
	return gstk_spawn(NULL, writer_main, NULL, GSTK_OPTS(gstk_spawn_opts, .name = "upstream writer"));
}
