// SPDX-License-Identifier: MIT
/* gstk-bench: chooses benchmarks, alternates rounds of us and the peers, prints medians. */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"
#include "echo.h"

struct options opt = {
	.rounds = 5,
	.scale = 1,
	.wait_scale = 1,
	.lock_wait_s = 900,
};

static struct bench *first, **last = &first;

void bench_register(struct bench *b)
{
	*last = b;
	last = &b->next;
}

struct bench *bench_first(void)
{
	return first;
}

static void usage(FILE *f)
{
	fputs("usage: gstk-bench [OPTION]... NAME...\n"
	      "  NAME              a benchmark or a pattern (chan.*); \"all\" is everything, \"default\"\n"
	      "                    everything but what takes minutes or many gigabytes\n"
	      "  --list            names, units and meanings\n"
	      "  --json FILE       also write medians, extremes and every round to FILE\n"
	      "  --rounds N        rounds of each (default 5; long ones have their own number)\n"
	      "  --peers DIR       alternate with the peer programs in DIR\n"
	      "  --scale F         multiply the work by F (smoke tests; figures then mean little)\n"
	      "  --wait-scale F    multiply idle periods by F\n"
	      "  --lock FILE       timing lock (default $TIMING_LOCK, $GREENSTK_TIMING_LOCK or\n"
	      "                    /tmp/greenstk-timing.lock; \"\" takes none)\n"
	      "  --lock-wait S     give up waiting for it after S seconds (default 900), then go on\n"
	      "                    and mark the results\n"
	      "  --cpu-clock       CPU time instead of wall time: for work on the code of one worker\n"
	      "  --one NAME        one round here, in this process (for perf and gdb)\n"
	      "Output: `name value unit` a line, value is the median; spread and progress on stderr.\n",
	      f);
}

static struct bench *find(const char *name)
{
	for (struct bench *b = first; b; b = b->next)
		if (!strcmp(b->name, name))
			return b;
	return NULL;
}

static bool also_matches(const struct bench *b, const char *pattern)
{
	char *copy, *save = NULL;
	bool hit = false;

	if (!b->also)
		return false;
	copy = strdup(b->also);
	for (char *w = strtok_r(copy, " ", &save); w && !hit; w = strtok_r(NULL, " ", &save))
		hit = !fnmatch(pattern, w, 0);
	free(copy);
	return hit;
}

static bool wanted(const struct bench *b, char **patterns, int nr)
{
	for (int i = 0; i < nr; i++) {
		if (!strcmp(patterns[i], "all") || !strcmp(patterns[i], b->name))
			return true;
		if (!strcmp(patterns[i], "default")) {
			if (!(b->flags & BENCH_LONG))
				return true;
		} else if (!fnmatch(patterns[i], b->name, 0) || also_matches(b, patterns[i])) {
			/* A bare "*" is not a wish for an hour. */
			if (!(b->flags & BENCH_LONG) || strcmp(patterns[i], "*"))
				return true;
		}
	}
	return false;
}

static void list(void)
{
	for (struct bench *b = first; b; b = b->next) {
		char *copy = strdup(b->also ? b->also : ""), *save = NULL;

		printf("%-34s %-6s %s%s\n", b->name, b->unit, b->what, b->flags & BENCH_LONG ? " [long]" : "");
		for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
			printf("%-34s %-6s comes with %s\n", w, "", b->name);
		free(copy);
	}
}

static bool run_bench(const struct bench *b, struct contender *c0)
{
	unsigned int rounds = b->rounds && b->rounds < opt.rounds ? b->rounds : opt.rounds;
	bool ok = true;

	for (unsigned int r = 0; r < rounds && ok; r++) {
		lock_take(b->flags & BENCH_UNTIMED);
		for (struct contender *c = c0; c; c = c->next) {
			enum run_status s;

			if (!contender_can(c, b))
				continue;
			bench_note("%s%s%s: round %u of %u", c->name, *c->name ? "." : "", b->name, r + 1,
				   rounds);
			s = run_once(b, c);
			if (s == RUN_OK)
				continue;
			bench_note("%s%s%s: %s", c->name, *c->name ? "." : "", b->name,
				   s == RUN_SKIPPED ? "skipped" : "FAILED");
			/* A peer that cannot is left out; we ourselves end the benchmark. */
			if (!*c->name)
				ok = false;
			if (!*c->name && s == RUN_SKIPPED)
				return true;
		}
	}
	report_print(b);
	return ok;
}

