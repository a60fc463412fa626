// SPDX-License-Identifier: MIT
/*
 * A worker: an OS thread that runs tasks. Everything here belongs to its thread unless it says so.
 *
 * Run queue items are 32-bit: a task that is alone in its window (or has none yet), or a window
 * with WINDOW set. Order of taking: next-to-run slot, ready (woken and yielded, oldest first),
 * fresh (never ran, newest first: depth first keeps few stacks alive), then the others' queues.
 */
#ifndef GSTK__SCHED_WORKER_H
#define GSTK__SCHED_WORKER_H

#include "park/park.h"
#include "sched/deque.h"
#include "sched/here.h"
#include "sched/sched.h"
#include "sched/waits.h"
#include "task/task.h"
#include "window/window.h"

#define GSTK__ITEM_WINDOW 0x80000000u
#define GSTK__MAX_WORKERS 256u
#define GSTK__LOOP_BYTES  (1u << 20) /* at most so far below ->loop_base are frames of a stackless task looked for */
#define GSTK__QUANTUM_MS  1u /* how long a resident keeps its window against waiting mates at most, */
#define GSTK__SHALLOW	  4096u /* and half of that when so few bytes are to be moved out */

/* What must be done for the task that was left, on the next stack: sched/after.h. */
enum gstk__after {
	GSTK__AFTER_NOTHING,
	GSTK__AFTER_UNLOCK,	/* park it, then unlock */
	GSTK__AFTER_YIELD,	/* queue it at the end */
	GSTK__AFTER_SHORT = GSTK__AFTER_YIELD, /* up to here there is a short way */
	GSTK__AFTER_COMMIT,	/* park it as owned, commit, disown */
	GSTK__AFTER_EXIT,
};

#define GSTK__BATCH_TRACED (1u << 31) /* there is a trace: no short way for what is woken */
#define GSTK__BATCH_OUTSIDE (1u << 30) /* embedded, and in the application's loop: who brings work makes the descriptor readable */

/* What the C++ runtime keeps for each thread: the exceptions that are handled and those in flight. */
struct gstk__eh {
	void *caught;
	unsigned int uncaught;
};

struct gstk__worker {
	struct gstk_task *current; /* these three are sched/here.h */
	uintptr_t signal_from;	  /* its signal stack, on which nobody may block */
	size_t signal_bytes;
	void *loop_sp;		  /* the loop's frame, while a task runs */
	uintptr_t loop_base;	  /* below it are the frames of a stackless task that runs */
	struct gstk_task *left;	  /* the task that was just left */
	uint32_t after;		  /* enum gstk__after */
	uint32_t after_flags;
	_Atomic uint32_t *after_lock;
	_Atomic uint32_t no_lock; /* of waits without an object */
	gstk__commit_fn after_commit;
	void *after_arg;
	struct gstk__timer *after_timer;
	uint32_t pending;	  /* item that the loop must run next */
	uint32_t exit_wake;	  /* joiner to be woken once its task is gone */
	uint32_t picks;
	uint32_t poll_at;	  /* at so many picks the loop looks at poller, timers and injected work */
	uint32_t handoff_budget;
	uint32_t tick;		  /* milliseconds, refreshed by the loop */
	uint32_t batch;		  /* depth of wake batches, BATCH_TRACED, BATCH_OUTSIDE */
	uint32_t batch_wakes;
	uint32_t lone_pushes;
	uint32_t ready_ops;	  /* operations that did not have to wait */
	uint32_t index;
	int *errno_ptr;
	struct gstk__eh *eh;	  /* its thread's; no_eh without a C++ runtime */
	struct gstk__eh no_eh;
	uint32_t prefetched[8];	  /* tasks whose image was prefetched, by their index modulo 8 */
	int64_t looked;		  /* top of the ready queue when it was last looked into */
	uint32_t polled;	  /* picks at the last poll */
	uint64_t polled_ns;	  /* when that was; 0: it has slept since */
	uint64_t known_ns;	  /* when the loop looked at the clock last */
	uint32_t bind_failures; /* BOUND_NOT */
	uint32_t displaced;	  /* residents that had run a moment before */
	struct gstk__picks {
		uint32_t a, b;	      /* drawn last */
		uint32_t later, soon; /* chosen of those before: windows of the binds to come */
	} to_bind;
	uint32_t pinned, pinned_tail; /* list of pinned tasks to run */
	uint32_t spin_ns;	  /* how long searching has paid lately */
	uint32_t watched;	  /* pinned task that it spins on: watch.c */
	uint32_t other_wheel;	  /* whose overdue timers it looks at next */
	uint32_t watch_worker;	  /* what a thief watches: see find.c */
	uint64_t watch_what, watch_since;
	uint32_t rng;
	struct gstk__task_cache tasks;
	struct gstk__win_cache wins;
	struct gstk__park park;	  /* what park/ needs from a thread, counters included */
	uint64_t next_sweep_ns;
	struct gstk__deque ready, fresh;

