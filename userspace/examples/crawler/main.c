// SPDX-License-Identifier: MIT
/*
 * A polite web crawler in plain blocking style. Start reading at fetch_main() in crawl.c.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "crawl.h"
#include "green.h"
#include "host.h"
#include "http.h"
#include "memory.h"

#define TICK_NS	 250000000u  /* how often signals and memory are looked at */
#define GRACE_NS 2000000000u /* for requests that are under way when the crawl is stopped */

static const char usage[] =
	"usage: " CRAWLER_NAME " [OPTION...] URL...\n"
	"Fetches the pages that can be reached from the URLs (http only), each once, as robots.txt permits, and reports.\n"
	"Stays on the hosts of the URLs unless told otherwise. SIGINT ends it, a second one at once.\n\n"
	"  -t, --tasks=N             connections at a time (default 256)\n"
	"  -c, --per-host=N          of them, to one host (default 4; 1 where pauses are kept)\n"
	"  -w, --delay=SECONDS       between requests to a host, at least (default 0)\n"
	"      --max-delay=SECONDS   a host that asks for more (Crawl-delay) is left alone (default 30)\n"
	"  -d, --depth=N             links from the URLs, at most\n"
	"  -n, --pages=N             that are remembered, further ones are dropped (default 1000000)\n"
	"  -r, --redirects=N         in a row (default 10)\n"
	"  -D, --domain=NAME         crawl all hosts of this domain, too; may be repeated\n"
	"      --any-host            crawl whatever host is linked to\n"
	"      --max-body=BYTES      of a page (default 4194304)\n"
	"      --timeout=SECONDS     each, for connecting (a third), the head, the body (default 30)\n"
	"      --agent=NAME          who we say we are, and look for in robots.txt\n"
	"      --resolve=HOST:PORT:ADDRESS  use this address; HOST may be *; may be repeated\n"
	"      --workers=N           threads that run tasks (default: one a core)\n"
	"  -m, --memory              sample resident memory, and report its growth a task\n"
	"  -v, --verbose             a line for each page: status, bytes, URL\n"
	"  -h, --help                this text\n";

static struct {
	char **seeds;
	bool memory;
	struct gstk_config runtime;
} options = { .runtime = { .size = sizeof(struct gstk_config) } };

static _Atomic int signals; /* the handler runs on any thread */

static struct {
	uint64_t ns, before, bytes; /* resident memory before the first task, and at @tasks */
	unsigned int tasks;
	unsigned int most; /* tasks at a time */
} sample;

static void on_signal(int sig)
{
	if (signals++)
		_exit(130);
}

static unsigned long number(const char *text, const char *what, unsigned long most)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (end == text || *end || *text == '-' || errno || n > most) {
		fprintf(stderr, CRAWLER_NAME ": %s: \"%s\" is not a number up to %lu\n", what, text, most);
		exit(2);
	}
	return n;
}

static uint64_t seconds(const char *text, const char *what)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0 && s <= 86400)) {
		fprintf(stderr, CRAWLER_NAME ": %s: \"%s\" is not a number of seconds up to a day\n", what, text);
		exit(2);
	}
	return (uint64_t)(s * 1e9);
}

static void add_domain(const char *name)
{
	static size_t nr;
	const char **more = realloc(crawl_limits.domains, (nr + 2) * sizeof(*more));
	char *copy = strdup(name);

	if (!more || !copy) {
		fputs(CRAWLER_NAME ": out of memory\n", stderr);
		exit(1);
	}
	crawl_limits.domains = more;
	more[nr++] = copy;
	more[nr] = NULL;
}

static void set_agent(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!((*c | 32) >= 'a' && (*c | 32) <= 'z') && *c != '-' && *c != '_')
			name = "";
	if (!*name) {
		fputs(CRAWLER_NAME ": --agent: letters, \"-\" and \"_\" only, as robots.txt has it\n", stderr);
		exit(2);
	}
	http_limits.agent = name;
}

