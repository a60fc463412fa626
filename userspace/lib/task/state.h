// SPDX-License-Identifier: MIT
/*
 * The protocol: who owns a stack, and who decides a wait. Sole writer of ->word.
 *
 *   word = state:3 | NOTIFIED | SHARED | NOCANCEL | code:8 (bits 8-15) | wait number:16
 *
 *             spawn           popped            block: left its stack
 *     FREE ---------> RUNNABLE ------> RUNNING ------------------------> PARKED
 *                        ^  ^ yield ------|                             |  ^  |
 *                        |                     wake (code) <------------'  |  |
 *                        |<------------------------------------------------   | own
 *                        |  disown with NOTIFIED     OWNED <------------------'
 *                        '---------------------------- |  (disown: back to PARKED)
 *
 * 1. PARKED and OWNED are waiting. One compare-and-swap decides the wait: PARKED -> RUNNABLE with
 *    the winner's code (message, cancel, timeout, close), and the winner enqueues; or OWNED ->
 *    OWNED|NOTIFIED with the code, and the owner enqueues when it disowns. All others lose.
 * 2. Whoever needs the bytes or page tables of a waiting stack (park/: evict, pack, trim, binding a
 *    second task to the window) takes PARKED -> OWNED first. A parking worker whose commit is more
 *    than an unlock parks as OWNED, commits, then disowns: so a wake during the commit is kept.
 * 3. RUNNABLE and RUNNING words are written by plain stores: by the consumer of the one queue the
 *    task is in, and by the worker that runs it.
 * 4. SHARED: the task's window has other tasks, and the window's word (window/window.h) owns the
 *    bytes of all of them, whatever their state; wakes enqueue through the window. Without SHARED
 *    the task is alone in its window and its own word owns the bytes. SHARED changes only while
 *    the changer owns the task (OWNED) or runs its after-switch work.
 * 5. A message is written into ->msg under the lock of the wait queue that links the waiter, before
 *    the compare-and-swap: a loser cannot have left the wait, for it must take that lock to unlink.
 *
 * selftests/model/ checks exactly these transitions.
 */
#ifndef GSTK__TASK_STATE_H
#define GSTK__TASK_STATE_H

#include "debug/inject.h"
#include "task/task.h"

enum gstk__state {
	GSTK__FREE = 0,
	GSTK__RUNNABLE = 1, /* in one queue; its consumer owns it */
	GSTK__RUNNING = 2,  /* a worker runs it, or has just left its stack */
	GSTK__PARKED = 3,   /* waiting; nobody owns it */
	GSTK__OWNED = 4,    /* waiting; somebody touches its stack or finishes its park */
	GSTK__DONE = 5,	    /* ended; off its stack */
};

#define GSTK__STATE_MASK 7u
#define GSTK__NOTIFIED	 (1u << 3)
#define GSTK__SHARED	 (1u << 4)
#define GSTK__NOCANCEL	 (1u << 5)
#define GSTK__CODE_SHIFT 8
#define GSTK__CODE_MASK	 (0xffu << GSTK__CODE_SHIFT)
#define GSTK__SEQ_SHIFT	 16
#define GSTK__SEQ_ONE	 (1u << GSTK__SEQ_SHIFT)
#define GSTK__SEQ_MASK	 (0xffffu << GSTK__SEQ_SHIFT)

/* How a wait ended. */
enum gstk__code {
	GSTK__CODE_OK = 0,
	GSTK__CODE_CANCELED = 1,
	GSTK__CODE_TIMEDOUT = 2,
	GSTK__CODE_CLOSED = 3,	/* the object is closed: -EPIPE or -EBADF */
	GSTK__CODE_DEADLOCK = 4, /* refused: nobody would be there to end it */
	GSTK__CODE_NOMEM = 5,	 /* refused: no memory for its deadline */
	GSTK__CODE_FIRST = 16,	/* 16 + i: a case of a select, free for the waiting code */
};

static inline enum gstk__state gstk__state_of(uint32_t word)
{
	return (enum gstk__state)(word & GSTK__STATE_MASK);
}

static inline uint32_t gstk__word(const struct gstk_task *t)
{
	return atomic_load_explicit(&((struct gstk_task *)t)->word, memory_order_acquire);
}

static inline enum gstk__code gstk__code_of(uint32_t word)
{
	return (enum gstk__code)((word & GSTK__CODE_MASK) >> GSTK__CODE_SHIFT);
}

/* FREE -> RUNNABLE: a new task, not yet in a queue. */
static inline void gstk__state_spawn(struct gstk_task *t)
{
	uint32_t seq = atomic_load_explicit(&t->word, memory_order_relaxed) & GSTK__SEQ_MASK;

	atomic_store_explicit(&t->word, GSTK__RUNNABLE | seq, memory_order_relaxed);
}

/* RUNNABLE -> RUNNING by the consumer of its queue. Keeps SHARED, code and wait number. */
static inline __attribute__((always_inline)) void gstk__state_run(struct gstk_task *t)
{
	uint32_t w = atomic_load_explicit(&t->word, memory_order_relaxed);

	atomic_store_explicit(&t->word, (w & ~GSTK__STATE_MASK) | GSTK__RUNNING, memory_order_relaxed);
}

/* RUNNING -> RUNNABLE after it left its stack, before it is queued again. */
static inline void gstk__state_yield(struct gstk_task *t)
{
	uint32_t w = atomic_load_explicit(&t->word, memory_order_relaxed);

	atomic_store_explicit(&t->word, (w & ~GSTK__STATE_MASK) | GSTK__RUNNABLE, memory_order_release);
}