	/* Touched by others. */
	_Atomic uint32_t next __attribute__((aligned(64))); /* next-to-run slot */
	_Atomic uint32_t inbox;	      /* pinned tasks, newest first, by ->next */
	_Atomic uint32_t futex;	      /* 1 while it sleeps on it */
	struct gstk__waits waits; /* for windows; read by others */
	uint32_t longest_wait;
	void *signal_stack;
	unsigned long thread;
	int tid;
	struct {		      /* slice.c; its thread's own */
		uint64_t switches;    /* when it began */
		uint32_t since;	      /* a stamp */
	} slice;
} __attribute__((aligned(128)));

struct gstk__sched {
	struct gstk__worker *worker[GSTK__MAX_WORKERS];
	uint32_t nr;
	uint32_t cpus;		      /* that the process may use */
	bool alone;		      /* one worker: no thieves */
	_Atomic uint32_t stop;
	/* Injected items, oldest first: from other threads, overflow. Linked by ->next, ->next_free. */
	_Atomic uint32_t inject_lock;
	uint32_t inject_head, inject_tail;
	_Atomic uint32_t inject_nr;
	/* Idle workers: idle.c. */
	_Atomic uint32_t searching;
	_Atomic uint32_t lone_mask;   /* of 1 + this many lone items one wakes a sleeper */
	_Atomic uint32_t sleeping;
	_Atomic uint32_t wakings;     /* how often one of them ended its sleep */
	_Atomic uint32_t polling;     /* one of them waits in the poller */
	_Atomic uint64_t poll_until;  /* when the one in the poller wakes by itself */
	_Atomic uint64_t roused_ns;   /* when one was last woken only to look */
	_Atomic uint64_t foreign_spawns, foreign_ends;
	_Atomic uint32_t foreigners;  /* threads that have a stand-in */
	_Atomic uint32_t foreign_blocked; /* threads that wait in the runtime, without a deadline */
	_Atomic uint32_t foreign_waits;	  /* all that do, until they are through with it */
	_Atomic bool closing;	      /* no more spawns */
	_Atomic bool plain;	      /* a spawn without options need not look further: runs, not closing, nothing asked for */
	_Atomic uint32_t main_task;   /* worker 0 waits for its end; then MAIN_ENDED, until it has seen that */
	bool callers;		      /* worker 0 is a thread of the application's, not ours */
	_Atomic bool owned_main;      /* inside gstk_main() or gstk_shutdown(): nobody else brings work */
};
#define GSTK__MAIN_ENDED UINT32_MAX
extern struct gstk__sched gstk__sched;

_Static_assert(offsetof(struct gstk__worker, current) == 0, "gstk__current() reads it so");
_Static_assert(offsetof(struct gstk__worker, signal_from) == offsetof(struct gstk__here, signal_from) &&
	       offsetof(struct gstk__worker, signal_bytes) == offsetof(struct gstk__here, signal_bytes), "as does gstk__no_wait_here()");

/* Events, counted; as the poller's poll(). */
static inline int gstk__poll_events(struct gstk__worker *w, uint64_t timeout_ns)
{
	int n = gstk__poller->poll(timeout_ns);

	gstk__count(&w->park.n.polls);
	if (n > 0)
		gstk__count_by(&w->park.n.events, (uint64_t)n);
	return n;
}

/* block.c */
void gstk__start(uintptr_t word);
void gstk__run(struct gstk__worker *w, struct gstk_task *t);
/* Does not return. Not declared so: it is to be jumped to, see arch's start.S. */
void gstk__leave_final(struct gstk__worker *w, struct gstk_task *t, struct gstk_task *n);
uint32_t gstk__pick(struct gstk__worker *w);
extern bool gstk__forced_evict, gstk__forced_pack;
extern bool gstk__leave_long; /* forced eviction or a trace: no short ways when a task is left */
extern struct gstk__fp gstk__fp_default; /* modes of the thread that called gstk_init() */
/* shared.c: give the shared window back; queue it when somebody waits for it. */
void gstk__window_release(struct gstk__worker *w, uint32_t index);
/* The same, but there is no memory to go on with it: it waits for that. */
void gstk__window_starve(struct gstk__worker *w, uint32_t index);
/* A task of a shared window has ended. After the last one the window is free. */
void gstk__window_left(struct gstk__worker *w, uint32_t index);
/* t is alone in its window and somebody wants to share it: it becomes a shared one that this worker owns. */
void gstk__window_share(struct gstk__worker *w, struct gstk_task *t);
void gstk__fifo_push(struct gstk__window *win, struct gstk_task *t);
/*
 * n is of a shared window, and its stack is there: own the window as the loop would, and go on without it. Its
 * stack pointer, or NULL: the loop knows what to do.
 */
void *gstk__mate_stack(struct gstk__worker *w, struct gstk_task *n);
/* find.c: pinned tasks, oldest first; one that is in no line goes before all others. */
uint32_t gstk__next_pinned(struct gstk__worker *w);
void gstk__pinned_first(struct gstk__worker *w, uint32_t i);
uint32_t gstk__find_work(struct gstk__worker *w);
bool gstk__work_visible(struct gstk__worker *w);
/* loop.c */
uint64_t gstk__worker_loop(struct gstk__worker *w, bool (*stop)(void *), void *arg, uint64_t timeout_ns);
void gstk__refresh_clock(struct gstk__worker *w, uint64_t now_ns);
/* Of a window that the caller owns. Asked only while a mate waits. */
bool gstk__quantum_over(struct gstk__worker *w, const struct gstk__window *win);
/* waits.c */
void gstk__waited(struct gstk__worker *w, uint32_t stamps);
bool gstk__own_or_leave(struct gstk_task *t);
/* together.c: t, which the caller owns (or its shared window), and others of its queue whose pages are in
 * slots. No memory: t stays where it is. */
