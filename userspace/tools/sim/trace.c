// SPDX-License-Identifier: MIT
/*
 * What was recorded: GREENSTK_TRACE's file (Documentation/debugging.rst). Of each task's runs come the times from
 * one to the next, and the bytes of stack that it held meanwhile. At its end the trace begins again, so what a
 * task waited before its first run and after its last is one wait.
 */
#include "sim.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_BYTES 64u

struct going {
	double run_us; /* when its last run began */
	uint32_t used;
};

static struct trace trace;
static struct going *going;
static uint32_t room;

static void *grown(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (!p) {
		fprintf(stderr, "gstk-sim: out of memory: a shorter trace needs less\n");
		exit(1);
	}
	return p;
}

static void need(uint32_t task)
{
	uint32_t want = room ? room : 1024;

	while (want <= task)
		want *= 2;
	if (want == room)
		return;
	trace.task = grown(trace.task, want * sizeof(*trace.task));
	going = grown(going, want * sizeof(*going));
	memset(trace.task + room, 0, (want - room) * sizeof(*trace.task));
	memset(going + room, 0, (want - room) * sizeof(*going));
	room = want;
}

static void add(struct waits *w, double us, uint32_t used)
{
	if (w->nr == w->room) {
		w->room = w->room ? w->room * 2 : 4;
		w->wait = grown(w->wait, w->room * sizeof(*w->wait));
	}
	w->wait[w->nr++] = (struct wait){ (uint32_t)fmin(us / 1000, UINT32_MAX), used < LEAST_BYTES ? LEAST_BYTES : used };
}

/* A run of @task, and what it held when it left its stack. */
static void a_run(uint32_t task, double us, uint32_t used)
{
	struct waits *w;

	need(task);
	w = &trace.task[task];
	if (going[task].used)
		add(w, us - going[task].run_us, going[task].used);
	else
		w->first_ms = (uint32_t)(us / 1000);
	going[task] = (struct going){ us, used };
}

/* Tasks that parked for good or ended wait until the trace begins again; those that never ran go. */
static void close_waits(double end_us)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < room; i++) {
		struct waits *w = &trace.task[i];

		if (!going[i].used)
			continue;
		add(w, end_us - going[i].run_us + (double)w->first_ms * 1000, going[i].used);
		trace.task[nr++] = *w;
	}
	trace.nr = nr;
	trace.ms = (uint64_t)(end_us / 1000);
}

static double number_after(const char *line, const char *key)
{
	const char *p = strstr(line, key);

	return p ? strtod(p + strlen(key), NULL) : -1;
}

struct trace *trace_read(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char line[4096];
	double end_us = 0;

	if (!f) {
		fprintf(stderr, "gstk-sim: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	while (fgets(line, sizeof(line), f)) {
		double us = number_after(line, "\"ts\":"), dur = number_after(line, "\"dur\":");
		double task = number_after(line, "\"task\":"), stack = number_after(line, "\"stack\":");

		if (!strstr(line, "\"cat\":\"run\"") || us < 0 || task < 0 || task > 1 << 26 || stack < 0)
			continue;
		end_us = fmax(end_us, us + fmax(dur, 0));
		if (stack > 0) /* else it ended with this run */
			a_run((uint32_t)task, us, (uint32_t)stack);
	}
	close_waits(end_us);
	if (!trace.nr) {
		fprintf(stderr, "gstk-sim: %s: no run of a task in it (GREENSTK_TRACE=FILE writes them)\n", path);
		exit(2);
	}
	return &trace;
}
