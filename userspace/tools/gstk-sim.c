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
#include "../lib/park/policy.h"

#define PAGE	     4096u
#define ROUND_MS     50u   /* the sweep makes a round at most so often */
#define SWEEP_BATCH  128u  /* windows that go back with one call, as in park/sweep.c */
#define MOVE_BATCH   64u
#define MAX_CLASSES  64u
#define LONG_MS	     60000 /* of a task of which only that is known */
#define STALL_BUCKETS 64u  /* a bucket an octave of nanoseconds */

enum where { RESIDENT, COPIED, PACKED, REMAPPED, NR_WHERE };

struct class {
	double share, idle_ms;
	uint32_t used;
};

static struct {
	double tasks, seconds;
	uint64_t windows, sample, seed;
	uint32_t task_bytes, copy_ns_per_kib, fault_ns, discard_ns, unpack_ns_per_kib, pack_percent, flush_ns;
	uint32_t remap_bytes, remap_ns, remap_page_ns;
	struct gstk__climate climate;
	struct class class[MAX_CLASSES];
	unsigned int nr_classes;
} o = {
	.tasks = 1e6, .seconds = 60, .windows = 65536, .sample = 20000, .seed = 1, .task_bytes = 64,
	.copy_ns_per_kib = 200, .fault_ns = 700, .discard_ns = 200, .unpack_ns_per_kib = 1000, .pack_percent = 40, .flush_ns = 20000,
	.remap_ns = 600, .remap_page_ns = 40,
	.climate = {
		.evict_idle_ms = 1000, .pack_idle_ms = 30000, .resident_budget = 64u << 20, .min_residents = 64,
	},
};

struct task {
	double mean_idle;
	uint64_t parked, wakes;	/* ms */
	uint32_t used, window;
	enum where where;
	bool trimmed, empty;	/* empty: the pages of its window went back as it left */
};

static struct task *task;
static uint32_t *resident;	/* of each window; UINT32_MAX: nobody */
static uint64_t nr_windows;
static double weight;		/* tasks that one of the sample stands for */

static struct {
	double wakes, evictions, claims, trims, packs, unpacks, restores[NR_WHERE], remaps, stall_ns, flushes, cpu_ns;
	double bytes[NR_WHERE], page_bytes, time_ms;
	double stalls[STALL_BUCKETS];
} n;

static double nr_resident, resident_bytes; /* of the sample */

static double uniform(void)
{
	o.seed ^= o.seed << 13; /* G. Marsaglia, "Xorshift RNGs", 2003 */
	o.seed ^= o.seed >> 7;
	o.seed ^= o.seed << 17;
	return (double)(o.seed >> 11) / 9007199254740992.0;
}

/* Waits are exponential: how long one has lasted says nothing of how long it will. */
static uint64_t next_wake(const struct task *t, uint64_t now)
{
	return now + 1 + (uint64_t)(-log(1 - uniform()) * t->mean_idle);
}

static uint32_t pages(uint32_t used)
{
	return (used + PAGE - 1) / PAGE;
}

static uint32_t copy_ns(uint32_t used)
{
	return (uint32_t)((uint64_t)used * o.copy_ns_per_kib / 1024);
}

/* ---- a heap of events: the next wake of each task ---- */

static uint32_t *heap;

static bool earlier(uint32_t a, uint32_t b)
{
	return task[a].wakes < task[b].wakes;
}

static void sift(uint64_t i)
{
	for (;;) {
		uint64_t l = 2 * i + 1, m = i;
		uint32_t x;

		if (l < o.sample && earlier(heap[l], heap[m]))
			m = l;
		if (l + 1 < o.sample && earlier(heap[l + 1], heap[m]))
			m = l + 1;
		if (m == i)
			return;
		x = heap[i];
		heap[i] = heap[m];
		heap[m] = x;
		i = m;
	}
}

/* ---- moves ---- */

static void left(struct task *t, enum where to, bool empty)
{
	resident[t->window] = UINT32_MAX;
	t->where = to;
	t->empty = empty;
	nr_resident--;
	resident_bytes -= pages(t->used) * PAGE;
}

static double evict_by_claim(struct task *t)
{
	n.claims += weight;
	n.evictions += weight;
	left(t, COPIED, false);
	return copy_ns(t->used);
}