static void parse_options(int argc, char **argv)
{
	enum { MAX_DELAY = 256, ANY_HOST, MAX_BODY, TIMEOUT, AGENT, RESOLVE, WORKERS };
	static const struct option longs[] = {
		{ "tasks", required_argument, NULL, 't' },
		{ "per-host", required_argument, NULL, 'c' },
		{ "delay", required_argument, NULL, 'w' },
		{ "max-delay", required_argument, NULL, MAX_DELAY },
		{ "depth", required_argument, NULL, 'd' },
		{ "pages", required_argument, NULL, 'n' },
		{ "redirects", required_argument, NULL, 'r' },
		{ "domain", required_argument, NULL, 'D' },
		{ "any-host", no_argument, NULL, ANY_HOST },
		{ "max-body", required_argument, NULL, MAX_BODY },
		{ "timeout", required_argument, NULL, TIMEOUT },
		{ "agent", required_argument, NULL, AGENT },
		{ "resolve", required_argument, NULL, RESOLVE },
		{ "workers", required_argument, NULL, WORKERS },
		{ "memory", no_argument, NULL, 'm' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "t:c:w:d:n:r:D:mvh", longs, NULL)) != -1) {
		switch (o) {
		case 't':
			crawl_limits.tasks = (unsigned int)number(optarg, "--tasks", 1000000);
			break;
		case 'c':
			host_limits.tasks = (unsigned int)number(optarg, "--per-host", 1000000);
			break;
		case 'w':
			host_limits.delay_ns = seconds(optarg, "--delay");
			break;
		case MAX_DELAY:
			host_limits.max_delay_ns = seconds(optarg, "--max-delay");
			break;
		case 'd':
			crawl_limits.depth = (unsigned int)number(optarg, "--depth", 65535);
			break;
		case 'n':
			crawl_limits.pages = number(optarg, "--pages", 1ul << 31);
			break;
		case 'r':
			crawl_limits.redirects = (unsigned int)number(optarg, "--redirects", 1000);
			break;
		case 'D':
			add_domain(optarg);
			break;
		case ANY_HOST:
			crawl_limits.any_host = true;
			break;
		case MAX_BODY:
			http_limits.body = number(optarg, "--max-body", 1ul << 30);
			break;
		case TIMEOUT:
			http_limits.head_ns = http_limits.body_ns = seconds(optarg, "--timeout");
			http_limits.connect_ns = http_limits.head_ns / 3;
			break;
		case AGENT:
			set_agent(optarg);
			break;
		case RESOLVE:
			if (resolve_fixed(optarg))
				break;
			fprintf(stderr, CRAWLER_NAME ": --resolve: \"%s\" is not HOST:PORT:ADDRESS\n", optarg);
			exit(2);
		case WORKERS:
			options.runtime.workers = (uint32_t)number(optarg, "--workers", 1024);
			break;
		case 'm':
			options.memory = true;
			break;
		case 'v':
			crawl_limits.verbose = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind == argc || !crawl_limits.tasks || !host_limits.tasks) {
		fputs(optind == argc ? usage : CRAWLER_NAME ": --tasks and --per-host: at least 1\n", stderr);
		exit(2);
	}
	options.seeds = argv + optind;
}

/* A connection is a descriptor: no more tasks than those allow. */
static void set_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return;
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	if (rl.rlim_cur < crawl_limits.tasks + 64ul) {
		crawl_limits.tasks = rl.rlim_cur > 128 ? (unsigned int)rl.rlim_cur - 64 : 64;
		fprintf(stderr, CRAWLER_NAME ": %lu open files permit %u tasks (ulimit -n)\n", (unsigned long)rl.rlim_cur,
			crawl_limits.tasks);
	}
}

/* What counts is the last look at nearly as many tasks as there ever were. */
static void look(void)
{
	unsigned int most, now = crawl_tasks(&most);

	if (!options.memory || now < most - most / 10)
		return;
	sample.tasks = now;
	sample.bytes = memory_resident();
}

/* To the end, or until a signal comes and what is under way has ended or was cut off. */
static void supervise(void)
{
	while (!crawl_wait(gstk_now() + TICK_NS) && !signals)
		look();
	if (!signals)
		return;
	fputs(CRAWLER_NAME ": stopping; once more ends at once\n", stderr);
	crawl_stop();
	if (!crawl_wait(gstk_now() + GRACE_NS))
		conn_end_all();
	crawl_wait(GSTK_NEVER);
}

static void *crawl_main(void *arg)
{
	uint64_t begin;

	crawl_init();
	for (char **seed = options.seeds; *seed; seed++) {
		int err = crawl_seed(*seed);

		if (err) {
			fprintf(stderr, CRAWLER_NAME ": %s: %s\n", *seed,
				err == -EPROTONOSUPPORT ? "only http is spoken here" :
				err == -EINVAL ? "no address of the form http://host[:port]/path" : strerror(-err));
			return (void *)2;
		}
	}
	if (options.memory)
		sample.before = memory_resident();
	begin = gstk_now();
	crawl_start();
	supervise();
	sample.ns = gstk_now() - begin;
	crawl_tasks(&sample.most);
	crawl_fini();
	return NULL;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(void)
{
	unsigned long long answers = crawl_counters.pages + crawl_counters.redirects + crawl_counters.missing +
				     crawl_counters.server_errors;
	double s = (double)sample.ns / 1e9, cpu = cpu_seconds();

#define x(name, what) printf("%-18s %10llu  %s\n", #name, (unsigned long long)crawl_counters.name, what);
	CRAWL_COUNTERS(x)
#undef x
	printf("%-18s %10u  at a time\n", "tasks", sample.most);
	printf("%-18s %10.3f\n", "seconds", s);
	printf("%-18s %10.0f  answers of any kind\n", "per_second", s > 0 ? (double)answers / s : 0);
	printf("%-18s %10.1f  CPU time an answer\n", "cpu_us", answers ? cpu * 1e6 / (double)answers : 0);
	if (options.memory && sample.tasks) {
		uint64_t grown = sample.bytes > sample.before ? sample.bytes - sample.before : 0;

		printf("%-18s %10llu  grown since before the first task, with %u tasks\n", "resident",
		       (unsigned long long)grown, sample.tasks);
		printf("%-18s %10llu  bytes\n", "resident_a_task", (unsigned long long)(grown / sample.tasks));
	}
}

int main(int argc, char **argv)
{
	struct sigaction stop = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	void *failed = NULL;
	int err;

	parse_options(argc, argv);
	set_limits();
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	err = gstk_main(crawl_main, NULL, &failed, &options.runtime);
	if (err) {
		fprintf(stderr, CRAWLER_NAME ": %s\n", strerror(-err));
		return 1;
	}
	if (failed)
		return (int)(intptr_t)failed;
	report();
	if (signals)
		return 130;
	if (!crawl_counters.pages) {
		fprintf(stderr, CRAWLER_NAME ": no page could be fetched; the counters above say why\n");
		return 1;
	}
	return 0;
}
