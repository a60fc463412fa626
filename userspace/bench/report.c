// SPDX-License-Identifier: MIT
/* Medians and spread of the rounds; lines for people and scripts, one JSON object a result. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "driver.h"

struct result {
	const struct bench *bench;
	const struct contender *by;
	char name[128];
	char unit[32];
	double *values;
	unsigned int nr;
	struct result *next;
};

static struct result *results, **end = &results;

void report_add(const struct bench *b, const struct contender *c, const char *name, double value,
		const char *unit)
{
	struct result *r;

	for (r = results; r; r = r->next)
		if (r->by == c && !strcmp(r->name, name))
			break;
	if (!r) {
		r = calloc(1, sizeof(*r));
		r->bench = b;
		r->by = c;
		snprintf(r->name, sizeof(r->name), "%s", name);
		snprintf(r->unit, sizeof(r->unit), "%s", unit);
		*end = r;
		end = &r->next;
	}
	r->values = realloc(r->values, (r->nr + 1) * sizeof(*r->values));
	r->values[r->nr++] = value;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const struct result *r, double *min, double *max)
{
	double *v = malloc(r->nr * sizeof(*v)), m;

	memcpy(v, r->values, r->nr * sizeof(*v));
	qsort(v, r->nr, sizeof(*v), cmp);
	m = r->nr % 2 ? v[r->nr / 2] : (v[r->nr / 2 - 1] + v[r->nr / 2]) / 2;
	*min = v[0];
	*max = v[r->nr - 1];
	free(v);
	return m;
}

/* Largest distance from the median, as part of it. */
static double spread(double med, double min, double max)
{
	double d = max - med > med - min ? max - med : med - min;

	return med ? d / med : 0;
}

/* Four significant digits, but never an exponent: scripts and people read it. */
static const char *number(double v)
{
	static char buf[4][40];
	static unsigned int turn;
	char *s = buf[turn++ % 4];
	double a = v < 0 ? -v : v;

	snprintf(s, 40, "%.*f", a >= 1000 ? 0 : a >= 100 ? 1 : a >= 10 ? 2 : a >= 0.1 ? 3 : 6, v);
	return s;
}

static const char *full_name(const struct result *r)
{
	static char buf[256];

	snprintf(buf, sizeof(buf), "%s%s%s", r->by->name, *r->by->name ? "." : "", r->name);
	return buf;
}

/* Our median over the best peer's; 0 when there is none. All our units are better when smaller. */
static double best_ratio(const struct result *ours, const struct result **best)
{
	double lo = 0, a, b, med = median(ours, &a, &b);

	*best = NULL;
	for (struct result *r = results; r; r = r->next) {
		double m;

		if (!*r->by->name || strcmp(r->name, ours->name) || strcmp(r->unit, ours->unit))
			continue;
		m = median(r, &a, &b);
		if (!*best || m < lo) {
			lo = m;
			*best = r;
		}
	}
	return *best && lo > 0 ? med / lo : 0;
}

void report_print(const struct bench *b)
{
	const struct result *best;

	for (struct result *r = results; r; r = r->next) {
		double min, max, med;

		if (r->bench != b)
			continue;
		med = median(r, &min, &max);
		printf("%s %s %s\n", full_name(r), number(med), r->unit);
		if (r->nr > 1)
			bench_note("%s: min %s max %s, %u rounds, spread %.1f %%", full_name(r), number(min),
				   number(max), r->nr, 100 * spread(med, min, max));
	}
	for (struct result *r = results; r; r = r->next) {
		double ratio;

		if (r->bench != b || *r->by->name)
			continue;
		ratio = best_ratio(r, &best);
		if (ratio > 0) {
			printf("ratio.%s %s x_of_best_peer\n", r->name, number(ratio));
			bench_note("%s: the best peer is %s", r->name, best->by->name);
		}
	}
	fflush(stdout);
}

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		if ((unsigned char)*s >= ' ')
			fputc(*s, f);
	}
	fputc('"', f);
}

static void cpu_model(char *buf, size_t len)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(buf, len, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !colon)
			continue;
		colon[strcspn(colon, "\n")] = 0;
		snprintf(buf, len, "%s", colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

int report_json(const char *path)
{
	FILE *f = fopen(path, "we");
	struct utsname u;
	char cpu[256], date[32];
	time_t now = time(NULL);

	if (!f) {
		bench_note("%s: %s", path, strerror(errno));
		return -1;
	}
	uname(&u);
	cpu_model(cpu, sizeof(cpu));
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	fprintf(f, "{\"machine\": {\"cpu\": ");
	json_string(f, cpu);
	fprintf(f, ", \"cpus\": %ld, \"kernel\": ", sysconf(_SC_NPROCESSORS_ONLN));
	json_string(f, u.release);
	fprintf(f, ", \"date\": \"%s\", \"undisturbed\": %s},\n\"command\": ", date,
		lock_clean() && !opt.cpu_clock ? "true" : "false");
	json_string(f, opt.command);
	fprintf(f, ",\n\"scale\": %g,\n\"results\": [\n", opt.scale);
	for (struct result *r = results; r; r = r->next) {
		const struct result *best = NULL;
		double min, max, med = median(r, &min, &max), ratio = *r->by->name ? 0 : best_ratio(r, &best);

		fprintf(f, "{\"name\": \"%s\", \"by\": \"%s\", \"value\": %s, \"unit\": \"%s\", ", r->name,
			*r->by->name ? r->by->name : "greenstk", number(med), r->unit);
		fprintf(f, "\"min\": %s, \"max\": %s, \"spread\": %.4f, ", number(min), number(max),
			spread(med, min, max));
		if (best)
			fprintf(f, "\"ratio\": %s, \"best_peer\": \"%s\", ", number(ratio), best->by->name);
		fprintf(f, "\"rounds\": [");
		for (unsigned int i = 0; i < r->nr; i++)
			fprintf(f, "%s%s", i ? ", " : "", number(r->values[i]));
		fprintf(f, "]}%s\n", r->next ? "," : "");
	}
	fputs("]}\n", f);
	if (fclose(f)) {
		bench_note("%s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}
