// SPDX-License-Identifier: MIT
/*
 * GREENSTK_STACKPROF=FILE: what stacks hold where their tasks wait, for gstk-stack(1).
 *
 *	base ->| frame | frame | ... | frame |<- sp	low		     limit
 *	       |<-------- live ------------->|<- deep ->|<--- untouched --->|
 *
 * At each park and yield of a task the frames are walked; what is below the stack pointer is looked at, and made
 * zero. So the lowest byte that is not zero says how deep the task went since it last waited, and a run of zeroes
 * inside a frame is room that the frame has reserved and not used since. Return addresses that are left below the
 * stack pointer tell which calls that were.
 *
 * Without it a park has no instruction for it: it makes tasks leave by the long way (gstk__leave_long).
 */
#ifndef GSTK__DEBUG_STACKPROF_H
#define GSTK__DEBUG_STACKPROF_H

#include <stdbool.h>
#include <stdint.h>
#include "task/task.h"

#define GSTK__PROF_FRAMES 32u /* of a stack; the innermost ones */
#define GSTK__PROF_DEEP	  16u /* of what it went down to */
#define GSTK__PROF_SITES  16384u
#define GSTK__PROF_YIELD  GSTK__NR_WAIT_REASONS
#define GSTK__PROF_END	  (GSTK__NR_WAIT_REASONS + 1)

extern bool gstk__profiling;

/* Tasks of one function that wait at one place, by one chain of calls. */
struct gstk__prof_site {
	struct gstk__prof_site *next;
	uint64_t hash;
	const void *fn, *spawned; /* as in spawned.h */
	uint32_t why;		  /* enum gstk__why, YIELD or END */
	uint32_t nr_frames, nr_deep;
	uint64_t parks, live_sum, zero_sum;
	uint64_t deeps, deep_sum; /* of the parks, how many could tell how deep it had been */
	uint32_t live_max, deep_max;
	struct gstk__prof_frame {
		uintptr_t pc;
		uint64_t bytes, zero; /* sums */
	} frame[GSTK__PROF_FRAMES];
	struct {
		uintptr_t pc;
		uint64_t bytes;
	} deep[GSTK__PROF_DEEP]; /* of the deepest, innermost first */
};

/* @t has just left its stack; the caller has it. */
void gstk__stackprof_left(struct gstk_task *t, bool yields);
/* It has ended. */
void gstk__stackprof_ended(struct gstk_task *t);

/* stackprof_file.c: as GREENSTK_TRACE. The end writes the file. */
void gstk__stackprof_begin(void);
void gstk__stackprof_end(void);
/* All sites; and how many parks found no room for theirs. */
struct gstk__prof_site *gstk__stackprof_sites(uint32_t bucket, uint64_t *lost);
void gstk__stackprof_free(void);
#define GSTK__PROF_BUCKETS 1024u

#endif
