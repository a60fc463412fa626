// SPDX-License-Identifier: MIT
/* A profile of stacks, as GREENSTK_STACKPROF wrote it: what gstk-stack prints and draws. */
#ifndef GSTK_STACK_PROFILE_H
#define GSTK_STACK_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_FRAMES 32

struct frame {
	char *name;
	uint64_t bytes, unused; /* sums over the parks */
	bool binding;		/* the dynamic linker's, for a call out of what is named */
};

struct site {
	char *fn, *spawned, *why;
	const char *at; /* where it waits: the innermost frame that is not the library's */
	uint64_t parks, live_sum, live_max, unused_sum, deeps, deep_sum, deep_max;
	struct frame frame[MAX_FRAMES], deep[MAX_FRAMES];
	unsigned int nr, nr_deep, first; /* first: that frame */
};

extern struct site *sites; /* a place each, the heaviest first */
extern size_t nr_sites;
extern char *program;

/* 0, or 1 after a message. */
int read_profile(const char *file);
int fail(const char *what, const char *why);

/* Of how many parks the frames' sums are: those of its commonest chain. */
uint64_t parks_of_frames(const struct site *s);
/* The largest of what it called before it waited, NULL: nothing is known. */
const struct frame *biggest_deep(const struct site *s);
/* Bytes below where it waits. */
uint64_t below(const struct site *s);

/* The first @top sites as an SVG: 0, or 1 after a message. */
int draw(const char *path, size_t top);

#endif
