// SPDX-License-Identifier: MIT
/* What benchmarks share: results, notes, random orders, memory readings. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <greenstk.h>

#include "driver.h"

clockid_t bench_clock = CLOCK_MONOTONIC;

void bench_emit(const char *name, double value, const char *unit)
{
	printf("%s %.6f %s\n", name, value, unit);
	fflush(stdout);
}

void bench_emit_sub(const struct bench *b, const char *suffix, double value, const char *unit)
{
	printf("%s.%s %.6f %s\n", b->name, suffix, value, unit);
	fflush(stdout);
}

static void say(const char *tag, const char *fmt, va_list ap)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "gstk-bench: %s", tag);

	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void bench_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void bench_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("skip: ", fmt, ap);
	va_end(ap);
	_exit(4);
}

void bench_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("failed: ", fmt, ap);
	va_end(ap);
	_exit(1);
}

uint64_t bench_n(uint64_t n)
{
	uint64_t scaled = (uint64_t)((double)n * opt.scale);

	return scaled ? scaled : 1;
}

double bench_wait_s(double s)
{
	return s * opt.wait_scale;
}

uint32_t *bench_permutation(size_t nr, uint64_t seed)
{
	uint32_t *p = malloc((nr ? nr : 1) * sizeof(*p));

	bench_check(p);
	for (size_t i = 0; i < nr; i++)
		p[i] = (uint32_t)i;
	for (size_t i = nr; i > 1; i--) {
		size_t j = bench_rand(&seed) % i;
		uint32_t t = p[i - 1];

		p[i - 1] = p[j];
		p[j] = t;
	}
	return p;
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

double bench_percentile(uint64_t *samples, size_t nr, double percent)
{
	size_t at;

	if (!nr)
		return 0;
	qsort(samples, nr, sizeof(*samples), cmp_u64);
	at = (size_t)((double)nr * percent / 100);
	return (double)samples[at < nr ? at : nr - 1];
}

struct bench_mem bench_mem(int pid)
{
	struct bench_mem m = { 0 };
	char path[64], line[128];
	unsigned long long kb;
	FILE *f;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
	else
		snprintf(path, sizeof(path), "/proc/self/status");
	f = fopen(path, "re");
	bench_check(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %llu", &kb) == 1)
			m.rss = kb * 1024;
		else if (sscanf(line, "VmPTE: %llu", &kb) == 1)
			m.page_tables = kb * 1024;
		else if (sscanf(line, "VmHWM: %llu", &kb) == 1)
			m.peak_rss = kb * 1024;
		else if (sscanf(line, "RssAnon: %llu", &kb) == 1)
			m.anon = kb * 1024;
	}
	fclose(f);
	return m;
}

double bench_mem_growth(const struct bench_mem *before, const struct bench_mem *after)
{
	return (double)(after->rss + after->page_tables) - (double)(before->rss + before->page_tables);
}

uint64_t bench_mem_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kb = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb * 1024;
}

void bench_main(void *(*fn)(void *), void *arg, const struct gstk_config *config)
{
	int rc = gstk_main(fn, arg, NULL, config);

	if (rc)
		bench_fail("gstk_main: %s", strerror(-rc));
}