static char *join(int argc, char **argv)
{
	size_t len = 1;
	char *s;

	for (int i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	s = calloc(1, len);
	for (int i = 0; i < argc; i++) {
		strcat(s, i ? " " : "");
		strcat(s, argv[i]);
	}
	return s;
}

enum { OPT_LIST = 256, OPT_JSON, OPT_ROUNDS, OPT_PEERS, OPT_SCALE, OPT_WAIT, OPT_LOCK, OPT_LOCKWAIT,
       OPT_ONE, OPT_SERVER, OPT_SERVE, OPT_CPU };

static const struct option longopts[] = {
	{ "list", no_argument, NULL, OPT_LIST },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "peers", required_argument, NULL, OPT_PEERS },
	{ "scale", required_argument, NULL, OPT_SCALE },
	{ "wait-scale", required_argument, NULL, OPT_WAIT },
	{ "lock", required_argument, NULL, OPT_LOCK },
	{ "lock-wait", required_argument, NULL, OPT_LOCKWAIT },
	{ "one", required_argument, NULL, OPT_ONE },
	{ "server", required_argument, NULL, OPT_SERVER },
	{ "serve", required_argument, NULL, OPT_SERVE },
	{ "cpu-clock", no_argument, NULL, OPT_CPU },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char *server_path;

const char *bench_server(void)
{
	return server_path ? server_path : "/proc/self/exe";
}

int main(int argc, char **argv)
{
	const char *one = NULL;
	bool failed = false, any = false;
	struct contender *c0;
	char *list_of_failed = NULL;
	size_t len;
	FILE *names;
	int o;

	opt.lock = getenv("TIMING_LOCK");
	if (!opt.lock)
		opt.lock = getenv("GREENSTK_TIMING_LOCK");
	if (!opt.lock)
		opt.lock = "/tmp/greenstk-timing.lock";
	opt.command = join(argc, argv);
	while ((o = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		switch (o) {
		case OPT_LIST:
			list();
			return 0;
		case OPT_JSON:
			opt.json = optarg;
			break;
		case OPT_ROUNDS:
			opt.rounds = (unsigned int)atoi(optarg);
			break;
		case OPT_PEERS:
			opt.peers = optarg;
			break;
		case OPT_SCALE:
			opt.scale = atof(optarg);
			break;
		case OPT_WAIT:
			opt.wait_scale = atof(optarg);
			break;
		case OPT_LOCK:
			opt.lock = optarg;
			break;
		case OPT_LOCKWAIT:
			opt.lock_wait_s = (unsigned int)atoi(optarg);
			break;
		case OPT_ONE:
			one = optarg;
			break;
		case OPT_CPU:
			opt.cpu_clock = true;
			break;
		case OPT_SERVER:
			server_path = optarg;
			break;
		case OPT_SERVE:
			return strcmp(optarg, "resp") ? echo_serve(optarg) : resp_serve();
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (opt.cpu_clock && opt.peers) {
		fputs("gstk-bench: --cpu-clock is not for comparisons with --peers\n", stderr);
		return 2;
	}
	if (opt.rounds < 1 || opt.scale <= 0 || opt.wait_scale < 0) {
		fputs("gstk-bench: absurd --rounds or --scale\n", stderr);
		return 2;
	}
	if (one) {
		struct bench *b = find(one);

		if (opt.cpu_clock)
			bench_clock = CLOCK_PROCESS_CPUTIME_ID;
		if (!b) {
			fprintf(stderr, "gstk-bench: no benchmark %s\n", one);
			return 2;
		}
		b->run(b);
		return 0;
	}
	if (optind == argc) {
		usage(stderr);
		return 2;
	}
	c0 = contenders_find(opt.peers);
	names = open_memstream(&list_of_failed, &len);
	for (struct bench *b = first; b; b = b->next) {
		if (!wanted(b, argv + optind, argc - optind))
			continue;
		any = true;
		if (run_bench(b, c0))
			continue;
		failed = true;
		if (names)
			fprintf(names, " %s", b->name);
	}
	lock_drop();
	if (names)
		fclose(names);
	if (failed)
		fprintf(stderr, "gstk-bench: failed:%s\n", list_of_failed);
	free(list_of_failed);
	if (!any) {
		fprintf(stderr, "gstk-bench: nothing is called that; try --list\n");
		return 2;
	}
	if (opt.json && report_json(opt.json))
		failed = true;
	return failed;
}
