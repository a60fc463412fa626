// SPDX-License-Identifier: MIT
/*
 * A publish/subscribe server that speaks the Redis protocol, in plain blocking style: one task
 * accepts, one task serves each connection. Start reading at client_main() in client.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <greenstk.h>
#include "client.h"
#include "server.h"
#include "upstream.h"

#define MAX_LISTENERS 8
#define SPARE_FDS     32 /* listeners, epoll, standard streams, /proc files */

struct server server;

static struct options {
	const char *listen[MAX_LISTENERS];
	int nr_listen;
	long max_clients;
	struct gstk_config runtime;
} options;

static const char usage[] =
	"usage: pubsub [OPTION...]\n"
	"A publish/subscribe server for Redis clients, on greenstk.\n\n"
	"  -l, --listen=ADDR         127.0.0.1:6379, [::1]:0, unix:/run/x; may be repeated (default 127.0.0.1:6379)\n"
	"  -p, --port=N              short for --listen=127.0.0.1:N; 0: any free port, which is printed\n"
	"      --maxclients=N        connections (default: what the limit on open files allows)\n"
	"      --max-request=BYTES   of one request (default 16 MiB)\n"
	"      --max-subscriptions=N of one connection (default 16384)\n"
	"      --output-limit=BYTES  queued for a slow subscriber before it is dropped (default 32 MiB)\n"
	"      --workers=N           threads that run tasks (default: one a core)\n"
	"      --upstream=HOST:PORT  a Redis whose messages are shared with other servers that name it\n"
	"      --windows=N           stacks that can be in place at once (default 1024)\n"
	"      --stack-use=BYTES     more on the stack of each connection, as in servers that keep buffers and\n"
	"                            the state of parsers there; at most 128k (default 0)\n"
	"  -h, --help                this text\n";

static size_t number(const char *text, const char *what)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	switch (*end) {
	case 'k': case 'K':
		n <<= 10, end++;
		break;
	case 'm': case 'M':
		n <<= 20, end++;
		break;
	}
	if (end == text || *end || *text == '-') {
		fprintf(stderr, "pubsub: %s: \"%s\" is not a number\n", what, text);
		exit(2);
	}
	return (size_t)n;
}

static void parse_options(int argc, char **argv)
{
	enum { MAXCLIENTS = 256, MAX_REQUEST, MAX_SUBSCRIPTIONS, OUTPUT_LIMIT, WORKERS, WINDOWS, UPSTREAM, STACK_USE };
	static const struct option longs[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "port", required_argument, NULL, 'p' },
		{ "maxclients", required_argument, NULL, MAXCLIENTS },
		{ "max-request", required_argument, NULL, MAX_REQUEST },
		{ "max-subscriptions", required_argument, NULL, MAX_SUBSCRIPTIONS },
		{ "output-limit", required_argument, NULL, OUTPUT_LIMIT },
		{ "workers", required_argument, NULL, WORKERS },
		{ "windows", required_argument, NULL, WINDOWS },
		{ "upstream", required_argument, NULL, UPSTREAM },
		{ "stack-use", required_argument, NULL, STACK_USE },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static char local[MAX_LISTENERS][32];
	const char *addr;
	int o;

	client_limits.max_request = 16 << 20;
	client_limits.max_subscriptions = 16384;
	client_limits.output_limit = 32 << 20;
	options.runtime = (struct gstk_config){ .size = sizeof(options.runtime), .windows = 1024 };
	while ((o = getopt_long(argc, argv, "l:p:h", longs, NULL)) != -1) {
		switch (o) {
		case 'l':
		case 'p':
			if (options.nr_listen == MAX_LISTENERS) {
				fprintf(stderr, "pubsub: at most %d addresses\n", MAX_LISTENERS);
				exit(2);
			}
			addr = optarg;
			if (o == 'p') {
				snprintf(local[options.nr_listen], sizeof(local[0]), "127.0.0.1:%zu",
					 number(optarg, "--port"));
				addr = local[options.nr_listen];
			}
			options.listen[options.nr_listen++] = addr;
			break;
		case MAXCLIENTS:
			options.max_clients = (long)number(optarg, "--maxclients");
			break;
		case MAX_REQUEST:
			client_limits.max_request = (uint32_t)number(optarg, "--max-request");
			break;
		case MAX_SUBSCRIPTIONS:
			client_limits.max_subscriptions = (uint32_t)number(optarg, "--max-subscriptions");
			break;
		case OUTPUT_LIMIT:
			client_limits.output_limit = number(optarg, "--output-limit");
			break;
		case WORKERS:
			options.runtime.workers = (uint32_t)number(optarg, "--workers");
			break;
		case WINDOWS:
			options.runtime.windows = number(optarg, "--windows");
			break;
		case STACK_USE:
			client_limits.stack_use = number(optarg, "--stack-use");
			break;
		case UPSTREAM:
			if (!upstream_set(optarg))
				exit(2);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc || client_limits.max_request < 1024 || client_limits.max_request > 512u << 20) {
		fputs(optind < argc ? usage : "pubsub: --max-request must be 1k to 512m\n", stderr);
		exit(2);
	}
	if (client_limits.stack_use > 128u << 10) {
		fputs("pubsub: --stack-use must be at most 128k\n", stderr);
		exit(2);
	}
	if (!options.nr_listen)
		options.listen[options.nr_listen++] = "127.0.0.1:6379";
	client_limits.output_soft = client_limits.output_limit / 4;
}

/* As many descriptors as we may have, and no more connections than they allow. */
static void set_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return;
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	getrlimit(RLIMIT_NOFILE, &rl);
	client_limits.max_clients = rl.rlim_cur > SPARE_FDS + 1 ? (uint32_t)(rl.rlim_cur - SPARE_FDS) : 1;
	if (options.max_clients)
		client_limits.max_clients = (uint32_t)options.max_clients;
}

