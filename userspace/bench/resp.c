// SPDX-License-Identifier: MIT
/*
 * resp.*: server CPU time of what examples/pubsub is for, over the Redis protocol, so that redis-server can be
 * the peer. As in echo.c the server is a process of its own on one CPU, and this process is the load on another.
 * Every answer is compared byte by byte.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "echo.h"

enum { PAYLOAD = 64, MOST = 256 };

static const char ping[] = "*1\r\n$4\r\nPING\r\n", pong[] = "+PONG\r\n";

/* Ours: the example server, which lies beside this program. */
int resp_serve(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("pubsub"));
	char *slash;

	bench_check(n > 0);
	path[n] = 0;
	slash = strrchr(path, '/');
	strcpy(slash ? slash + 1 : path, "pubsub");
	execl(path, path, "--port=0", "--maxclients=5000", NULL);
	bench_note("%s: %s; make examples builds it", path, strerror(errno));
	return 1;
}

struct client {
	int fd;
	size_t want, have; /* bytes of the answer under way */
	const char *answer;
	uint64_t sent;
};

struct load {
	int epfd;
	struct client *c;
	size_t nr;
	uint64_t *latency;
	size_t nr_latency, max_latency;
};

static void send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			bench_fail("server closed a connection: %s", strerror(errno));
		text += n;
		len -= (size_t)n;
	}
}

/* Read what is there of the answer; true when it is whole. */
static bool receive(struct client *c)
{
	char buf[512];
	ssize_t n = read(c->fd, buf, c->want - c->have < sizeof(buf) ? c->want - c->have : sizeof(buf));

	if (n < 0 && errno == EINTR)
		return false;
	if (n <= 0)
		bench_fail("server closed a connection: %s", n ? strerror(errno) : "end");
	if (memcmp(buf, c->answer + c->have, (size_t)n))
		bench_fail("not the answer %.*s: %.*s", (int)c->want, c->answer, (int)n, buf);
	c->have += (size_t)n;
	return c->have == c->want;
}

static void expect(struct client *c, const char *answer, size_t len)
{
	c->answer = answer;
	c->want = len;
	c->have = 0;
}

/* One request, and its answer before anything else. */
static void ask(struct client *c, const char *request, const char *answer)
{
	send_all(c->fd, request, strlen(request));
	expect(c, answer, strlen(answer));
	while (!receive(c))
		;
}

static void open_clients(struct load *l, const struct echo_server *s, size_t nr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(s->port) };
	int on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*l = (struct load){ .epfd = epoll_create1(EPOLL_CLOEXEC), .nr = nr, .max_latency = 1 << 20 };
	l->c = calloc(nr, sizeof(*l->c));
	l->latency = calloc(l->max_latency, sizeof(*l->latency));
	bench_check(l->epfd >= 0 && l->c && l->latency);
	for (size_t i = 0; i < nr; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &l->c[i] };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			bench_fail("connection %zu: %s", i, strerror(errno));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		l->c[i].fd = fd;
		ask(&l->c[i], ping, pong);
		bench_check(!epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev));
	}
}

static void note_latency(struct load *l, uint64_t ns)
{
	if (l->nr_latency < l->max_latency)
		l->latency[l->nr_latency++] = ns;
}

static void ping_one(struct client *c)
{
	c->sent = bench_now();
	expect(c, pong, sizeof(pong) - 1);
	send_all(c->fd, ping, sizeof(ping) - 1);
}

/* One PING under way a connection. Returns how many were answered. */
static uint64_t ping_until(struct load *l, uint64_t end)
{
	struct epoll_event ev[MOST];
	uint64_t nr = 0;

	for (uint64_t now = bench_now(); now < end;) {
		int n = epoll_wait(l->epfd, ev, MOST, 1000);

		now = bench_now();
		for (int i = 0; i < n; i++) {
			struct client *c = ev[i].data.ptr;

			if (!receive(c))
				continue;
			note_latency(l, now - c->sent);
			nr++;
			ping_one(c);
		}
	}
	return nr;
}

