// SPDX-License-Identifier: MIT
/*
 * GREENSTK_TRACE=FILE: what each worker did when, for Perfetto; Documentation/debugging.rst.
 *
 *	worker: append to its ring  --->  the trace's thread: take away, write JSON (trace_file.c)
 *
 * Nobody locks or waits for anybody: a record for which there is no room is dropped and counted. Without a
 * trace the way from task to task has no branch for it. With one, what is looked at anyway sends tasks the long
 * ways, which record: those that leave, gstk__leave_long; those that are woken, BATCH_TRACED.
 */
#ifndef GSTK__DEBUG_TRACE_H
#define GSTK__DEBUG_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gstk_task;
struct gstk__worker;

#define GSTK__TRACE_RECORDS (1u << 15) /* of a ring: 2 MiB */

enum gstk__trace_kind {
	GSTK__TRACE_RUN,     /* value: the flow that led to it, or 0; fn, name */
	GSTK__TRACE_LEFT,    /* how: enum gstk__why, or one of the two below; value: bytes of stack */
	GSTK__TRACE_WAKE,    /* value: the flow to its run, or 0: not by a task */
	GSTK__TRACE_EVICT,   /* how: enum gstk__tier; value: bytes */
	GSTK__TRACE_RESTORE, /* the same */
	GSTK__TRACE_PACK,    /* value: bytes before, and after << 32 */
	GSTK__TRACE_STEAL,   /* task: the item; value: from which worker */
};
#define GSTK__TRACE_YIELDED 254u
#define GSTK__TRACE_ENDED   255u

struct gstk__trace_record {
	uint64_t ns;
	uint32_t task;
	uint8_t kind; /* enum gstk__trace_kind */
	uint8_t how;
	uint64_t value;
	const void *fn;
	char name[32];
};
_Static_assert(sizeof(struct gstk__trace_record) == 64, "one cache line");

struct gstk__trace_ring {
	_Atomic uint32_t head;	  /* written by the worker */
	_Atomic uint64_t dropped; /* the same */
	uint64_t flows;		  /* that began here; the worker's own */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* written by the trace's thread */
	struct gstk__trace_record record[GSTK__TRACE_RECORDS] __attribute__((aligned(64)));
};

/* Changes only while no worker runs. */
extern bool gstk__tracing;

/* GSTK__TRACE(wake(t)): gstk__trace_wake(t) if there is a trace. */
#define GSTK__TRACE(call)                                    \
	do {                                                 \
		if (__builtin_expect(gstk__tracing, 0))      \
			gstk__trace_##call;                  \
	} while (0)

/* trace.c. Of the calling worker; a thread that is none leaves no record. */
#define GSTK__COLD __attribute__((cold))
/* w->left has left its stack, and w->current (if any) runs. Before anybody can wake the former. */
GSTK__COLD void gstk__trace_switch(struct gstk__worker *w);
/* t, which has not been queued yet, runs @fn by way of a function of the library's. */
GSTK__COLD void gstk__trace_known(const struct gstk_task *t, const void *fn);
/* w->current begins or goes on, from the loop. */
GSTK__COLD void gstk__trace_run(struct gstk__worker *w);
/* t, which is stackless, leaves the worker's loop. */
GSTK__COLD void gstk__trace_left(struct gstk__worker *w, struct gstk_task *t, uint8_t how);
/* Won by the caller, and not queued yet. */
GSTK__COLD void gstk__trace_wake(struct gstk_task *t);
GSTK__COLD void gstk__trace_moved(enum gstk__trace_kind kind, const struct gstk_task *t, uint64_t value, uint8_t tier);
GSTK__COLD void gstk__trace_steal(struct gstk__worker *w, uint32_t from, uint32_t item);
/* Rings of @nr workers, and what is remembered of @max_tasks tasks. -ENOMEM. */
int gstk__trace_rings_init(uint32_t nr, size_t max_tasks);
void gstk__trace_rings_fini(void);
struct gstk__trace_ring *gstk__trace_ring(uint32_t worker);

/* trace_file.c. Before the first worker runs: trace to the file that GREENSTK_TRACE names, if any. What is
 * in the way of that is said in a line on stderr. */
void gstk__trace_begin(size_t max_tasks);
/* After the last one ran. */
void gstk__trace_end(void);

#endif
