// SPDX-License-Identifier: MIT
/*
 * gstk-sim: what the policy would do with so many tasks. See gstk-sim(1).
 *
 * The policy's own code decides (park/policy.c); around it a machine of costs. A sample of the tasks is
 * simulated, with as many windows as keep the mates of a window; what the policy reads of the whole
 * (residents, bytes) is scaled up. Time is in milliseconds, as for the policy.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim/sim.h"

#define LONG_MS	     60000 /* of a task of which only that is known */

struct sim_options o = {
	.tasks = 1e6, .seconds = 60, .windows = 65536, .sample = 20000, .seed = 1, .task_bytes = 64,
	.copy_ns_per_kib = 200, .fault_ns = 700, .discard_ns = 200, .unpack_ns_per_kib = 1000, .pack_percent = 40, .flush_ns = 20000,
	.workers = 2, .remap_ns = 600, .remap_page_ns = 40,
	.climate = {
		.evict_idle_ms = 1000, .pack_idle_ms = 30000, .resident_budget = 64u << 20, .min_residents = 64,
	},
};

static void usage(FILE *f)
{
	fputs("usage: gstk-sim [OPTION...] --class SHARE:IDLE_MS:BYTES...\n"
	      "       gstk-info --tasks PID | gstk-sim [OPTION...] --dump -\n"
	      "       gstk-sim [OPTION...] --trace FILE\n"
	      "prints what the policy would do with such tasks, as `name value unit` lines\n"
	      "  --tasks N (1e6)  --windows N (65536)  --seconds S (60)  --sample N (20000)  --seed N\n"
	      "  --evict-idle MS (1000)  --pack-idle MS (30000)  --budget BYTES (64Mi)  --pressure PERCENT (0)\n"
	      "  --memory PERCENT (0)  --workers N (2)  --no-hysteresis\n"
	      "costs: --copy NS_PER_KIB  --fault NS  --discard NS  --unpack NS_PER_KIB  --pack-percent P  --flush NS\n"
	      "       --remap FROM_BYTES:NS:NS_PER_PAGE (off)\n"
	      "see gstk-sim(1)\n", f);
}

static _Noreturn void wrong(const char *what, const char *value)
{
	fprintf(stderr, "gstk-sim: %s: %s\n", what, value);
	usage(stderr);
	exit(2);
}

static double number(const char *name, const char *text, double least)
{
	char *end;
	double v = strtod(text, &end);

	if (*end == 'k' || *end == 'K')
		v *= 1024, end++;
	else if (*end == 'M')
		v *= 1048576, end++;
	if (end == text || *end || !(v >= least) || v > 1e12)
		wrong(name, text);
	return v;
}

static void add_class(double share, double idle_ms, double used, const char *text)
{
	if (o.nr_classes == MAX_CLASSES || !(share > 0) || !(idle_ms >= 1) || !(used >= 64) || used > 1 << 30)
		wrong(o.nr_classes == MAX_CLASSES ? "too many classes" : "a class is SHARE:IDLE_MS:BYTES", text);
	o.class[o.nr_classes++] = (struct class){ share, idle_ms, (uint32_t)used };
}

/* Lines of gstk_dump(): how long each task has waited, and its bytes. One class for each octave of both. */
static void read_dump(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char text[4096];
	double all = 0;

	if (!f)
		wrong(path, strerror(errno));
	while (fgets(text, sizeof(text), f)) {
		const char *age = strstr(text, ", for "), *bytes = strstr(text, " bytes,");
		double ms, used;
		unsigned int c;

		if (strncmp(text, "task ", 5) || !age || !bytes)
			continue;
		while (bytes > text && bytes[-1] >= '0' && bytes[-1] <= '9')
			bytes--;
		ms = strncmp(age, ", for long", 10) ? strtod(age + 6, NULL) : LONG_MS;
		ms = exp2(round(log2(fmax(ms, 1))));
		used = exp2(round(log2(fmax(strtod(bytes, NULL), 64)) * 2) / 2);
		all++;
		for (c = 0; c < o.nr_classes; c++)
			if (o.class[c].idle_ms == ms && o.class[c].used == (uint32_t)used)
				break;
		if (c < o.nr_classes)
			o.class[c].share++;
		else
			add_class(1, ms, used, text);
	}
	if (!o.nr_classes)
		wrong("no waiting task in it (gstk-info --tasks PID prints them)", path);
	if (o.tasks == 1e6)
		o.tasks = all;
}

