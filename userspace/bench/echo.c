// SPDX-License-Identifier: MIT
/*
 * echo.*: server CPU time a request. The server is a process of its own on one CPU; this process
 * is the load, a plain epoll loop on another, with one 64-byte request under way a connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "bench.h"
#include "echo.h"

enum { REQUEST = 64 };

/* Server on the last CPU, load on the others: measured on two CPUs, right on more. */
static void pin_apart(bool server)
{
	cpu_set_t all, set;
	int last = -1;

	bench_check(!sched_getaffinity(0, sizeof(all), &all));
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all))
			last = i;
	set = all;
	if (server) {
		CPU_ZERO(&set);
		CPU_SET(last, &set);
	} else if (CPU_COUNT(&all) > 1) {
		CPU_CLR(last, &set);
	}
	bench_check(!sched_setaffinity(0, sizeof(set), &set));
}

static void files_as_many_as_allowed(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

struct echo_server echo_server_start(const char *style)
{
	struct echo_server s = { .pid = -1 };
	char line[64] = "";
	unsigned int port;
	size_t len = 0;
	int p[2];

	files_as_many_as_allowed();
	bench_check(!pipe2(p, O_CLOEXEC));
	s.pid = fork();
	bench_check(s.pid >= 0);
	if (!s.pid) {
		pin_apart(true);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], STDOUT_FILENO);
		execl(bench_server(), bench_server(), "--serve", style, NULL);
		_exit(127);
	}
	close(p[1]);
	while (len + 1 < sizeof(line) && !strchr(line, '\n')) {
		ssize_t n = read(p[0], line + len, sizeof(line) - 1 - len);

		if (n <= 0)
			bench_fail("server %s did not start", bench_server());
		len += (size_t)n;
		line[len] = 0;
	}
	if (sscanf(line, "listening %u", &port) != 1 && sscanf(line, "listening on %*[0-9.]:%u", &port) != 1)
		bench_fail("server %s said: %s", bench_server(), line);
	s.port = (uint16_t)port;
	s.out = p[0];
	pin_apart(false);
	return s;
}

void echo_server_stop(struct echo_server *s)
{
	close(s->out);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

uint64_t echo_server_cpu(const struct echo_server *s)
{
	struct timespec t;
	clockid_t clock;

	bench_check(!clock_getcpuclockid(s->pid, &clock));
	bench_check(!clock_gettime(clock, &t));
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_full(int fd, char *buf, size_t len)
{
	while (len) {
		ssize_t n = read(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			bench_fail("server closed a connection: %s", n ? strerror(errno) : "end");
		buf += n;
		len -= (size_t)n;
	}
}

int *echo_connect(const struct echo_server *s, size_t nr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(s->port) };
	int *fds = calloc(nr, sizeof(*fds)), on = 1;
	char out[REQUEST] = "hello", in[REQUEST];

	bench_check(fds);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (size_t i = 0; i < nr; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&addr, sizeof(addr)))
			bench_fail("connection %zu: %s", i, strerror(errno));
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		memcpy(out + 8, &i, sizeof(i));
		bench_check(write(fds[i], out, sizeof(out)) == sizeof(out));
		read_full(fds[i], in, sizeof(in));
		bench_check(!memcmp(in, out, sizeof(in)));
		if (i && i % 5000 == 0)
			bench_note("%zu connections", i);
	}
	return fds;
}

struct load {
	int epfd;
	uint64_t *sent; /* when the request under way was sent, a connection */
	uint64_t *latency;
	size_t nr_latency, max_latency;
	uint64_t requests;
};

static void load_until(struct load *l, const int *fds, uint64_t end)
{
	struct epoll_event ev[256];
	char buf[REQUEST];

	for (uint64_t now = bench_now(); now < end;) {
		int n = epoll_wait(l->epfd, ev, 256, 1000);

		now = bench_now();
		for (int i = 0; i < n; i++) {
			uint32_t c = ev[i].data.u32;

			read_full(fds[c], buf, sizeof(buf));
			if (l->nr_latency < l->max_latency)
				l->latency[l->nr_latency++] = now - l->sent[c];
			l->requests++;
			l->sent[c] = now;
			bench_check(write(fds[c], buf, sizeof(buf)) == sizeof(buf));
		}
	}
}

