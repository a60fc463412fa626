// SPDX-License-Identifier: MIT
/* gstk-stack: reads what GREENSTK_STACKPROF wrote, prints a table and advice, draws an SVG. See gstk-stack(1). */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES 32
#define UNUSED_AT  1024u	 /* bytes of a frame, a park: worth a line */
#define DEEP_AT	   (16u << 10) /* bytes below where it waits: the same */

/* Functions of the library, sorted: made from its symbols when this tool is built. */
static const char *const library[] = {
#include "library-names.h"
};

struct frame {
	char *name;
	uint64_t bytes, unused; /* sums over the parks */
};

struct site {
	char *fn, *spawned, *why;
	const char *at; /* where it waits: the innermost frame that is not the library's */
	uint64_t parks, live_sum, live_max, unused_sum, deeps, deep_sum, deep_max;
	struct frame frame[MAX_FRAMES], deep[MAX_FRAMES];
	unsigned int nr, nr_deep, first; /* first: that frame */
};

static struct site *sites;
static size_t nr_sites;
static char *program;

static int usage(FILE *f)
{
	fputs("usage: gstk-stack [--svg FILE] [--top N] PROFILE\n"
	      "prints what stacks hold where their tasks wait, from a file that GREENSTK_STACKPROF wrote, and what\n"
	      "could be taken from them; --svg draws it, --top: the first N places only (default 20)\n", f);
	return f == stdout ? 0 : 2;
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "gstk-stack: %s: %s\n", what, why);
	return 1;
}

static void *more(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (!p)
		exit(fail("memory", strerror(ENOMEM)));
	return p;
}

/* ---- reading ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

static bool of_library(const char *name)
{
	char bare[256];

	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(name, "+."), name);
	if (!strncmp(name, "libgreenstk", 11) || !strncmp(bare, "gstk_", 5))
		return true;
	return bsearch(bare, library, sizeof(library) / sizeof(*library), sizeof(*library), by_name);
}

static char *field(char **line)
{
	char *f = strsep(line, "\t\n");

	return f ? f : (char *)"";
}

static uint64_t number(char **line)
{
	return strtoull(field(line), NULL, 10);
}

static void read_frame(struct frame *f, char **line, bool unused)
{
	char *name = field(line);

	f->name = more(NULL, strlen(name) + 1);
	strcpy(f->name, name);
	f->bytes = number(line);
	f->unused = unused ? number(line) : 0;
}

static char *copy(const char *s)
{
	return strcpy(more(NULL, strlen(s) + 1), s);
}

static void read_site(char **line)
{
	struct site *s;

	sites = more(sites, (nr_sites + 1) * sizeof(*sites));
	s = memset(&sites[nr_sites++], 0, sizeof(*s));
	s->fn = copy(field(line));
	s->spawned = copy(field(line));
	s->why = copy(field(line));
	s->parks = number(line);
	s->live_sum = number(line);
	s->live_max = number(line);
	s->unused_sum = number(line);
	s->deeps = number(line);
	s->deep_sum = number(line);
	s->deep_max = number(line);
}

static int read_file(const char *name)
{
	FILE *f = fopen(name, "re");
	char *line = NULL, *p;
	size_t room = 0;

	if (!f)
		return fail(name, strerror(errno));
	if (getline(&line, &room, f) < 0 || strncmp(line, "greenstk-stack-profile\t1\t", 25)) {
		fclose(f);
		free(line);
		return fail(name, "this is no stack profile (GREENSTK_STACKPROF writes one when the program ends)");
	}
	program = copy(line + 25);
	program[strcspn(program, "\n")] = 0;
	while (getline(&line, &room, f) > 0) {
		struct site *s = nr_sites ? &sites[nr_sites - 1] : NULL;
		const char *what;

		p = line;
		what = field(&p);
		if (!strcmp(what, "site"))
			read_site(&p);
		else if (s && !strcmp(what, "frame") && s->nr < MAX_FRAMES)
			read_frame(&s->frame[s->nr++], &p, true);
		else if (s && !strcmp(what, "deep") && s->nr_deep < MAX_FRAMES)
			read_frame(&s->deep[s->nr_deep++], &p, false);
	}
	free(line);
	fclose(f);
	for (size_t i = 0; i < nr_sites; i++) {
		struct site *s = &sites[i];

		while (s->first + 1 < s->nr && of_library(s->frame[s->first].name))
			s->first++;
		s->at = s->nr ? s->frame[s->first].name : "-";
	}
	return 0;
}

/* ---- one row a place: chains that differ further out are added up ---- */

static int by_place(const void *pa, const void *pb)
{
	const struct site *a = pa, *b = pb;
	int d = strcmp(a->at, b->at);

	d = d ? d : strcmp(a->fn, b->fn);
	d = d ? d : strcmp(a->spawned, b->spawned);
	d = d ? d : strcmp(a->why, b->why);
	return d ? d : (a->parks < b->parks) - (a->parks > b->parks);
}

static int by_weight(const void *pa, const void *pb)
{
	const struct site *a = pa, *b = pb;
	uint64_t wa = a->live_sum + a->deep_sum, wb = b->live_sum + b->deep_sum;

	return (wa < wb) - (wa > wb);
}

