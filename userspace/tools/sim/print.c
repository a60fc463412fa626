// SPDX-License-Identifier: MIT
/* What came of it. */
#include "sim.h"

#include <math.h>
#include <stdio.h>

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

void print(void)
{
	static const char *const reason[] = {
#define GSTK__X(name_, field) #field,
		GSTK__REASONS(GSTK__X)
#undef GSTK__X
	};
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
	line("moves", (n.evictions + n.wakes - n.restores[RESIDENT] + n.packs) / s, "1/s");
	line("evictions", n.evictions / s, "1/s");
	line("evictions.claims", n.claims / s, "1/s");
	line("evictions.remapped", n.remaps / s, "1/s");
	line("trims", n.trims / s, "1/s");
	line("packs", n.packs / s, "1/s");
	line("unpacks", n.unpacks / s, "1/s");
	line("bounces", n.bounces / s, "1/s");
	line("flushes", n.flushes / s, "1/s");
	line("ipis", n.flushes * (o.workers - 1) / s, "1/s");
	line("stall", n.wakes > 0 ? n.stall_ns / n.wakes : 0, "ns/wake");
	line("stall.p99", stall_percentile(99), "ns, at most");
	for (int w = 0; w < GSTK__NR_REASONS; w++)
		if (n.decided[w] > 0) {
			snprintf(name, sizeof(name), "decided.%s", reason[w]);
			line(name, n.decided[w] / s, "1/s");
		}
	line("sweep.cpu", (n.cpu_ns + n.flushes * o.flush_ns) / n.time_ms / 1e4, "percent of a CPU");
}
