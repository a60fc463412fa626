// SPDX-License-Identifier: MIT
/*
 * The way off the CPU and back: block, yield, hand-off. Who comes next is in pick.h, what is done for the
 * task that was left in after.h.
 *
 *	task A: gstk__block_unlock() -> leave() --switch--> task B: gstk__after() parks A, unlocks; B goes on
 *
 * A task is wakeable only after it has left its stack: A's word is written, and what it waits for
 * is unlocked, by gstk__after() on the stack of whoever runs next on this thread.
 *
 * Resident to resident: no system call, no lock, no copy, no atomic read-modify-write but that of
 * taking an item from a queue that has thieves. See bench yield.2 and chan.unbuffered.1worker.
 */
#include <greenstk/base.h>

#include <errno.h>
#include <unistd.h>
#include "arch/arch.h"
#include "arch/far.h"
#include "debug/annotate.h"
#include "debug/probe.h"
#include "debug/trace.h"
#include "host/host.h"
#include "sched/after.h"
#include "sched/block.h"
#include "sched/foreign.h"
#include "sched/pick.h"
#include "sched/timer_pool.h"
#include "sched/worker.h"

#define MOST_TOLD 50u /* as host/refuse.c */

bool gstk__forced_evict, gstk__forced_pack, gstk__leave_long;
struct gstk__fp gstk__fp_default;

/* The switch of tasks that keep FP modes, stand on another stack than their window's, or handle an
 * exception: that is theirs, wherever they go on. */
static GSTK__ON_THE_WAY struct gstk__worker *switch_other(struct gstk__worker *w, struct gstk_task *t, void *target)
{
	void **sp = t->flags & GSTK__T_ANNEX ? &gstk__ext(t)->annex_sp : &t->sp;
	bool fpmode = t->flags & GSTK__T_FPMODE;
	struct gstk__eh eh = *w->eh;
	struct gstk__fp fp;

	*w->eh = (struct gstk__eh){ NULL, 0 };
	if (fpmode) {
		gstk__fp_save(&fp);
		gstk__fp_restore(&gstk__fp_default); /* the next one did not ask for our modes */
	}
	w = (struct gstk__worker *)gstk__switch(sp, target, (uintptr_t)w);
	if (fpmode)
		gstk__fp_restore(&fp);
	*w->eh = eh;
	return w;
}

/* Switch off t. The caller has set w->after. Returns on whatever worker runs t next. */
static inline __attribute__((always_inline)) void leave(struct gstk__worker *w, struct gstk_task *t, void *target)
{
	int saved = *w->errno_ptr;
	void *token = NULL;

	w->left = t;
	gstk__annotate_before_switch(&token, w->current);
	if (__builtin_expect((t->flags & (GSTK__T_FPMODE | GSTK__T_ANNEX)) || w->eh->caught || w->eh->uncaught, 0))
		w = switch_other(w, t, target);
	else
		w = (struct gstk__worker *)gstk__switch(&t->sp, target, (uintptr_t)w);
	gstk__annotate_after_switch(token);
	gstk__after(w);
	*w->errno_ptr = saved;
}

void gstk__start(uintptr_t word)
{
	gstk__annotate_after_switch(NULL);
	gstk__after((struct gstk__worker *)word);
}

/* What leave() goes to; a pinned task that leaves its worker without work is watched. */
static inline void *next_of_pinned(struct gstk__worker *w, struct gstk_task *t)
{
	void *target = gstk__next_stack(w);

	if (target == w->loop_sp && !w->pending)
		gstk__watch_begin(w, t);
	return target;
}

static __attribute__((noinline)) GSTK__FAR_RETURN enum gstk__code
block_pinned(struct gstk__worker *w, struct gstk_task *t, _Atomic uint32_t *lock, enum gstk__why why)
{
	GSTK__PROBE2(block, t, why);
	t->why = why;
	w->after = GSTK__AFTER_UNLOCK;
	w->after_lock = lock;
	leave(w, t, next_of_pinned(w, t));
	return gstk__code_of(atomic_load_explicit(&t->word, memory_order_relaxed));
}