int main(int argc, char **argv)
{
	enum { TASKS = 1, WINDOWS, SECONDS, SAMPLE, SEED, EVICT, PACK, BUDGET, PRESSURE, MEMORY, COPY, FAULT, DISCARD, UNPACK, RATIO,
	       FLUSH, REMAP, CLASS, DUMP, TRACE, WORKERS, FORGETS, HELP };
	static const struct option options[] = {
		{ "tasks", 1, NULL, TASKS }, { "windows", 1, NULL, WINDOWS }, { "seconds", 1, NULL, SECONDS },
		{ "sample", 1, NULL, SAMPLE }, { "seed", 1, NULL, SEED }, { "evict-idle", 1, NULL, EVICT },
		{ "pack-idle", 1, NULL, PACK }, { "budget", 1, NULL, BUDGET }, { "pressure", 1, NULL, PRESSURE },
		{ "memory", 1, NULL, MEMORY },
		{ "copy", 1, NULL, COPY }, { "fault", 1, NULL, FAULT }, { "discard", 1, NULL, DISCARD },
		{ "unpack", 1, NULL, UNPACK }, { "pack-percent", 1, NULL, RATIO }, { "flush", 1, NULL, FLUSH },
		{ "remap", 1, NULL, REMAP }, { "class", 1, NULL, CLASS }, { "dump", 1, NULL, DUMP },
		{ "trace", 1, NULL, TRACE }, { "workers", 1, NULL, WORKERS }, { "no-hysteresis", 0, NULL, FORGETS },
		{ "help", 0, NULL, HELP }, { 0 },
	};
	double a, b, c;
	char rest;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (opt) {
		case TASKS: o.tasks = number("--tasks", optarg, 1); break;
		case WINDOWS: o.windows = (uint64_t)number("--windows", optarg, 1); break;
		case SECONDS: o.seconds = number("--seconds", optarg, 1); break;
		case SAMPLE: o.sample = (uint64_t)number("--sample", optarg, 1); break;
		case SEED: o.seed = (uint64_t)number("--seed", optarg, 1); break;
		case EVICT: o.climate.evict_idle_ms = (uint64_t)number("--evict-idle", optarg, 1); break;
		case PACK: o.climate.pack_idle_ms = (uint64_t)number("--pack-idle", optarg, 1); break;
		case BUDGET: o.climate.resident_budget = (uint64_t)number("--budget", optarg, 0); break;
		case PRESSURE: o.climate.pressure = (uint32_t)number("--pressure", optarg, 0); break;
		case MEMORY: o.climate.filled = (uint32_t)number("--memory", optarg, 0); break;
		case COPY: o.copy_ns_per_kib = (uint32_t)number("--copy", optarg, 0); break;
		case FAULT: o.fault_ns = (uint32_t)number("--fault", optarg, 0); break;
		case DISCARD: o.discard_ns = (uint32_t)number("--discard", optarg, 0); break;
		case UNPACK: o.unpack_ns_per_kib = (uint32_t)number("--unpack", optarg, 0); break;
		case RATIO: o.pack_percent = (uint32_t)number("--pack-percent", optarg, 1); break;
		case FLUSH: o.flush_ns = (uint32_t)number("--flush", optarg, 0); break;
		case REMAP:
			if (sscanf(optarg, "%lf:%lf:%lf%c", &a, &b, &c, &rest) != 3 || a < 1 || b < 0 || c < 0)
				wrong("--remap is FROM_BYTES:NS:NS_PER_PAGE", optarg);
			o.remap_bytes = (uint32_t)a;
			o.remap_ns = (uint32_t)b;
			o.remap_page_ns = (uint32_t)c;
			break;
		case CLASS:
			if (sscanf(optarg, "%lf:%lf:%lf%c", &a, &b, &c, &rest) != 3)
				wrong("a class is SHARE:IDLE_MS:BYTES", optarg);
			add_class(a, b, c, optarg);
			break;
		case DUMP: read_dump(optarg); break;
		case TRACE: o.trace = trace_read(optarg); break;
		case WORKERS: o.workers = (uint32_t)number("--workers", optarg, 1); break;
		case FORGETS: o.forgets = true; break;
		case HELP: usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	if (optind != argc || !(o.trace ? !o.nr_classes : o.nr_classes)) {
		usage(stderr);
		return 2;
	}
	if (o.trace && o.tasks == 1e6)
		o.tasks = o.trace->nr;
	o.seed = o.seed * 0x9e3779b97f4a7c15u | 1; /* small seeds would begin with small numbers */
	o.climate.cold_idle_ms = o.climate.evict_idle_ms * 10;
	o.climate.evict_ns = o.copy_ns_per_kib * 4 * 2 + o.fault_ns + o.discard_ns;
	o.climate.trim_ns = o.fault_ns + o.discard_ns;
	o.climate.remap_bytes = o.remap_bytes;
	populate();
	run();
	print();
	return 0;
}