static void wake(struct task *t, uint64_t now)
{
	uint32_t self = (uint32_t)(t - task);
	double ns = 0;
	unsigned int b = 0;

	n.wakes += weight;
	n.restores[t->where] += weight;
	if (t->where == RESIDENT) {
		ns = t->trimmed ? o.fault_ns : 0;
	} else {
		if (resident[t->window] != UINT32_MAX) {
			ns += evict_by_claim(&task[resident[t->window]]);
			t->empty = false;
		}
		if (t->where == REMAPPED) {
			ns += o.remap_ns + (double)o.remap_page_ns * pages(t->used);
		} else {
			ns += t->where == PACKED ? (double)t->used * o.unpack_ns_per_kib / 1024 : copy_ns(t->used);
			ns += t->empty ? (double)o.fault_ns * pages(t->used) : 0;
		}
		n.unpacks += t->where == PACKED ? weight : 0;
		t->where = RESIDENT;
		resident[t->window] = self;
		nr_resident++;
		resident_bytes += pages(t->used) * PAGE;
	}
	n.stall_ns += ns * weight;
	while (b < STALL_BUCKETS - 1 && ns >= ldexp(1, (int)b))
		b++;
	n.stalls[b] += weight;
	t->parked = now;
	t->trimmed = false;
	t->wakes = next_wake(t, now);
}

/* A round of the sweep: what the policy says of every stack, in batches. */
static void sweep(uint64_t now)
{
	double gone = 0, moved = 0;

	o.climate.residents = (uint32_t)fmin(nr_resident * weight, UINT32_MAX);
	o.climate.resident_bytes = (uint64_t)(resident_bytes * weight);
	for (uint64_t i = 0; i < o.sample; i++) {
		struct task *t = &task[i];
		struct gstk__stack_facts f = {
			.resident = t->where == RESIDENT, .may_move = true, .trimmed = t->trimmed, .used = t->used,
			.idle_ms = now - t->parked,
		};

		if (t->where == PACKED)
			continue;
		switch (gstk__policy(&o.climate, &f)) {
		case GSTK__KEEP:
			break;
		case GSTK__TRIM:
			t->trimmed = true;
			n.trims += weight;
			gone += weight;
			break;
		case GSTK__EVICT:
			left(t, COPIED, true);
			n.evictions += weight;
			n.cpu_ns += copy_ns(t->used) * weight;
			gone += weight;
			break;
		case GSTK__REMAP:
			left(t, REMAPPED, true);
			n.evictions += weight;
			n.remaps += weight;
			n.cpu_ns += (o.remap_ns + (double)o.remap_page_ns * pages(t->used)) * weight;
			moved += weight;
			break;
		case GSTK__PACK:
			t->where = PACKED;
			n.packs += weight;
			n.cpu_ns += (double)t->used * o.unpack_ns_per_kib / 1024 * 3 * weight;
			break;
		}
	}
	n.flushes += ceil(gone / SWEEP_BATCH) + ceil(moved / MOVE_BATCH);
	n.cpu_ns += gone * o.discard_ns;
}

static void measure(double ms)
{
	double bytes[NR_WHERE] = { 0 };

	for (uint64_t i = 0; i < o.sample; i++) {
		const struct task *t = &task[i];

		bytes[t->where] += t->where == COPIED ? t->used :
				   t->where == PACKED ? t->used * (double)o.pack_percent / 100 : pages(t->used) * PAGE;
	}
	for (int w = 0; w < NR_WHERE; w++)
		n.bytes[w] += bytes[w] * weight * ms;
	n.time_ms += ms;
}

static void run(void)
{
	uint64_t end = (uint64_t)(o.seconds * 1000), swept = 0, now = 0;

	while (now < end) {
		struct task *t = &task[heap[0]];

		now = swept + ROUND_MS;
		if (t->wakes < now) {
			wake(t, t->wakes);
			sift(0);
			now = swept;
			continue;
		}
		sweep(now);
		measure(ROUND_MS);
		swept = now;
	}
}

/* ---- what there is ---- */

static void *zeroed(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p) {
		fprintf(stderr, "gstk-sim: out of memory: a smaller --sample needs less\n");
		exit(1);
	}
	return p;
}

/* Every task was somewhere in a wait when we began to look, in its window if it is the last that ran there. */
static void populate(void)
{
	double sum = 0, seen = 0;
	uint64_t i = 0;

	if (o.sample > o.tasks)
		o.sample = (uint64_t)o.tasks;
	weight = o.tasks / (double)o.sample;
	nr_windows = (uint64_t)fmax(1, (double)o.windows / weight);
	task = zeroed(o.sample, sizeof(*task));
	heap = zeroed(o.sample, sizeof(*heap));
	resident = zeroed(nr_windows, sizeof(*resident));
	memset(resident, 0xff, nr_windows * sizeof(*resident));
	for (unsigned int c = 0; c < o.nr_classes; c++)
		sum += o.class[c].share;
	for (unsigned int c = 0; c < o.nr_classes; c++) {
		seen += o.class[c].share;
		for (; (double)i < seen / sum * (double)o.sample - 0.5; i++) {
			struct task *t = &task[i];

			t->mean_idle = o.class[c].idle_ms;
			t->used = o.class[c].used;
			t->wakes = next_wake(t, 0);
			/* Alone while there are windows, then anywhere. */
			t->window = (uint32_t)(i < nr_windows ? i : (uint64_t)(uniform() * (double)nr_windows));
			t->where = COPIED;
			heap[i] = (uint32_t)i;
		}
	}
	o.sample = i;
	for (uint64_t k = o.sample; k-- > 0;) { /* shuffled: the first that comes to a window has it */
		uint64_t other = (uint64_t)(uniform() * (double)(k + 1));
		uint32_t pick = heap[other];
		struct task *t = &task[pick];

		heap[other] = heap[k];
		heap[k] = pick;
		if (resident[t->window] != UINT32_MAX)
			continue;
		resident[t->window] = pick;
		t->where = RESIDENT;
		nr_resident++;
		resident_bytes += pages(t->used) * PAGE;
	}
	for (uint64_t k = o.sample; k-- > 0;)
		sift(k);
}