void gstk__restore_together(struct gstk__worker *w, struct gstk_task *t);
/* inject.c. The link of an item that is in no other queue. */
uint32_t *gstk__item_link(uint32_t item);
void gstk__inject(uint32_t item);
uint32_t gstk__uninject(struct gstk__worker *w);
/* idle.c */
void gstk__wake_idle(struct gstk__worker *w);
void gstk__injected(void);
void gstk__wake_worker(uint32_t index);
bool gstk__idle(struct gstk__worker *w, uint64_t timeout_ns);
void gstk__go_outside(struct gstk__worker *w);
void gstk__come_inside(struct gstk__worker *w);
/* watch.c */
bool gstk__may_spin(void);
/* t is pinned here, is about to park, and nothing else can run. */
void gstk__watch_begin(struct gstk__worker *w, struct gstk_task *t);
uint32_t gstk__watch(struct gstk__worker *w, bool patient);
/* By who has won t, which is pinned: true when its worker was watching, and runs it now. */
bool gstk__watch_give(struct gstk_task *t);
/* queue.c */
void gstk__push_ready(struct gstk__worker *w, uint32_t item);
void gstk__push_next(struct gstk__worker *w, uint32_t item);
void gstk__push_fresh(struct gstk__worker *w, uint32_t item);
/* start.c: a prepared stack for a task that is bound to a window and never ran. */
void gstk__start_prepare(struct gstk__worker *w, struct gstk_task *t);
void gstk__task_ended(struct gstk__worker *w, struct gstk_task *t);
/* Set by park's sweep: does a slice when it is time; returns when the next is due. */
extern uint64_t (*gstk__sweep_hook)(struct gstk__worker *w, uint64_t now_ns, bool idle);
/* deadlock.c: the hook gets what wakings was before the first look at anything. */
void gstk__deadlock_check(void);
extern void (*gstk__deadlock_hook)(uint32_t wakings);
bool gstk__all_slept_since(uint32_t wakings);

/* bind.c: a window for a task that never ran. Alone in a free one, @i: the short way. */
static inline void gstk__bind_free(struct gstk__worker *w, struct gstk_task *t, uint32_t i)
{
	struct gstk__window *win = gstk__win(i);

	t->window = i;
	win->resident = gstk__task_index(t);
	atomic_store_explicit(&win->nbound, 1, memory_order_relaxed);
	atomic_store_explicit(&win->word, GSTK__WIN_SOLO, memory_order_release);
	gstk__gauge(&w->park.n.windows_bound, 1);
}

#define GSTK__BIND_PATIENCE 10u /* ms that a window which was asked to share waits for who asked */

/* The owner of a shared window is about to run @t. The last one left gets its window for itself again. */
static inline void gstk__earn_back(struct gstk__worker *w, struct gstk__window *win, struct gstk_task *t)
{
	uint64_t owned = GSTK__WIN_OWNED;

	if (__builtin_expect(atomic_load_explicit(&win->nbound, memory_order_relaxed) != 1, 1) ||
	    w->tick - win->shared_tick < GSTK__BIND_PATIENCE)
		return;
	GSTK__INJECT(earn_back);
	/* An inbox that is not empty holds somebody who has been bound meanwhile. */
	if (!atomic_compare_exchange_strong(&win->word, &owned, GSTK__WIN_SOLO))
		return;
	gstk__state_share(t, false);
	gstk__gauge(&w->park.n.windows_shared, -1);
}

enum gstk__bound {
	GSTK__BOUND_NOT,     /* all windows are in use this moment: try again */
	GSTK__BOUND_NEVER,   /* there is no window of its own, or no memory for one */
	GSTK__BOUND_ALONE,   /* run it */
	GSTK__BOUND_WINDOW,  /* the window it is bound to is owned by the caller: run that */
	GSTK__BOUND_QUEUED,  /* its window will run it */
};
enum gstk__bound gstk__bind(struct gstk__worker *w, struct gstk_task *t);
uint32_t gstk__random(struct gstk__worker *w);
/* ahead.c */
void gstk__look_ahead_far(struct gstk__worker *w, int64_t top);
/* t has been woken, is not in a queue yet, and runs next. */
void gstk__look_ahead_next(struct gstk__worker *w, struct gstk_task *t);

static inline __attribute__((always_inline)) void gstk__look_ahead(struct gstk__worker *w)
{
	int64_t top = atomic_load_explicit(&w->ready.top, memory_order_relaxed);

	if (atomic_load_explicit(&w->ready.bottom, memory_order_relaxed) - top >= 4 && top != w->looked)
		gstk__look_ahead_far(w, top);
}

#endif