/*
 * RUNNING -> PARKED (or OWNED), a new wait, after it left its stack and before what it waits for is
 * unlocked. The plain store pairs with the membarrier of gstk_cancel(): see sched/cancel.c. Returns
 * the word, which names this wait.
 */
static inline uint32_t gstk__state_park(struct gstk_task *t, enum gstk__state state, uint32_t flags)
{
	uint32_t w = atomic_load_explicit(&t->word, memory_order_relaxed);

	w = ((w & GSTK__SEQ_MASK) + GSTK__SEQ_ONE) | (w & GSTK__SHARED) | flags | state;
	atomic_store_explicit(&t->word, w, memory_order_release);
	return w;
}

/* What the winner of a wait must do. */
enum gstk__order {
	GSTK__LOST,    /* somebody else decided: forget the task */
	GSTK__ENQUEUE, /* the caller must make it run: gstk__enqueue() */
	GSTK__LEFT,    /* won; the owner will enqueue it */
};

/* Decide the wait with @code. @seq_word: 0, or a word whose wait number must still be current. */
static inline enum gstk__order __attribute__((warn_unused_result))
gstk__state_wake(struct gstk_task *t, enum gstk__code code, uint32_t seq_word)
{
	uint32_t old = atomic_load_explicit(&t->word, memory_order_relaxed), new;

	do {
		uint32_t state = old & GSTK__STATE_MASK;

		if (seq_word && ((old ^ seq_word) & GSTK__SEQ_MASK))
			return GSTK__LOST;
		if (code == GSTK__CODE_CANCELED && (old & GSTK__NOCANCEL))
			return GSTK__LOST;
		new = (old & ~(GSTK__CODE_MASK | GSTK__NOCANCEL)) | (uint32_t)code << GSTK__CODE_SHIFT;
		if (state == GSTK__PARKED)
			new = (new & ~GSTK__STATE_MASK) | GSTK__RUNNABLE;
		else if (state == GSTK__OWNED && !(old & GSTK__NOTIFIED))
			new |= GSTK__NOTIFIED;
		else
			return GSTK__LOST;
	} while (!atomic_compare_exchange_weak_explicit(&t->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	return gstk__state_of(new) == GSTK__RUNNABLE ? GSTK__ENQUEUE : GSTK__LEFT;
}

/*
 * The same for the usual case that nobody owns it, with any code but CANCELED. GSTK__LEFT: somebody
 * does, and nothing was done; prepare for a winner's task that may run at once, then call
 * gstk__state_wake().
 */
static inline enum gstk__order __attribute__((warn_unused_result))
gstk__state_wake_parked(struct gstk_task *t, enum gstk__code code)
{
	uint32_t old = atomic_load_explicit(&t->word, memory_order_relaxed), new;

	do {
		if (__builtin_expect((old & GSTK__STATE_MASK) != GSTK__PARKED, 0))
			return (old & (GSTK__STATE_MASK | GSTK__NOTIFIED)) == GSTK__OWNED ? GSTK__LEFT : GSTK__LOST;
		new = (old & ~(GSTK__STATE_MASK | GSTK__CODE_MASK | GSTK__NOCANCEL)) | GSTK__RUNNABLE |
		      (uint32_t)code << GSTK__CODE_SHIFT;
	} while (!atomic_compare_exchange_weak_explicit(&t->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	return GSTK__ENQUEUE;
}

/* PARKED -> OWNED: true when the caller now owns the bytes of a task alone in its window. */
static inline bool gstk__state_own(struct gstk_task *t)
{
	uint32_t old = atomic_load_explicit(&t->word, memory_order_relaxed);

	if (gstk__state_of(old) != GSTK__PARKED || (old & GSTK__SHARED))
		return false;
	return atomic_compare_exchange_strong_explicit(&t->word, &old,
						       (old & ~GSTK__STATE_MASK) | GSTK__OWNED,
						       memory_order_acq_rel, memory_order_relaxed);
}

/* The owner sets or clears SHARED. */
static inline void gstk__state_share(struct gstk_task *t, bool shared)
{
	if (shared)
		atomic_fetch_or_explicit(&t->word, GSTK__SHARED, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&t->word, ~GSTK__SHARED, memory_order_relaxed);
}

/* OWNED -> PARKED, or RUNNABLE when it was notified: then the caller must enqueue it. */
static inline enum gstk__order __attribute__((warn_unused_result))
gstk__state_disown(struct gstk_task *t)
{
	uint32_t old = atomic_load_explicit(&t->word, memory_order_relaxed), new;

	GSTK__INJECT(disown);
	do {
		new = old & ~(GSTK__STATE_MASK | GSTK__NOTIFIED);
		new |= old & GSTK__NOTIFIED ? GSTK__RUNNABLE : GSTK__PARKED;
	} while (!atomic_compare_exchange_weak_explicit(&t->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	return old & GSTK__NOTIFIED ? GSTK__ENQUEUE : GSTK__LOST;
}

/* RUNNING -> DONE, and DONE -> FREE once nobody can hold the handle. */
static inline void gstk__state_end(struct gstk_task *t, enum gstk__state state)
{
	uint32_t w = atomic_load_explicit(&t->word, memory_order_relaxed);

	atomic_store_explicit(&t->word, (w & GSTK__SEQ_MASK) | state, memory_order_release);
}

#endif
