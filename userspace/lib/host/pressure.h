/* SPDX-License-Identifier: MIT */
/* How short of memory we are: the control group that this process is in, which has limits of its own in a container. */
#ifndef GSTK__HOST_PRESSURE_H
#define GSTK__HOST_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The file that says for how much of the time tasks wait for memory: of the group, where it has one, else of the
 * system. See Documentation/accounting/psi.rst of the kernel. @file has room for it.
 */
#define GSTK__PRESSURE_PATH 532
const char *gstk__pressure_file(char file[GSTK__PRESSURE_PATH]);

/* The limit, of the group or of one that it is in, which is nearest. */
struct gstk__memory_limit {
	uint64_t bytes;	 /* memory.max or memory.high, the smaller one; UINT64_MAX: there is none */
	uint32_t filled; /* percent of it; from NEAR on without what the kernel drops when it needs room: files' pages */
	char group[512]; /* whose */
};
#define GSTK__MEMORY_NEAR 80u
void gstk__memory_limit(struct gstk__memory_limit *out);
/* The same of a group, "/a/b", where it is nearer than what @out has. */
void gstk__memory_limit_of(const char *mount, const char *group, struct gstk__memory_limit *out);

/*
 * The same for who asks again and again: the files stay open, for a descriptor that comes and goes would be seen where
 * there are none left. By one thread at a time.
 */
#define GSTK__MEMORY_LEVELS 6u
struct gstk__memory_watch {
	uint32_t nr;
	struct gstk__memory_level { int fd[4]; } level[GSTK__MEMORY_LEVELS];
};
void gstk__memory_watch(struct gstk__memory_watch *w);
void gstk__memory_unwatch(struct gstk__memory_watch *w);
uint32_t gstk__memory_filled(const struct gstk__memory_watch *w);

/* Where the one hierarchy that has these files (cgroup2) may be; tests have a tree of their own. */
extern const char *gstk__cgroup_mount[2];

#endif
