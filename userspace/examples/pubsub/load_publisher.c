// SPDX-License-Identifier: MIT
/* The process of pubsub-load that publishes: connections that each have one request under way. */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "load.h"

#define MAX_PUBLISHERS 256

static struct {
	int fd[MAX_PUBLISHERS];
	bool busy[MAX_PUBLISHERS];
	uint32_t nr, under_way;
	uint32_t next_room;
	char payload[32768 + 1];
} P;

static void connect_all(uint32_t nr)
{
	static const int on = 1;

	for (; P.nr < nr && P.nr < MAX_PUBLISHERS; P.nr++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&load.server, load.server_len))
			load_die("publisher");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		P.fd[P.nr] = fd;
	}
}

static void publish(uint32_t i, uint32_t room)
{
	static char text[sizeof(P.payload) + 256];
	char name[32], stamp[LOAD_STAMP + 1];
	int n;

	snprintf(stamp, sizeof(stamp), "%0*llu", LOAD_STAMP, (unsigned long long)load_now());
	memcpy(P.payload, stamp, LOAD_STAMP);
	n = snprintf(name, sizeof(name), "room:%u", room);
	n = snprintf(text, sizeof(text), "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%u\r\n%.*s\r\n", n, name,
		     load.size, (int)load.size, P.payload);
	if (send(P.fd[i], text, (size_t)n, MSG_NOSIGNAL) != n)
		load_die("publish");
	P.busy[i] = true;
	P.under_way++;
}

/* Answers that have come within @timeout_ms. */
static void collect(struct load_counts *counts, int timeout_ms)
{
	struct pollfd fds[MAX_PUBLISHERS];

	for (uint32_t i = 0; i < P.nr; i++)
		fds[i] = (struct pollfd){ P.busy[i] ? P.fd[i] : -1, POLLIN, 0 };
	if (poll(fds, P.nr, timeout_ms) <= 0)
		return;
	for (uint32_t i = 0; i < P.nr; i++) {
		char text[128];
		ssize_t n;

		if (!fds[i].revents)
			continue;
		n = recv(P.fd[i], text, sizeof(text) - 1, 0);
		if (n <= 0 || text[0] != ':')
			load_die("answer to PUBLISH");
		text[n] = 0;
		atomic_fetch_add(&counts->expected, strtoull(text + 1, NULL, 10));
		atomic_fetch_add(&counts->published, 1);
		P.busy[i] = false;
		P.under_way--;
	}
}

static uint32_t next_room(void)
{
	uint32_t room = P.next_room++ % load.rooms;

	/* Not in order, so that two servers and two runs see the same but nobody can foresee. */
	return (uint32_t)((uint64_t)room * 2654435761u % load.rooms);
}

static void run(const struct load_order *o, struct load_counts *counts)
{
	uint64_t t0 = load_now(), end = t0 + (uint64_t)(o->seconds * 1e9), sent = 0;
	uint64_t most = o->op == OP_ROUND ? load.rooms : UINT64_MAX;

	connect_all(o->op == OP_ROUND ? 16 : o->nr);
	while (sent < most && (o->op == OP_ROUND || load_now() < end)) {
		double due = o->rate > 0 ? (double)(load_now() - t0) / 1e9 * o->rate : INFINITY;

		for (uint32_t i = 0; i < P.nr && (double)sent < due && sent < most; i++)
			if (!P.busy[i] && (o->op == OP_ROUND || i < o->nr)) {
				publish(i, o->op == OP_ROUND ? (uint32_t)sent : next_room());
				sent++;
			}
		collect(counts, o->rate > 0 ? 1 : 100);
	}
	for (uint64_t until = load_now() + 10000000000u; P.under_way && load_now() < until;)
		collect(counts, 100);
}

void load_publisher(int control, struct load_counts *counts)
{
	struct load_order o;
	char c = 0;

	memset(P.payload, 'x', sizeof(P.payload));
	while (recv(control, &o, sizeof(o), 0) == sizeof(o)) {
		run(&o, counts);
		if (write(control, &c, 1) != 1)
			break;
	}
	exit(0);
}