static void merge(void)
{
	size_t to = 0;

	qsort(sites, nr_sites, sizeof(*sites), by_place);
	for (size_t i = 1; i < nr_sites; i++) {
		struct site *s = &sites[to], *n = &sites[i];

		if (strcmp(s->at, n->at) || strcmp(s->fn, n->fn) || strcmp(s->spawned, n->spawned) ||
		    strcmp(s->why, n->why)) {
			sites[++to] = *n;
			continue;
		}
		/* Its frames stay those of the chain that is commonest. */
		s->parks += n->parks;
		s->live_sum += n->live_sum;
		s->unused_sum += n->unused_sum;
		s->live_max = n->live_max > s->live_max ? n->live_max : s->live_max;
		s->deeps += n->deeps;
		s->deep_sum += n->deep_sum;
		if (n->deep_max > s->deep_max) {
			s->deep_max = n->deep_max;
			s->nr_deep = n->nr_deep;
			memcpy(s->deep, n->deep, sizeof(s->deep));
		}
	}
	nr_sites = nr_sites ? to + 1 : 0;
	qsort(sites, nr_sites, sizeof(*sites), by_weight);
}

/* ---- the table ---- */

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

/* Of how many parks the frames' sums are: those of its commonest chain. */
static uint64_t parks_of_frames(const struct site *s)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < s->nr; i++)
		bytes += s->frame[i].bytes;
	return s->live_sum && s->parks ? (bytes * s->parks + s->live_sum / 2) / s->live_sum : 0;
}

static const struct frame *biggest_deep(const struct site *s)
{
	const struct frame *best = NULL;

	for (unsigned int i = 0; i < s->nr_deep; i++)
		if (!best || s->deep[i].bytes > best->bytes)
			best = &s->deep[i];
	return best;
}

static uint64_t below(const struct site *s)
{
	return s->deep_max > s->live_max ? s->deep_max - s->live_max : 0;
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
		if (f)
			printf(", %llu of them in %s", (unsigned long long)f->bytes, f->name);
		printf(", before %s %s in %s\n", strcmp(s->why, "end") ? "it waits at" : "its",
		       strcmp(s->why, "end") ? s->at : "end", s->fn);
	}
}

/* ---- the drawing ---- */

#define BAR	 22
#define ROW	 46
#define LEFT	 20
#define SPAN	 1000.

static void put_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			fputc(*s, f);
	}
}

/* A part of a bar, with what it is when the mouse is over it. Returns where it ends. */
static double box(FILE *f, double x, double y, double width, const char *fill, const char *name, uint64_t bytes,
		  const char *what)
{
	if (width <= 0)
		return x;
	fprintf(f, "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%d\" fill=\"%s\" stroke=\"#fff\" stroke-width=\".5\"><title>",
		x, y, width, BAR, fill);
	put_text(f, name);
	fprintf(f, ": %llu bytes%s</title></rect>\n", (unsigned long long)bytes, what);
	if (width > 90) {
		fprintf(f, "<text x=\"%.1f\" y=\"%.0f\" class=\"in\">", x + 4, y + 15);
		for (size_t i = 0; i < (size_t)(width / 7) && name[i] && name[i] != '+'; i++)
			put_text(f, (char[]){ name[i], 0 });
		fputs("</text>\n", f);
	}
	return x + width;
}

static void draw_site(FILE *f, const struct site *s, double y, double scale)
{
	static const char *const colors[] = { "#4c78a8", "#72b7b2", "#54a24b", "#b279a2", "#9d755d", "#6b8fbf" };
	uint64_t parks = parks_of_frames(s), deep = below(s);
	const struct frame *big = biggest_deep(s);
	double x = LEFT;

	fprintf(f, "<text x=\"%d\" y=\"%.0f\">", LEFT, y - 5);
	put_text(f, s->fn);
	fputs(" &#8212; ", f);
	put_text(f, s->why);
	fputs(" at ", f);
	put_text(f, s->at);
	fprintf(f, ", %llu parks</text>\n", (unsigned long long)s->parks);
	for (unsigned int i = s->nr; i > 0 && parks; i--) { /* outermost first, as they lie */
		const struct frame *r = &s->frame[i - 1];
		uint64_t bytes = r->bytes / parks, unused = r->unused / parks;

		x = box(f, x, y, (double)(bytes - unused) * scale, colors[i % 6], r->name, bytes - unused, "");
		x = box(f, x, y, (double)unused * scale, "url(#unused)", r->name, unused, " not used");
	}
	if (deep)
		box(f, x, y, (double)deep * scale, "#f2b8b5", big ? big->name : "what it called", deep,
		    " at most, gone when it waits");
}

static int draw(const char *path, size_t top)
{
	size_t nr = nr_sites < top ? nr_sites : top;
	FILE *f = fopen(path, "we");
	uint64_t most = 1;

	if (!f)
		return fail(path, strerror(errno));
	for (size_t i = 0; i < nr; i++) {
		uint64_t all = sites[i].live_max + below(&sites[i]);

		most = all > most ? all : most;
	}
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%zu\" font-family=\"sans-serif\" "
		"font-size=\"12\">\n<style>.in{fill:#fff;font-size:11px;pointer-events:none}</style>\n"
		"<defs><pattern id=\"unused\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
		"<rect width=\"6\" height=\"6\" fill=\"#bbb\"/><path d=\"M0 6L6 0\" stroke=\"#777\"/></pattern></defs>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"24\" font-size=\"15\">",
		SPAN + 2 * LEFT, 90 + nr * ROW, LEFT);
	put_text(f, program);
	fprintf(f, ": what stacks hold where their tasks wait</text>\n"
		"<text x=\"%d\" y=\"44\" fill=\"#555\">a colour a frame, outermost left; hatched: reserved and not used; red: "
		"how deep it was before; %.0f pixels are %llu bytes</text>\n", LEFT, SPAN, (unsigned long long)most);
	for (size_t i = 0; i < nr; i++)
		draw_site(f, &sites[i], 80 + (double)i * ROW, SPAN / (double)most);
	fputs("</svg>\n", f);
	return fclose(f) ? fail(path, strerror(errno)) : 0;
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
	if (read_file(argv[optind]))
		return 1;
	merge();
	print_table(top);
	print_advice();
	return svg ? draw(svg, top) : 0;
}
