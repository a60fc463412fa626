// SPDX-License-Identifier: MIT
/* The pool of threads behind gstk_blocking(): its life, and what others ask. */
#ifndef GSTK__WAIT_BLOCKING_H
#define GSTK__WAIT_BLOCKING_H

#include <stdbool.h>
#include <stdint.h>
#include "task/state.h"

struct gstk__blocking_counts {
	uint64_t calls;	      /* begun on a thread */
	uint64_t threads;     /* now */
	uint64_t queued_most; /* calls that waited for a thread at a time */
};

/* A thread without work ends after this. Tests shorten it. */
extern uint64_t gstk__blocking_idle_ns;

/*
 * The halves of a call, around the park. announce: the job of @t, function and argument in ->msg, will be taken by some
 * thread; 0 or -EAGAIN. commit: the commit of the wait. give_up: the wait ended early, with @code: 1 when the job has begun,
 * and then it is to be waited for, with *@lock held; 0 when it is done, else the error. The result is ->msg[0].
 */
struct gstk_task;
int gstk__blocking_announce(struct gstk_task *t);
bool gstk__blocking_commit(struct gstk_task *t, void *arg);
int gstk__blocking_give_up(struct gstk_task *t, enum gstk__code code, _Atomic uint32_t **lock);

void gstk__blocking_init(uint32_t max_threads);
/* Join the threads. No task is left. */
void gstk__blocking_fini(void);
/* In a child of fork(): no other thread came along. */
void gstk__blocking_forked(void);
/* Does the calling thread run a task's function? */
bool gstk__blocking_inside(void);
void gstk__blocking_counts(struct gstk__blocking_counts *c);
/* A task waits for a call that has not ended: no deadlock while that is so. */
bool gstk__blocking_busy(void);
/* Threads of the process that are the pool's. */
unsigned int gstk__blocking_threads(void);

#endif