static void echo_run(const struct bench *b)
{
	size_t nr = (size_t)b->arg;
	struct echo_server s = echo_server_start("echo");
	int *fds = echo_connect(&s, nr);
	struct load l = { .epfd = epoll_create1(EPOLL_CLOEXEC), .max_latency = 1 << 20 };
	uint64_t cpu, start, ms = bench_n(2000), warm_ms = bench_n(500), wall;
	char buf[REQUEST] = "request";

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		bench_skip("%s needs two CPUs", b->name);
	l.sent = calloc(nr, sizeof(*l.sent));
	l.latency = calloc(l.max_latency, sizeof(*l.latency));
	bench_check(l.epfd >= 0 && l.sent && l.latency);
	for (size_t i = 0; i < nr; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = (uint32_t)i };

		bench_check(!epoll_ctl(l.epfd, EPOLL_CTL_ADD, fds[i], &ev));
		l.sent[i] = bench_now();
		bench_check(write(fds[i], buf, sizeof(buf)) == sizeof(buf));
	}
	load_until(&l, fds, bench_now() + warm_ms * 1000000u);
	l.requests = l.nr_latency = 0;
	cpu = echo_server_cpu(&s);
	start = bench_now();
	load_until(&l, fds, start + ms * 1000000u);
	wall = bench_now() - start;
	cpu = echo_server_cpu(&s) - cpu;
	bench_check(l.requests);
	bench_emit(b->name, (double)cpu / (double)l.requests / 1000, "us");
	bench_emit_sub(b, "p99", bench_percentile(l.latency, l.nr_latency, 99) / 1000, "us");
	bench_emit_sub(b, "wall", (double)wall / (double)l.requests / 1000, "us");
	echo_server_stop(&s);
}

/* Bytes of user memory an idle connection: growth of the server's memory over connections. */
static void idle_run(const struct bench *b)
{
	struct echo_server s = echo_server_start("idle");
	struct rlimit r;
	size_t nr, warm = 200;
	struct bench_mem m0, m1;
	double secs = bench_wait_s(60);

	getrlimit(RLIMIT_NOFILE, &r);
	nr = r.rlim_cur > 16500 ? 16000 : (size_t)r.rlim_cur - 500;
	nr = bench_n(nr);
	/* The first connections bring in code and the pools' first pages. */
	echo_connect(&s, warm);
	m0 = bench_mem(s.pid);
	echo_connect(&s, nr);
	usleep((useconds_t)(secs < 1 ? secs * 1e6 : 1e6));
	m1 = bench_mem(s.pid);
	bench_emit_sub(b, "1s", bench_mem_growth(&m0, &m1) / (double)nr, "bytes");
	for (double t = 1; t < secs; t += 10) {
		double step = secs - t < 10 ? secs - t : 10;

		bench_note("%zu idle connections for %.0f of %.0f s", nr, t, secs);
		usleep((useconds_t)(step * 1e6));
	}
	m1 = bench_mem(s.pid);
	bench_emit(b->name, bench_mem_growth(&m0, &m1) / (double)nr, "bytes");
	bench_emit_sub(b, "page_tables", ((double)m1.page_tables - (double)m0.page_tables) / (double)nr,
		       "bytes");
	echo_server_stop(&s);
}

BENCH(echo_64, .name = "echo.64.cpu_per_req", .unit = "us",
      .what = "server CPU an echo request, 64 connections",
      .also = "echo.64.cpu_per_req.p99 echo.64.cpu_per_req.wall", .run = echo_run, .arg = 64,
      .flags = BENCH_SERVER);
BENCH(echo_1000, .name = "echo.1000.cpu_per_req", .unit = "us",
      .what = "server CPU an echo request, 1,000 connections",
      .also = "echo.1000.cpu_per_req.p99 echo.1000.cpu_per_req.wall", .run = echo_run, .arg = 1000,
      .flags = BENCH_SERVER);
BENCH(idle_tcp, .name = "idle.tcp.bytes", .unit = "bytes",
      .what = "user memory a connection (RSS and page tables) after 60 s idle",
      .also = "idle.tcp.bytes.1s idle.tcp.bytes.page_tables", .run = idle_run, .rounds = 1, .limit_s = 150,
      .flags = BENCH_SERVER | BENCH_UNTIMED | BENCH_LONG);
