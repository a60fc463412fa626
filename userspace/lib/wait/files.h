// SPDX-License-Identifier: MIT
/*
 * Operations on files that the kernel does meanwhile (io_uring): one ring for the runtime, made when a task first
 * needs it.
 *
 * - What an operation is given lies where the task's stack cannot take it along: of a task in a shared window, on the
 *   heap. The task does not come back before the kernel has done with it, whatever is asked of it meanwhile: a cancel
 *   asks the kernel to stop, and waits for its answer. So an operation in flight needs no pin.
 * - The operation is the task: ->obj says whether it is done, ->msg[0] what came out, both under the ring's lock.
 * - It is submitted at once, by the task itself; what is done by then needs no park. Otherwise it parks with the lock
 *   held, which is let go of when it has left its stack: so who finds the completion, under the lock, finds it
 *   done before the park or wakes it after that.
 * - The ring's descriptor is in the poller; who gets its event, or submits, takes what has completed.
 * - No more than half as many are in flight as there are places for completions, for each may need a second one, of
 *   its cancel. So none is ever lost.
 */
#ifndef GSTK__WAIT_FILES_H
#define GSTK__WAIT_FILES_H

#include <stdbool.h>
#include <stdint.h>

struct io_uring_sqe;

struct gstk__files_counts {
	uint64_t ring_calls; /* submitted */
	uint64_t pool_calls;
	uint64_t ring_full;  /* of these, since too many were in flight */
};

/* From the configuration; threads: the most that one worker's operations may have in the kernel. */
void gstk__files_init(uint32_t how, uint32_t threads);
void gstk__files_fini(void);
void gstk__files_forked(void);

/* Is there a ring? Makes it the first time. */
bool gstk__files_ring(void);
/* Around each operation of a task, by ring or by thread: how many others are under way. */
uint32_t gstk__files_begin(void);
void gstk__files_end(void);
/* The same, for an operation that the kernel gives to a thread of its own: does it pay to let it? */
bool gstk__files_ring_pays(uint32_t others);
/* What files use, "uring" or "pool", and why. */
const char *gstk__files_way(const char **why);
void gstk__files_counts(struct gstk__files_counts *c);
void gstk__files_count_pool(void);

/*
 * Do @sqe, which names no user_data, for the calling task. *@res: what came out, as of the system call, or -errno.
 * False: it was not begun, since too many are in flight, or nobody may wait here.
 */
bool gstk__files_do(const struct io_uring_sqe *sqe, int64_t *res);

/* For the poller: take what has completed; returns how many tasks it woke. */
int gstk__files_poll(void);
/* Tasks wait for the kernel. */
bool gstk__files_busy(void);

#endif
