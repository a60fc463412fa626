// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

static const char usage[] =
	"usage: pubsub-load [OPTION...] <commands\n"
	"Subscribes with many connections to a server that speaks the Redis protocol. Commands, one a line:\n"
	"  connect N              subscribe with N more connections\n"
	"  publish SECONDS W RATE W publishers, RATE messages a second in all (0: as fast as they go)\n"
	"  round RATE             one message to each channel\n"
	"  ping                   every subscriber sends PING and waits for the answer\n"
	"  quit\n"
	"Each is answered by a line of `name value` pairs.\n\n"
	"  -p, --port=N           of the server on 127.0.0.1\n"
	"  -j, --processes=N      that hold the connections (default 4)\n"
	"  -r, --rooms=N          channels (default 200)\n"
	"  -s, --size=BYTES       of a message (default 64)\n"
	"  -w, --window=N         connects and pings under way in each process (default 64)\n"
	"  -3, --resp3            speak RESP3\n";

struct load load = { .rooms = 200, .size = 64, .window = 64, .resp = 2 };

static struct {
	int control;
	pid_t pid;
} proc[LOAD_MAX_PROCS + 1]; /* the last one publishes */
static int nr_procs = 4;
static uint32_t nr_connections;

uint64_t load_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void load_die(const char *what)
{
	fprintf(stderr, "pubsub-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned int hist_bucket(uint64_t ns)
{
	unsigned int shift;

	if (ns < HIST_SUB)
		return (unsigned int)ns;
	shift = 63u - (unsigned int)__builtin_clzll(ns) - 5;
	shift = (shift + 1) * HIST_SUB + (unsigned int)((ns >> shift) & (HIST_SUB - 1));
	return shift < HIST_BUCKETS ? shift : HIST_BUCKETS - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->bucket[hist_bucket(ns)]++;
	h->nr++;
	if (ns > h->max)
		h->max = ns;
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (int i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
	to->nr += from->nr;
	to->max = to->max > from->max ? to->max : from->max;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
	uint64_t want = (uint64_t)ceil((double)h->nr * share), seen = 0;

	for (unsigned int i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen < want || !want)
			continue;
		if (i < HIST_SUB)
			return i;
		return (uint64_t)(i % HIST_SUB + HIST_SUB) << (i / HIST_SUB - 1);
	}
	return h->max;
}

static void order(int i, struct load_order o)
{
	if (send(proc[i].control, &o, sizeof(o), MSG_NOSIGNAL) != sizeof(o))
		load_die("a process is gone");
}

static void answer(int i)
{
	char c;

	if (read(proc[i].control, &c, 1) != 1)
		load_die("a process is gone");
}

static uint64_t total(size_t offset)
{
	uint64_t sum = 0;

	for (int i = 0; i <= nr_procs; i++)
		sum += atomic_load((_Atomic uint64_t *)((char *)&load.counts[i] + offset));
	return sum;
}
#define TOTAL(member) total(offsetof(struct load_counts, member))

static void clear(void)
{
	for (int i = 0; i < nr_procs; i++)
		order(i, (struct load_order){ .op = OP_CLEAR });
	for (int i = 0; i < nr_procs; i++)
		answer(i);
	load.counts[nr_procs].published = load.counts[nr_procs].expected = 0;
}

static void latency(void)
{
	struct hist *h = calloc(1, sizeof(*h));

	if (!h)
		load_die("memory");
	for (int i = 0; i < nr_procs; i++)
		hist_merge(h, &load.counts[i].latency);
	printf(" p50_us %.1f p99_us %.1f max_us %.1f", (double)hist_quantile(h, 0.5) / 1e3,
	       (double)hist_quantile(h, 0.99) / 1e3, (double)h->max / 1e3);
	free(h);
}

static void do_connect(uint32_t nr)
{
	uint64_t t0 = load_now();

	for (int i = 0; i < nr_procs; i++) {
		uint32_t share = nr / (uint32_t)nr_procs + ((uint32_t)i < nr % (uint32_t)nr_procs);

		order(i, (struct load_order){ .op = OP_CONNECT, .nr = share, .first = nr_connections });
		nr_connections += share;
	}
	for (int i = 0; i < nr_procs; i++)
		answer(i);
	printf("connected %llu errors %llu seconds %.3f\n", (unsigned long long)TOTAL(connected),
	       (unsigned long long)TOTAL(errors), (double)(load_now() - t0) / 1e9);
}

/* Until everything that the server said it delivered has come, or nothing came for a second. */
static void settle(void)
{
	uint64_t seen = TOTAL(received), last = load_now();

	while (TOTAL(received) < TOTAL(expected) && load_now() - last < 1000000000u) {
		struct timespec ms = { 0, 1000000 };

		nanosleep(&ms, NULL);
		if (TOTAL(received) != seen) {
			seen = TOTAL(received);
			last = load_now();
		}
	}
}

static void do_publish(struct load_order o)
{
	uint64_t t0;
	double seconds;

	clear();
	t0 = load_now();
	order(nr_procs, o);
	answer(nr_procs);
	settle();
	seconds = (double)(load_now() - t0) / 1e9;
	printf("published %llu expected %llu received %llu lost %lld seconds %.3f publishes_per_s %.0f "
	       "deliveries_per_s %.0f",
	       (unsigned long long)TOTAL(published), (unsigned long long)TOTAL(expected),
	       (unsigned long long)TOTAL(received), (long long)(TOTAL(expected) - TOTAL(received)), seconds,
	       (double)TOTAL(published) / seconds, (double)TOTAL(received) / seconds);
	latency();
	printf(" closed %llu\n", (unsigned long long)TOTAL(closed));
}

static void do_ping(void)
{
	uint64_t t0, before = TOTAL(pongs);

	clear();
	t0 = load_now();
	for (int i = 0; i < nr_procs; i++)
		order(i, (struct load_order){ .op = OP_PING });
	for (int i = 0; i < nr_procs; i++)
		answer(i);
	printf("pongs %llu seconds %.3f", (unsigned long long)(TOTAL(pongs) - before),
	       (double)(load_now() - t0) / 1e9);
	latency();
	printf("\n");
}

static void spawn_processes(void)
{
	for (int i = 0; i <= nr_procs; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
			load_die("socketpair");
		fflush(stdout);
		proc[i].pid = fork();
		if (proc[i].pid < 0)
			load_die("fork");
		if (!proc[i].pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (int k = 0; k < i; k++)
				close(proc[k].control);
			close(pair[0]);
			if (i == nr_procs)
				load_publisher(pair[1], &load.counts[i]);
			load_subscriber(pair[1], i);
		}
		close(pair[1]);
		proc[i].control = pair[0];
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", required_argument, NULL, 'p' },   { "processes", required_argument, NULL, 'j' },
		{ "rooms", required_argument, NULL, 'r' },  { "size", required_argument, NULL, 's' },
		{ "window", required_argument, NULL, 'w' }, { "resp3", no_argument, NULL, '3' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	struct sockaddr_in *in = (struct sockaddr_in *)&load.server;
	int o;

	while ((o = getopt_long(argc, argv, "p:j:r:s:w:3h", longs, NULL)) != -1) {
		long n = optarg ? strtol(optarg, NULL, 10) : 0;

		switch (o) {
		case 'p':
			in->sin_port = htons((uint16_t)n);
			break;
		case 'j':
			nr_procs = n < 1 ? 1 : n > LOAD_MAX_PROCS ? LOAD_MAX_PROCS : (int)n;
			break;
		case 'r':
			load.rooms = n < 1 ? 1 : (uint32_t)n;
			break;
		case 's':
			load.size = n < LOAD_STAMP ? LOAD_STAMP : n > 32768 ? 32768 : (uint32_t)n;
			break;
		case 'w':
			load.window = n < 1 ? 1 : (uint32_t)n;
			break;
		case '3':
			load.resp = 3;
			break;
		default:
			fputs(usage, o == 'h' ? stdout : stderr);
			exit(o == 'h' ? 0 : 2);
		}
	}
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	load.server_len = sizeof(*in);
	if (!in->sin_port) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct rlimit rl;
	char line[256];

	parse_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &rl)) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	load.counts = mmap(NULL, (size_t)(nr_procs + 1) * sizeof(*load.counts), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (load.counts == MAP_FAILED)
		load_die("memory");
	spawn_processes();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		struct load_order o = { .op = OP_PUBLISH };
		unsigned int nr;

		if (sscanf(line, "connect %u", &nr) == 1) {
			do_connect(nr);
		} else if (sscanf(line, "publish %lf %u %lf", &o.seconds, &o.nr, &o.rate) == 3) {
			do_publish(o);
		} else if (sscanf(line, "round %lf", &o.rate) == 1) {
			o.op = OP_ROUND;
			do_publish(o);
		} else if (!strcmp(line, "ping\n")) {
			do_ping();
		} else if (!strcmp(line, "quit\n")) {
			break;
		} else {
			fprintf(stderr, "pubsub-load: no such command: %s", line);
			return 2;
		}
	}
	return 0;
}