static void refuse(int fd)
{
	static const char text[] = "-ERR max number of clients reached\r\n";

	count(&client_counters.rejected, 1);
	send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	gstk_close(fd);
}

static void *accept_main(void *arg)
{
	int listener = (int)(intptr_t)arg;
	gstk_fn serve = client_limits.stack_use ? client_deep_main : client_main;

	for (;;) {
		int fd = gstk_accept(listener, NULL, NULL);
		struct client *c;

		if (fd == -ECANCELED || fd == -EBADF || fd == -EINVAL)
			break;
		if (fd < 0) /* a connection that was gone before it was accepted */
			continue;
		if (client_nr() >= client_limits.max_clients) {
			refuse(fd);
			continue;
		}
		c = client_new(fd);
		if (c && !gstk_spawn(NULL, serve, c, NULL))
			continue;
		if (c)
			client_put(c);
		refuse(fd);
	}
	gstk_close(listener);
	return NULL;
}

/* Options that accepted sockets inherit, so that they need not be set for each. */
static void tune(int fd)
{
	static const int on = 1, idle = 300;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

static int open_listener(const char *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd = gstk_listen(addr, 0);

	if (fd < 0) {
		fprintf(stderr, "pubsub: %s: %s\n", addr, strerror(-fd));
		return fd;
	}
	if (!getsockname(fd, (struct sockaddr *)&ss, &len) && ss.ss_family != AF_UNIX) {
		int port = ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
							 : ((struct sockaddr_in6 *)&ss)->sin6_port);

		tune(fd);
		if (!server.port)
			server.port = port;
		printf("listening on %.*s:%d\n", (int)(strrchr(addr, ':') - addr), addr, port);
	} else {
		printf("listening on %s\n", addr);
	}
	fflush(stdout);
	return fd;
}

static void *server_main(void *arg)
{
	int fds[MAX_LISTENERS], signals = (int)(intptr_t)arg;
	struct signalfd_siginfo si;

	for (int i = 0; i < options.nr_listen; i++) {
		fds[i] = open_listener(options.listen[i]);
		if (fds[i] < 0)
			return (void *)1;
	}
	if (upstream_start())
		return (void *)1;
	for (int i = 0; i < options.nr_listen; i++) {
		int err = gstk_spawn(NULL, accept_main, (void *)(intptr_t)fds[i],
				     GSTK_OPTS(gstk_spawn_opts, .name = "acceptor"));

		if (err) {
			fprintf(stderr, "pubsub: %s\n", strerror(-err));
			return (void *)1;
		}
	}
	while (gstk_read(signals, &si, sizeof(si)) < 0)
		;
	fprintf(stderr, "pubsub: signal %u: closing %zu connections\n", si.ssi_signo, client_nr());
	return NULL;
}

int main(int argc, char **argv)
{
	void *failed = NULL;
	sigset_t stop;
	int fd, err;

	parse_options(argc, argv);
	set_limits();
	server.started = client_clock();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	fd = signalfd(-1, &stop, SFD_NONBLOCK | SFD_CLOEXEC);
	err = fd < 0 ? -errno : topics_init(client_subs);
	if (!err)
		err = gstk_main(server_main, (void *)(intptr_t)fd, &failed, &options.runtime);
	if (err)
		fprintf(stderr, "pubsub: %s\n", strerror(-err));
	return err || failed;
}
