// SPDX-License-Identifier: MIT
/*
 * The two doors of the scheduler, for wait/ and api/: block and wake.
 *
 * How to wait (every blocking call does exactly this):
 *	t = gstk__current();
 *	if (gstk__cancel_pending(t)) return -ECANCELED;
 *	lock the object; if it can go on, do it, unlock, return;
 *	if (gstk__no_wait_here()) return gstk__wait_refused(lock);   -- t may be linked elsewhere: a handler has interrupted it
 *	link t into the object's queue, fill t->msg;
 *	code = gstk__block_unlock(&object->lock, why, deadline_ns);   -- unlocks after leaving the stack
 *	if (code is CANCELED, TIMEDOUT) { lock; unlink t if still linked; unlock; }
 * Where that is all, gstk__block_then() is given the last line as a function.
 * How to wake: under the object's lock unlink t, write t->msg, then gstk__wake(t, code); when that
 * returns false the wait was decided by somebody else: take the next waiter.
 */
#ifndef GSTK__SCHED_SCHED_H
#define GSTK__SCHED_SCHED_H

#include <errno.h>
#include "host/lock.h"
#include "task/state.h"

struct gstk__worker;
extern __thread struct gstk__worker *gstk__tls_worker;

/* This thread's worker, or NULL. Never cached by the compiler: a task changes threads. */
static inline struct gstk__worker *gstk__self(void)
{
#if defined(__x86_64__)
	struct gstk__worker *w;

	__asm__ volatile("movq gstk__tls_worker@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=&r"(w));
	return w;
#else
	struct gstk__worker *gstk__self_slow(void);

	return gstk__self_slow();
#endif
}

/* The calling task; on a thread that is not a worker a stand-in that blocks on a futex. NULL only
 * when the runtime is not there or all records of tasks are taken: gstk__no_task() says which. */
static inline struct gstk_task *gstk__current(void);
/* As above, but NULL outside workers. */
struct gstk_task *gstk__current_task(void);

struct gstk_task *gstk__foreign_self(void);

/* Why gstk__current() was NULL for @call, "gstk_sleep" say: -ESRCH or -ENOMEM, after a line on stderr. */
int gstk__no_task(const char *call) __attribute__((cold, noinline));
/* The first half of that: -ESRCH, there is no runtime. */
int gstk__no_runtime(const char *call) __attribute__((cold, noinline));
/* 0, or what a wait of the caller would be refused with: it has no stack that it could leave. */
int gstk__may_wait(void);
/* What that was, when gstk__no_wait_here() (sched/here.h) said so: unlocks @lock unless it is NULL. */
int gstk__wait_refused(_Atomic uint32_t *lock);

static inline struct gstk_task *gstk__current(void)
{
	struct gstk__worker *w = gstk__self();
	/* A worker begins with its current task: sched/worker.h. */
	struct gstk_task *t = __builtin_expect(w != NULL, 1) ? *(struct gstk_task **)w : NULL;

	return __builtin_expect(t != NULL, 1) ? t : gstk__foreign_self();
}

static inline bool gstk__cancel_pending(struct gstk_task *t)
{
	return atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_CANCEL;
}

/* For calls that may succeed without ever parking: 0, -ECANCELED, or -ETIMEDOUT when the deadline of
 * the calling task has passed. */
int gstk__own_deadline_passed(struct gstk_task *t);
static inline int gstk__may_go_on(void)
{
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t = w ? *(struct gstk_task **)w : NULL;

	if (!t || __builtin_expect(!(t->flags & GSTK__T_DEADLINE) && !gstk__cancel_pending(t), 1))
		return 0;
	return gstk__cancel_pending(t) ? -ECANCELED : gstk__own_deadline_passed(t);
}

/*
 * Park the caller. @lock is unlocked once the caller has left its stack and can be woken. With a
 * deadline of GSTK_NEVER and a task without one this is the short way: no atomic operation here.
 * Returns how the wait ended.
 */
enum gstk__code gstk__block_unlock(_Atomic uint32_t *lock, enum gstk__why why, uint64_t deadline_ns);

/*
 * The same for a caller that has nothing left to keep: @end(task, code, arg, n) runs when the wait has ended, and what it
 * returns is the caller's result. As a tail call this leaves 88 bytes on the waiting stack, whatever led here. An @end that
 * may have to wait again, any number of times, does so in a loop by gstk__block_unlock(): by this each wait would stand on
 * the one before.
 */
typedef int (*gstk__end_fn)(struct gstk_task *t, enum gstk__code code, void *arg, uint32_t n);
/* Who calls it has asked gstk__no_wait_here(), before the task was linked. */
int gstk__block_then(_Atomic uint32_t *lock, enum gstk__why why, uint64_t deadline_ns, gstk__end_fn end, void *arg,
		     uint32_t n);
/* For a wait that nobody's lock guards: a sleep, say. Nobody else takes it. */
_Atomic uint32_t *gstk__no_lock(void);
void gstk__block_init(void);

