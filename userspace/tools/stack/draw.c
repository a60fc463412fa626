// SPDX-License-Identifier: MIT
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

int draw(const char *path, size_t top)
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
