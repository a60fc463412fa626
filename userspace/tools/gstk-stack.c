// SPDX-License-Identifier: MIT
/* gstk-stack: reads what GREENSTK_STACKPROF wrote, prints a table and advice, draws an SVG. See gstk-stack(1). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stack/profile.h"

#define UNUSED_AT  1024u	 /* bytes of a frame, a park: worth a line */
#define DEEP_AT	   (16u << 10) /* bytes below where it waits: the same */

static int usage(FILE *f)
{
	fputs("usage: gstk-stack [--svg FILE] [--top N] PROFILE\n"
	      "prints what stacks hold where their tasks wait, from a file that GREENSTK_STACKPROF wrote, and what\n"
	      "could be taken from them; --svg draws it, --top: the first N places only (default 20)\n", f);
	return f == stdout ? 0 : 2;
}

static void print_table(size_t top)
{
	printf("%9s %9s %9s %6s %9s  %-32s %-24s %s\n", "parks", "live", "most", "unused", "deepest", "waits at",
	       "function", "for");
	for (size_t i = 0; i < nr_sites && i < top; i++) {
		const struct site *s = &sites[i];

		printf("%9llu %9llu %9llu %5.0f%% ", (unsigned long long)s->parks,
		       (unsigned long long)(s->parks ? s->live_sum / s->parks : 0), (unsigned long long)s->live_max,
		       s->live_sum ? 100. * (double)s->unused_sum / (double)s->live_sum : 0.);
		if (s->deeps)
			printf("%9llu", (unsigned long long)s->deep_max);
		else
			printf("%9s", "-");
		printf("  %-32s %-24s %s\n", s->at, s->fn, s->why);
	}
	if (nr_sites > top)
		printf("... and %zu more places (--top)\n", nr_sites - top);
}

/* The frame of @s that has most bytes which nobody used. */
static const struct frame *wasteful(const struct site *s)
{
	const struct frame *best = NULL;

	for (unsigned int i = s->first; i < s->nr; i++)
		if (s->frame[i].unused && (!best || s->frame[i].unused > best->unused))
			best = &s->frame[i];
	return best;
}

static void print_advice(void)
{
	bool any = false;

	for (size_t i = 0; i < nr_sites; i++) {
		const struct site *s = &sites[i];
		const struct frame *f = wasteful(s);
		uint64_t parks = parks_of_frames(s);

		if (!f || !parks || f->unused / parks < UNUSED_AT)
			continue;
		if (!any)
			printf("\nbuffers that are not used while their task waits (the heap, gstk_alloc(), or a function that "
			       "has returned by then):\n");
		any = true;
		printf("%9llu of %llu bytes in the frame of %s, while it waits for %s at %s\n",
		       (unsigned long long)(f->unused / parks), (unsigned long long)(f->bytes / parks), f->name, s->why,
		       s->at);
	}
	any = false;
	for (size_t i = 0; i < nr_sites; i++) {
		const struct site *s = &sites[i];
		const struct frame *f = biggest_deep(s);

		if (below(s) < DEEP_AT)
			continue;
		if (!any)
			printf("\ncalls that need much stack before the task waits again (gstk_call_on_stack()):\n");
		any = true;
		printf("%9llu bytes below", (unsigned long long)below(s));
		if (f && f->binding)
			printf(", %llu of them for the lazy binding of what %s calls (link it with -z now, or LD_BIND_NOW=1)",
			       (unsigned long long)f->bytes, f->name);
		else if (f)
			printf(", %llu of them in %s", (unsigned long long)f->bytes, f->name);
		printf(", before %s %s in %s\n", strcmp(s->why, "end") ? "it waits at" : "its",
		       strcmp(s->why, "end") ? s->at : "end", s->fn);
	}
}

/* 0, with a message: no number. */
static size_t rows_of(const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (v && !*end && *text >= '0' && *text <= '9')
		return v;
	fprintf(stderr, "gstk-stack: --top=%s: give a number of rows, 1 or more\n", text);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "svg", required_argument, NULL, 's' }, { "top", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' }, { 0 },
	};
	const char *svg = NULL;
	size_t top = 20;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			svg = optarg;
		else if (c == 't' && (top = rows_of(optarg)))
			continue;
		else
			return usage(c == 'h' ? stdout : stderr);
	}
	if (optind + 1 != argc)
		return usage(stderr);
	if (read_profile(argv[optind]))
		return 1;
	print_table(top);
	print_advice();
	return svg ? draw(svg, top) : 0;
}
