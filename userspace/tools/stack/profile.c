// SPDX-License-Identifier: MIT
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Functions of the library, sorted: made from its symbols when this tool is built. */
static const char *const library[] = {
#include "library-names.h"
};

struct site *sites;
size_t nr_sites;
char *program;

int fail(const char *what, const char *why)
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
	f->binding = false;
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

/*
 * A function that is called for the first time is looked up by the dynamic linker, which saves all registers, vectors
 * included: a few KiB, more with AMX. That is the call's, not a function's that anybody could change. Where the linker
 * has no symbols its frames have its file's name, but for the functions that it exports.
 */
static bool binds(const char *name)
{
	return !strncmp(name, "_dl_runtime_resolve", 19) || !strncmp(name, "ld-linux", 8) || !strncmp(name, "ld64.so", 7);
}

/* What the linker did is one frame, with the name of what called. */
static void fold_binding(struct site *s)
{
	unsigned int n = s->nr_deep;
	uint64_t bytes = 0;

	while (n && !binds(s->deep[n - 1].name))
		n--;
	if (!n)
		return;
	for (unsigned int i = 0; i < n; i++) {
		bytes += s->deep[i].bytes;
		free(s->deep[i].name);
	}
	s->deep[0].name = n < s->nr_deep ? s->deep[n].name : copy(s->at);
	s->deep[0].bytes = bytes;
	s->deep[0].binding = true;
	memmove(&s->deep[1], &s->deep[n], (s->nr_deep - n) * sizeof(s->deep[0]));
	s->nr_deep -= n - 1;
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
		fold_binding(s);
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

	if (!nr_sites)
		return;
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
	nr_sites = to + 1;
	qsort(sites, nr_sites, sizeof(*sites), by_weight);
}

int read_profile(const char *file)
{
	if (read_file(file))
		return 1;
	merge();
	return 0;
}

uint64_t parks_of_frames(const struct site *s)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < s->nr; i++)
		bytes += s->frame[i].bytes;
	return s->live_sum && s->parks ? (bytes * s->parks + s->live_sum / 2) / s->live_sum : 0;
}

const struct frame *biggest_deep(const struct site *s)
{
	const struct frame *best = NULL;

	for (unsigned int i = 0; i < s->nr_deep; i++)
		if (!best || s->deep[i].bytes > best->bytes)
			best = &s->deep[i];
	return best;
}

uint64_t below(const struct site *s)
{
	return s->deep_max > s->live_max ? s->deep_max - s->live_max : 0;
}
