// SPDX-License-Identifier: MIT
/* Between main.c, run.c, lock.c and report.c: the driver's own side. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include "bench.h"

struct options {
	unsigned int rounds;
	double scale, wait_scale;
	const char *json;
	const char *peers; /* folder of peer programs, or NULL */
	const char *lock;
	unsigned int lock_wait_s;
	const char *command; /* as typed, for the report */
	bool cpu_clock;
};
extern struct options opt;

struct bench *bench_first(void);

/* lock.c: the timing lock. Taking it again keeps it, or lets others have their turn first. */
void lock_take(bool shared);
void lock_drop(void);
/** False once a wait for the lock ran out: timings may be disturbed, and the report says so. */
bool lock_clean(void);

/* run.c */
enum run_status { RUN_OK, RUN_SKIPPED, RUN_FAILED };

/** Who does the work: ourselves (name "") or a peer program. */
struct contender {
	const char *name;
	const char *path;
	char *list; /* what it can do, "\n" around each name */
	struct contender *next;
};
struct contender *contenders_find(const char *peer_dir);
bool contender_can(const struct contender *c, const struct bench *b);

/** One round of @b by @c in a process of its own; results go to report_add(). */
enum run_status run_once(const struct bench *b, const struct contender *c);

/* report.c */
void report_add(const struct bench *b, const struct contender *c, const char *name, double value,
		const char *unit);
/** Print what came in for @b: "name value unit" on stdout, the spread on stderr, then ratios. */
void report_print(const struct bench *b);
int report_json(const char *path);

#endif
