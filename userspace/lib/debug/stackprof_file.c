// SPDX-License-Identifier: MIT
/*
 * The file of a stack profile: lines of fields that are separated by tabs, the first of which says what it is.
 *
 *	greenstk-stack-profile 1 PROGRAM
 *	site FUNCTION SPAWNED-AT WHY PARKS LIVE-SUM LIVE-MAX ZERO-SUM DEEPS DEEP-SUM DEEP-MAX
 *	frame NAME BYTES ZERO		sums, over the parks of the site above; innermost first
 *	deep NAME BYTES			of its deepest, innermost first
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "debug/look.h"
#include "debug/stackprof.h"
#include "sched/worker.h"

static struct {
	int fd;
	char path[4096];
	struct gstk__symbols symbols;
} file;

void gstk__stackprof_begin(void)
{
	const char *name = secure_getenv("GREENSTK_STACKPROF"), *p;

	if (!name || !*name)
		return;
	p = strstr(name, "%p");
	if (p)
		snprintf(file.path, sizeof(file.path), "%.*s%d%s", (int)(p - name), name, (int)getpid(), p + 2);
	else
		snprintf(file.path, sizeof(file.path), "%s", name);
	file.fd = open(file.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (file.fd < 0) {
		fprintf(stderr, "greenstk: GREENSTK_STACKPROF=%s: %s; nothing is profiled\n", file.path, strerror(errno));
		return;
	}
	gstk__profiling = true;
}

static void name(struct gstk__out *o, uintptr_t pc)
{
	const struct gstk__symbol *s = pc ? gstk__symbol_find(&file.symbols, pc) : NULL;
	const char *object = s && s->object ? strrchr(s->object, '/') : NULL;

	if (s && s->name)
		gstk__outf(o, "\t%s+%x", s->name, s->offset);
	else if (s && s->object)
		gstk__outf(o, "\t%s+%x", object ? object + 1 : s->object, s->object_offset);
	else
		gstk__outf(o, "\t%p", (uint64_t)pc);
}

static const char *why_name(uint32_t why)
{
	return why == GSTK__PROF_YIELD ? "yield" : why == GSTK__PROF_END ? "end" : gstk__why_name(why);
}

static void write_site(struct gstk__out *o, const struct gstk__prof_site *s)
{
	gstk__outf(o, "site");
	name(o, (uintptr_t)s->fn);
	name(o, (uintptr_t)s->spawned);
	gstk__outf(o, "\t%s\t%u\t%u\t%u\t%u\t%u\t%u\t%u\n", why_name(s->why), s->parks, s->live_sum,
		   (uint64_t)s->live_max, s->zero_sum, s->deeps, s->deep_sum, (uint64_t)s->deep_max);
	for (uint32_t i = 0; i < s->nr_frames; i++) {
		gstk__outf(o, "frame");
		name(o, s->frame[i].pc);
		gstk__outf(o, "\t%u\t%u\n", s->frame[i].bytes, s->frame[i].zero);
	}
	for (uint32_t i = 0; i < s->nr_deep; i++) {
		gstk__outf(o, "deep");
		name(o, s->deep[i].pc);
		gstk__outf(o, "\t%u\n", s->deep[i].bytes);
	}
}

void gstk__stackprof_end(void)
{
	struct gstk__out o = { .fd = file.fd };
	uint64_t lost = 0;
	int err;

	if (!gstk__profiling)
		return;
	gstk__profiling = false;
	gstk__outf(&o, "greenstk-stack-profile\t1\t%s\n", program_invocation_short_name);
	for (uint32_t i = 0; i < GSTK__PROF_BUCKETS; i++)
		for (struct gstk__prof_site *s = gstk__stackprof_sites(i, &lost); s; s = s->next)
			write_site(&o, s);
	err = gstk__out_flush(&o);
	close(file.fd);
	if (err)
		fprintf(stderr, "greenstk: GREENSTK_STACKPROF=%s: %s; the file is not whole\n", file.path, strerror(-err));
	if (lost)
		fprintf(stderr, "greenstk: GREENSTK_STACKPROF=%s: %llu parks were at more than %u places and are not in it\n",
			file.path, (unsigned long long)lost, GSTK__PROF_SITES);
	gstk__symbols_free(&file.symbols);
	gstk__stackprof_free();
}