/* CPU of the server for what @until does, an event that it counts. */
static void measure(const struct bench *b, struct echo_server *s, struct load *l,
		    uint64_t (*until)(struct load *l, uint64_t end))
{
	uint64_t cpu, start, nr, wall;

	until(l, bench_now() + bench_n(500) * 1000000u);
	l->nr_latency = 0;
	cpu = echo_server_cpu(s);
	start = bench_now();
	nr = until(l, start + bench_n(2000) * 1000000u);
	wall = bench_now() - start;
	cpu = echo_server_cpu(s) - cpu;
	bench_check(nr && l->nr_latency);
	bench_emit(b->name, (double)cpu / (double)nr / 1000, "us");
	bench_emit_sub(b, "p99", bench_percentile(l->latency, l->nr_latency, 99) / 1000, "us");
	bench_emit_sub(b, "wall", (double)wall / (double)nr / 1000, "us");
	echo_server_stop(s);
}

static void two_cpus(const struct bench *b)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		bench_skip("%s needs two CPUs", b->name);
}

static void ping_run(const struct bench *b)
{
	struct echo_server s;
	struct load l;

	two_cpus(b);
	s = echo_server_start("resp");
	open_clients(&l, &s, (size_t)b->arg);
	for (size_t i = 0; i < l.nr; i++)
		ping_one(&l.c[i]);
	measure(b, &s, &l, ping_until);
}

/*
 * The first client publishes, the others have subscribed; the next message goes out when the last one has
 * reached all of them. Returns the number of messages delivered.
 */
static uint64_t publish_until(struct load *l, uint64_t end)
{
	static char message[PAYLOAD + 64], request[PAYLOAD + 64], answer[16];
	struct epoll_event ev[MOST];
	char payload[PAYLOAD + 1];
	uint64_t nr = 0;
	size_t left;

	memset(payload, 'x', PAYLOAD);
	payload[PAYLOAD] = 0;
	snprintf(request, sizeof(request), "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$%d\r\n%s\r\n", PAYLOAD, payload);
	snprintf(message, sizeof(message), "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%s\r\n", PAYLOAD, payload);
	snprintf(answer, sizeof(answer), ":%zu\r\n", l->nr - 1);
	for (uint64_t now = bench_now(); now < end;) {
		expect(&l->c[0], answer, strlen(answer));
		for (size_t i = 1; i < l->nr; i++)
			expect(&l->c[i], message, strlen(message));
		l->c[0].sent = now;
		send_all(l->c[0].fd, request, strlen(request));
		for (left = l->nr; left;) {
			int n = epoll_wait(l->epfd, ev, MOST, 1000);

			now = bench_now();
			for (int i = 0; i < n; i++) {
				struct client *c = ev[i].data.ptr;

				if (!receive(c))
					continue;
				left--;
				if (c == &l->c[0])
					continue;
				note_latency(l, now - l->c[0].sent);
				nr++;
			}
		}
	}
	return nr;
}

static void publish_run(const struct bench *b)
{
	struct echo_server s;
	struct load l;

	two_cpus(b);
	s = echo_server_start("resp");
	open_clients(&l, &s, (size_t)b->arg + 1);
	for (size_t i = 1; i < l.nr; i++)
		ask(&l.c[i], "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
	measure(b, &s, &l, publish_until);
}

BENCH(resp_ping_64, .name = "resp.ping.64.cpu_per_req", .unit = "us",
      .what = "CPU of the example pub/sub server a PING, 64 connections",
      .also = "resp.ping.64.cpu_per_req.p99 resp.ping.64.cpu_per_req.wall", .run = ping_run, .arg = 64,
      .flags = BENCH_SERVER, .serve = "resp");
BENCH(resp_ping_1000, .name = "resp.ping.1000.cpu_per_req", .unit = "us",
      .what = "CPU of the example pub/sub server a PING, 1,000 connections",
      .also = "resp.ping.1000.cpu_per_req.p99 resp.ping.1000.cpu_per_req.wall", .run = ping_run, .arg = 1000,
      .flags = BENCH_SERVER, .serve = "resp");
BENCH(resp_publish_100, .name = "resp.publish.100.cpu_per_msg", .unit = "us",
      .what = "CPU of the example pub/sub server a message delivered, 100 subscribers",
      .also = "resp.publish.100.cpu_per_msg.p99 resp.publish.100.cpu_per_msg.wall", .run = publish_run, .arg = 100,
      .flags = BENCH_SERVER, .serve = "resp");