bool gstk__may_park(void)
{
	struct gstk__worker *w = gstk__self();

	return w && !gstk__must_not_wait(w);
}

/* At most so often: a handler may come again and again, and fills no log. */
static void say(const struct gstk__worker *w, const char *text, size_t bytes, _Atomic uint32_t *told, uint32_t most)
{
	int saved = *w->errno_ptr;

	if (atomic_load_explicit(told, memory_order_relaxed) < most) {
		atomic_fetch_add_explicit(told, 1, memory_order_relaxed);
		if (write(2, text, bytes) < 0 || saved != *w->errno_ptr)
			*w->errno_ptr = saved;
	}
}

static __attribute__((cold, noinline)) enum gstk__code refuse(const struct gstk__worker *w)
{
	static const char handler[] = "greenstk: a signal handler may not wait (-ECANCELED); it may call gstk_event_raise()\n";
	static const char poll[] = "greenstk: a poll function may not wait (-ECANCELED); it may return what a gstk_await_...() returned\n";
	static const char outside[] = "greenstk: the thread that runs the tasks may not wait outside of them (-EDEADLK); "
				      "spawn a task for that, and run it with gstk_run_once()\n";
	static _Atomic uint32_t inside, of_loop;

	if (gstk__in_handler(w)) {
		bool stackless = w->current && w->current->tier == GSTK__TIER_STACKLESS;

		say(w, stackless ? poll : handler, stackless ? sizeof(poll) - 1 : sizeof(handler) - 1, &inside, MOST_TOLD);
		return GSTK__CODE_CANCELED;
	}
	say(w, outside, sizeof(outside) - 1, &of_loop, 1);
	return GSTK__CODE_DEADLOCK;
}

/* What it has interrupted may have the lock: then this goes on for ever. (All of a poll function looks like a handler.) */
static void lock_is_late(void)
{
	static const char text[] = "greenstk: a signal handler waits for a lock of this library, which what it has interrupted seems "
				   "to hold, and will for ever; a handler may call gstk_event_raise() and nothing else\n";
	static _Atomic uint32_t told;
	struct gstk__worker *w = gstk__self();

	if (w && gstk__in_handler(w) && !(w->current && w->current->tier == GSTK__TIER_STACKLESS))
		say(w, text, sizeof(text) - 1, &told, 1);
}

__attribute__((cold, noinline)) int gstk__wait_refused(_Atomic uint32_t *lock)
{
	if (lock)
		gstk__unlock(lock);
	return gstk__code_errno(refuse(gstk__self()));
}

int gstk__may_wait(void)
{
	return gstk__no_wait_here() ? gstk__wait_refused(NULL) : 0;
}

GSTK__FAR_RETURN enum gstk__code gstk__block_unlock(_Atomic uint32_t *lock, enum gstk__why why, uint64_t deadline_ns)
{
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t;

	if (__builtin_expect(!w || deadline_ns != GSTK_NEVER, 0))
		return gstk__block(gstk__commit_unlock, lock, why, deadline_ns, true);
	if (gstk__must_not_wait(w)) {
		gstk__unlock(lock);
		return refuse(w);
	}
	t = w->current;
	if (__builtin_expect(t->flags & (GSTK__T_DEADLINE | GSTK__T_PINNED), 0))
		return t->flags & GSTK__T_DEADLINE ? gstk__block(gstk__commit_unlock, lock, why, deadline_ns, true)
						   : block_pinned(w, t, lock, why);
	GSTK__PROBE2(block, t, why);
	t->why = why;
	w->after = GSTK__AFTER_UNLOCK;
	w->after_lock = lock;
	leave(w, t, gstk__next_stack(w));
	return gstk__code_of(atomic_load_explicit(&t->word, memory_order_relaxed));
}

void gstk__block_init(void)
{
	gstk__lock_late = lock_is_late;
	gstk__then_init();
}

void gstk__timed_out(struct gstk__timer *timer)
{
	gstk__wake(gstk__task(timer->task), GSTK__CODE_TIMEDOUT);
}

