/* SPDX-License-Identifier: MIT */
/* gstk-sim in parts: ../gstk-sim.c (what is asked), model.c (what happens), trace.c (what was recorded), print.c. */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../../lib/park/policy.h"

#define PAGE	      4096u
#define MAX_CLASSES   64u
#define STALL_BUCKETS 64u /* a bucket an octave of nanoseconds */

enum where { RESIDENT, COPIED, PACKED, REMAPPED, NR_WHERE };

struct class {
	double share, idle_ms;
	uint32_t used;
};

struct sim_options {
	double tasks, seconds;
	uint64_t windows, sample, seed;
	uint32_t task_bytes, copy_ns_per_kib, fault_ns, discard_ns, unpack_ns_per_kib, pack_percent, flush_ns;
	uint32_t remap_bytes, remap_ns, remap_page_ns;
	uint32_t workers;	/* that run: each flush interrupts the others */
	bool forgets;		/* no hysteresis */
	struct gstk__climate climate;
	struct class class[MAX_CLASSES];
	unsigned int nr_classes;
	struct trace *trace;	/* instead of classes */
};
extern struct sim_options o;

/* Waits of tasks, as they were recorded. */
struct wait {
	uint32_t ms, used; /* from one wake to the next; bytes of stack meanwhile */
};
struct waits {
	struct wait *wait;
	uint32_t nr, room;
	uint32_t first_ms; /* until the first wake */
};
struct trace {
	struct waits *task;
	uint32_t nr;
	uint64_t ms; /* it begins again then */
};
/* GREENSTK_TRACE's file. Exits with a message where it is none. */
struct trace *trace_read(const char *path);

extern double weight; /* tasks that one of the sample stands for */

/* What happened, of all tasks. */
struct seen {
	double wakes, evictions, claims, trims, packs, unpacks, restores[NR_WHERE], remaps, stall_ns, flushes, cpu_ns;
	double bytes[NR_WHERE], page_bytes, time_ms, bounces;
	double stalls[STALL_BUCKETS], decided[GSTK__NR_REASONS];
};
extern struct seen n;

void populate(void);
void run(void);
void print(void);
void *zeroed(size_t nr, size_t size);

#endif