/* ---- what comes of it ---- */

static void line(const char *name, double value, const char *unit)
{
	printf("%s %.6g %s\n", name, value, unit);
}

static double stall_percentile(double percent)
{
	double seen = 0, all = n.wakes;

	for (unsigned int b = 0; b < STALL_BUCKETS; b++) {
		seen += n.stalls[b];
		if (seen >= all * percent / 100)
			return b ? ldexp(1, (int)b) : 0;
	}
	return 0;
}

static void print(void)
{
	static const char *const where[] = { "resident", "copied", "packed", "remapped" };
	double all = o.task_bytes * o.tasks, s = n.time_ms / 1000;
	char name[64];

	for (int w = 0; w < NR_WHERE; w++) {
		snprintf(name, sizeof(name), "bytes.%s", where[w]);
		line(name, n.bytes[w] / n.time_ms / o.tasks, "bytes/task");
		all += n.bytes[w] / n.time_ms;
	}
	line("bytes", all / o.tasks, "bytes/task");
	line("bytes.total", all / 1048576, "MiB");
	line("wakes", n.wakes / s, "1/s");
	for (int w = 0; w < NR_WHERE; w++) {
		snprintf(name, sizeof(name), "wakes.%s", where[w]);
		line(name, n.wakes > 0 ? n.restores[w] / n.wakes * 100 : 0, "percent");
	}
	line("evictions", n.evictions / s, "1/s");
	line("evictions.claims", n.claims / s, "1/s");
	line("evictions.remapped", n.remaps / s, "1/s");
	line("trims", n.trims / s, "1/s");
	line("packs", n.packs / s, "1/s");
	line("unpacks", n.unpacks / s, "1/s");
	line("flushes", n.flushes / s, "1/s");
	line("stall", n.wakes > 0 ? n.stall_ns / n.wakes : 0, "ns/wake");
	line("stall.p99", stall_percentile(99), "ns, at most");
	line("sweep.cpu", (n.cpu_ns + n.flushes * o.flush_ns) / n.time_ms / 1e4, "percent of a CPU");
}

/* ---- what is asked ---- */

static void usage(FILE *f)
{
	fputs("usage: gstk-sim [OPTION...] --class SHARE:IDLE_MS:BYTES...\n"
	      "       gstk-info --tasks PID | gstk-sim [OPTION...] --dump -\n"
	      "prints what the policy would do with such tasks, as `name value unit` lines\n"
	      "  --tasks N (1e6)  --windows N (65536)  --seconds S (60)  --sample N (20000)  --seed N\n"
	      "  --evict-idle MS (1000)  --pack-idle MS (30000)  --budget BYTES (64Mi)  --pressure PERCENT (0)\n"
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
	enum { TASKS = 1, WINDOWS, SECONDS, SAMPLE, SEED, EVICT, PACK, BUDGET, PRESSURE, COPY, FAULT, DISCARD, UNPACK, RATIO,
	       FLUSH, REMAP, CLASS, DUMP, HELP };
	static const struct option options[] = {
		{ "tasks", 1, NULL, TASKS }, { "windows", 1, NULL, WINDOWS }, { "seconds", 1, NULL, SECONDS },
		{ "sample", 1, NULL, SAMPLE }, { "seed", 1, NULL, SEED }, { "evict-idle", 1, NULL, EVICT },
		{ "pack-idle", 1, NULL, PACK }, { "budget", 1, NULL, BUDGET }, { "pressure", 1, NULL, PRESSURE },
		{ "copy", 1, NULL, COPY }, { "fault", 1, NULL, FAULT }, { "discard", 1, NULL, DISCARD },
		{ "unpack", 1, NULL, UNPACK }, { "pack-percent", 1, NULL, RATIO }, { "flush", 1, NULL, FLUSH },
		{ "remap", 1, NULL, REMAP }, { "class", 1, NULL, CLASS }, { "dump", 1, NULL, DUMP },
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
		case HELP: usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	if (optind != argc || !o.nr_classes) {
		usage(stderr);
		return 2;
	}
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
