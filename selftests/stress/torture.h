/* SPDX-License-Identifier: MIT */
/*
 * Between torture.c (the cases), torture_life.c (a runtime), torture_stack.c (a task and its stack),
 * torture_walk.c (moves), torture_fault.c (failures) and torture_module.c (the module, loaded or not).
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <greenstk.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "task/task.h"

struct rng {
	uint64_t s;
};

static inline uint32_t rnd(struct rng *r)
{
	r->s ^= r->s << 13; /* G. Marsaglia, "Xorshift RNGs", 2003 */
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return (uint32_t)(r->s >> 16);
}

/* How often a stack went from one tier to another, by the walk; and what was refused. */
struct walked {
	_Atomic uint64_t edge[GSTK__NR_TIERS][GSTK__NR_TIERS];
	_Atomic uint64_t trims, looks, taken, refused;
};
extern struct walked walked;

/* Move @t's stack to a tier at random, as the sweep would, if nobody has it. In a private task. */
void walk(struct rng *r, gstk_task *t);

/* Failures: one in so many calls; 0: none. What was made to fail is counted. */
struct faults {
	uint32_t alloc, copy, reg, move;
	bool pager; /* its next read fails */
};
extern struct faults faults;
struct failed {
	_Atomic uint64_t allocs, again, shorter, nomem, registers;
	_Atomic uint64_t moves; /* stacks that the module did not take out of their windows, for want of memory */
};
extern struct failed failed, failures; /* in this life; in all */
void faults_begin(uint64_t seed);
void faults_end(void);

/* What the tests see of a run, also of one in a child that is killed: shared memory. */
struct seen {
	_Atomic uint64_t wrong, checks, holds, trips, lives, evictions, lazy_restores;
	_Atomic uint64_t injected, reported; /* failures */
};
extern struct seen *seen;

/* A task and the stack that it has at present: torture_stack.c. */
#define TORTURE_MAX_BYTES (1u << 20)
#define TORTURE_MAX_TASKS 160u
struct body {
	struct rng r;
	int pair[2]; /* a socket of its own, or -1 */
	uint64_t tag;
	bool noise;  /* a pattern that does not pack */
	uint64_t *word; /* on its stack */
	uint8_t turn[TORTURE_MAX_BYTES / 4096 + 1]; /* how often a page was written */
};
extern _Atomic bool over;
extern gstk_sem ring[TORTURE_MAX_TASKS];
extern uint32_t nr_tasks;
void *torture_task(void *body);
/* An error that is none of those that may be. */
void met(int err);

/* A runtime of a shape at random, until then; torture_life.c. */
void one_life(struct rng *r, uint32_t workers, uint32_t backend, uint64_t until_ns, bool failing);

/* Objects that the module still has, after a moment; 0 where that cannot be seen. */
int module_objects_left(void);
/* As rmmod and insmod do: 0 or -errno. The second only where GREENSTK_KO says what to load. */
int module_unload(void);
int module_again(void);
bool module_pager(void);

#endif