/*
 * Park the caller; @commit(task, arg) runs after it has left its stack, on another stack of the
 * same thread, must not block, and returns false when what is waited for is there already. The task
 * is OWNED meanwhile, so wakes that come during the commit are kept.
 */
typedef bool (*gstk__commit_fn)(struct gstk_task *t, void *arg);
enum gstk__code gstk__block(gstk__commit_fn commit, void *arg, enum gstk__why why, uint64_t deadline_ns,
			    bool cancelable);
/* The commit that is no more than an unlock. When the wait is refused this one is made all the same. */
bool gstk__commit_unlock(struct gstk_task *t, void *lock);

/* May the caller, a task, wait? Not in a signal handler, nor in a poll function. */
bool gstk__may_park(void);

/* Decide t's wait with @code and make it run. False when it was decided already. Any thread. */
bool gstk__wake(struct gstk_task *t, enum gstk__code code);

/*
 * Make t, whose wait was won before with gstk__wake_claim(), run next on this worker: when the caller
 * parks or yields it switches straight to t, past the queue. When the next-to-run slot is taken, or t
 * cannot run here, as gstk__enqueue(). Never switches.
 */
void gstk__handoff(struct gstk_task *t);

/* The first half of a hand-off, under the object's lock: true when t must be passed to
 * gstk__handoff() after unlocking; false when nothing more is to be done, and then *won says whether
 * the wait was won (an owner will enqueue it) or lost. */
bool gstk__wake_claim(struct gstk_task *t, enum gstk__code code, bool *won);

/* Make a task that the caller won (GSTK__ENQUEUE) run soon: in the queue of this worker, or injected. */
void gstk__enqueue(struct gstk_task *t);
/*
 * The end of gstk__state_own(), by whoever had found t by its index: that may be a thread's stand-in, also where it was a
 * task when its index was read. Its thread may go on, and end, as soon as it is let go of, and t be another task.
 */
void gstk__let_go(struct gstk_task *t);
/* Between these, wakes are collected and at most one idle worker is woken at the end. */
void gstk__wake_batch_begin(void);
void gstk__wake_batch_end(void);

/* Let others run. */
void gstk__yield(void);

/* The same, when the caller has been seen here for a quantum. */
void gstk__slice_check(void);

/* After an operation that did not have to wait: one in 64 lets others run, so that a task whose
 * descriptor is always ready starves nobody. */
void gstk__did_not_wait(void);

/* A time that has come, as this worker knows it without a look at the clock; 0 on other threads. */
uint64_t gstk__known_ns(void);

/*
 * The usual translation; the last thing that a wait does with its task and its object when it was cancelled:
 * a thread that is no worker was perhaps because the runtime ends, which waits for that (sched/foreign.c).
 */
void gstk__wait_is_over(void);
static inline int gstk__code_errno(enum gstk__code code)
{
	switch (code) {
	case GSTK__CODE_CANCELED:
		gstk__wait_is_over();
		return -ECANCELED;
	case GSTK__CODE_TIMEDOUT:
		return -ETIMEDOUT;
	case GSTK__CODE_CLOSED:
		return -EPIPE;
	case GSTK__CODE_DEADLOCK:
		return -EDEADLK;
	case GSTK__CODE_NOMEM:
		return -ENOMEM;
	default:
		return 0;
	}
}

/*
 * What an idle or busy worker polls; wait/netpoll.c registers one. poll() waits at most
 * @timeout_ns (0: not at all; GSTK_NEVER: until wake()) and wakes tasks; returns how many. Only one
 * worker at a time calls it with a timeout; several may with 0. wake() makes a waiting poll() return.
 */
struct gstk__poller {
	int (*init)(void);
	void (*fini)(void);
	int (*poll)(uint64_t timeout_ns);
	void (*wake)(void);
	bool (*busy)(void); /* has descriptors with waiting tasks: no deadlock while it has */
	/* For a loop of the application's own. descriptor() polls readable when poll() has something to
	 * do, after wake(), and once the deadline of leave() has passed; come_back() ends the last two. */
	int (*descriptor)(void);
	void (*leave)(uint64_t deadline_ns);
	void (*come_back)(void);
};
extern const struct gstk__poller *gstk__poller;

/*
 * Timers (sched/timer.c): one wheel a worker. Arm and disarm are O(1); expiry calls fn under the
 * wheel's lock, so disarm returning true or false is exact: false means fn ran.
 */
struct gstk__timer {
	struct gstk__timer *next, **pprev;
	uint64_t deadline_ns;
	void (*fn)(struct gstk__timer *timer);
	uint32_t task;		/* for the user: an index */
	uint32_t wheel;		/* which wheel; set by arm */
};
_Static_assert(sizeof(struct gstk__timer) == 40, "see bench memory.stackless.timed");
void gstk__timer_arm(struct gstk__timer *timer);
bool gstk__timer_disarm(struct gstk__timer *timer);

#endif