GSTK__FAR_RETURN enum gstk__code gstk__block(gstk__commit_fn commit, void *arg, enum gstk__why why,
					     uint64_t deadline_ns, bool cancelable)
{
	struct gstk__worker *w = gstk__self();
	struct gstk__timer *timer = NULL;
	struct gstk_task *t;

	if (!w)
		return gstk__block_foreign(commit, arg, why, deadline_ns, cancelable);
	if (gstk__must_not_wait(w)) {
		if (commit == gstk__commit_unlock)
			gstk__unlock(arg);
		return refuse(w);
	}
	t = w->current;
	if (cancelable)
		deadline_ns = gstk__nearer(t, deadline_ns);
	if (deadline_ns != GSTK_NEVER) {
		timer = gstk__timer_get();
		if (__builtin_expect(!timer, 0)) { /* to wait for memory here could keep others from giving it back */
			if (commit == gstk__commit_unlock)
				gstk__unlock(arg);
			return GSTK__CODE_NOMEM;
		}
		gstk__set_timer(timer, t, deadline_ns);
	}
	GSTK__PROBE2(block, t, why);
	t->why = why;
	gstk__after_commit(w, commit, arg, timer, cancelable ? 0 : GSTK__NOCANCEL);
	leave(w, t, t->flags & GSTK__T_PINNED ? next_of_pinned(w, t) : gstk__next_stack(w));
	if (timer) {
		gstk__timer_disarm(timer);
		gstk__timer_put(timer);
	}
	return gstk__code_of(atomic_load_explicit(&t->word, memory_order_relaxed));
}

static inline bool queues_empty(struct gstk__worker *w)
{
	return gstk__deque_len(&w->ready) <= 0 && gstk__deque_len(&w->fresh) <= 0 &&
	       !atomic_load_explicit(&w->next, memory_order_relaxed) &&
	       !atomic_load_explicit(&w->inbox, memory_order_relaxed);
}

void gstk__yield(void)
{
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t;

	if (!w || !w->current || gstk__in_handler(w))
		return;
	t = w->current;
	gstk__count(&w->park.n.yields);
	/* Nobody else is here: go on, but let the loop poll now and then. */
	if (queues_empty(w) && !(gstk__word(t) & GSTK__SHARED) && !gstk__forced_evict &&
	    !(atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_REQUESTS) && (int32_t)(++w->picks - w->poll_at) < 0)
		return;
	w->after = GSTK__AFTER_YIELD;
	leave(w, t, gstk__next_stack(w));
}

void gstk__did_not_wait(void)
{
	struct gstk__worker *w = gstk__self();

	if (w && ++w->ready_ops % 64 == 0)
		gstk__yield();
}

void gstk__leave_final(struct gstk__worker *w, struct gstk_task *t, struct gstk_task *n)
{
	void *sp;

	w->left = t;
	w->after = GSTK__AFTER_EXIT;
	if (__builtin_expect(t->flags & GSTK__T_FPMODE, 0))
		gstk__fp_restore(&gstk__fp_default);
	if (__builtin_expect(w->eh->caught || w->eh->uncaught, 0))
		*w->eh = (struct gstk__eh){ NULL, 0 }; /* gstk_exit() in a handler */
	if (n) {
		gstk__count(&w->park.n.switches);
		w->current = n;
		gstk__state_run(n);
		GSTK__PROBE1(wake, n);
		GSTK__PROBE2(run, n, w->index);
		sp = n->sp;
	} else {
		sp = gstk__next_stack(w);
	}
	gstk__annotate_before_switch(NULL, w->current);
	gstk__switch_final(sp, (uintptr_t)w);
}

/* The loop's side: run t until somebody switches back to the loop. */
void gstk__run(struct gstk__worker *w, struct gstk_task *t)
{
	void *token = NULL;

	w->current = t;
	gstk__state_run(t);
	gstk__count(&w->park.n.switches);
	GSTK__PROBE2(run, t, w->index);
	GSTK__TRACE(run(w));
	gstk__annotate_before_switch(&token, t);
	gstk__switch(&w->loop_sp, t->sp, (uintptr_t)w);
	gstk__annotate_after_switch(token);
	w->current = NULL;
	gstk__after(w);
}

uint32_t gstk__pick(struct gstk__worker *w)
{
	return gstk__pick_own(w, false);
}
