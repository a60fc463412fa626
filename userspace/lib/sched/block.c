// SPDX-License-Identifier: MIT
/*
 * The way off the CPU and back: block, yield, hand-off, and what is done for the task that was left.
 *
 *	task A: gstk__block_unlock() -> leave() --switch--> task B: after() parks A, unlocks; B goes on
 *
 * A task is wakeable only after it has left its stack: A's word is written, and what it waits for
 * is unlocked, by after() on the stack of whoever runs next on this thread.
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
#include "debug/inject.h"
#include "debug/probe.h"
#include "debug/trace.h"
#include "host/host.h"
#include "sched/foreign.h"
#include "sched/site.h"
#include "sched/timer_pool.h"
#include "sched/worker.h"

bool gstk__forced_evict, gstk__forced_pack, gstk__leave_long;
struct gstk__fp gstk__fp_default;

#define HANDOFF_BUDGET 64u /* hand-offs before the queue gets its turn */

/* ---- after: finish the task that was left ---- */

/* A mate waits for the window that was given back. @turn: and it comes next, not after another round of
 * the queue. */
static __attribute__((noinline)) void window_queue(struct gstk__worker *w, uint32_t index, bool turn)
{
	if (turn && !atomic_load_explicit(&w->next, memory_order_relaxed))
		gstk__push_next(w, GSTK__ITEM_WINDOW | index);
	else
		gstk__push_ready(w, GSTK__ITEM_WINDOW | index);
}

/* Give the shared window back; queue it when somebody waits for it. */
static void window_release(struct gstk__worker *w, uint32_t index)
{
	struct gstk__window *win = gstk__win(index);
	bool more = win->fifo_head || win->resident_ready, turn = false;
	uint64_t old = atomic_load_explicit(&win->word, memory_order_relaxed), new;

	GSTK__INJECT(release);
	if (__builtin_expect(win->fifo_head != 0, 0))
		turn = !win->resident_ready || gstk__quantum_over(w, win);
	do {
		new = more || old >> 32 ? (old & ~(uint64_t)GSTK__WIN_STATE_MASK) | GSTK__WIN_QUEUED
					: GSTK__WIN_IDLE;
	} while (!atomic_compare_exchange_weak_explicit(&win->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	GSTK__INJECT(released);
	if ((new & GSTK__WIN_STATE_MASK) == GSTK__WIN_QUEUED)
		window_queue(w, index, turn);
}

/* A task of a shared window has ended. After the last one the window is free. */
static void window_left(struct gstk__worker *w, uint32_t index)
{
	struct gstk__window *win = gstk__win(index);
	uint64_t owned = GSTK__WIN_OWNED;

	GSTK__INJECT(window_left);
	if (atomic_load_explicit(&win->nbound, memory_order_relaxed) ||
	    !atomic_compare_exchange_strong(&win->word, &owned, GSTK__WIN_FREE)) {
		window_release(w, index);
		return;
	}
	win->low = 0;
	gstk__gauge(&w->park.n.windows_shared, -1);
	gstk__gauge(&w->park.n.windows_bound, -1);
	gstk__win_put(&w->wins, index);
}

/* The task is alone in its window and somebody wants to share it: turn it into a shared window
 * that this worker owns. */
static void window_share(struct gstk__worker *w, struct gstk_task *t)
{
	struct gstk__window *win = gstk__win(t->window);

	win->resident = gstk__task_index(t);
	win->claim_stamp = gstk__stamp();
	win->shared_tick = t->tick;
	win->sites = gstk__site_bit(t);
	atomic_store_explicit(&win->word, GSTK__WIN_OWNED, memory_order_release);
	GSTK__INJECT(share);
	gstk__state_share(t, true);
	gstk__gauge(&w->park.n.windows_shared, 1);
	atomic_fetch_and_explicit(&t->poke, (uint8_t)~GSTK__POKE_WANTED, memory_order_relaxed);
}

static void fifo_push(struct gstk__window *win, struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	t->next = 0;
	if (win->fifo_head)
		gstk__task(win->fifo_tail)->next = i;
	else
		win->fifo_head = i;
	win->fifo_tail = i;
}

static void after_yield(struct gstk__worker *w, struct gstk_task *t)
{
	uint32_t window = t->window;

	if (__builtin_expect(gstk__word(t) & GSTK__SHARED, 0)) {
		if (gstk__forced_evict && t->tier == GSTK__TIER_RESIDENT)
			gstk__evict(&w->park, t, false);
		gstk__state_yield(t);
		gstk__win(window)->resident_ready = 1;
		window_release(w, window);
	} else if (t->flags & GSTK__T_PINNED) {
		gstk__state_yield(t);
		gstk__enqueue(t);
	} else {
		if (gstk__forced_evict && !(t->flags & GSTK__T_PRIVATE))
			gstk__evict(&w->park, t, false);
		gstk__state_yield(t);
		gstk__push_ready(w, gstk__task_index(t));
	}
}

static void after_commit(struct gstk__worker *w, struct gstk_task *t)
{
	bool shared = gstk__word(t) & GSTK__SHARED;
	uint32_t window = t->window;
	struct gstk__timer *timer = w->after_timer;

	gstk__state_park(t, GSTK__OWNED, w->after_flags);
	if (timer)
		gstk__timer_arm(timer);
	if (!w->after_commit(t, w->after_arg) && gstk__state_wake(t, GSTK__CODE_OK, 0) == GSTK__ENQUEUE)
		__builtin_unreachable(); /* we own it */
	GSTK__INJECT(committed);
	gstk__fence_light(); /* partner: gstk_cancel() */
	if (gstk__cancel_pending(t) && gstk__state_wake(t, GSTK__CODE_CANCELED, 0) == GSTK__ENQUEUE)
		__builtin_unreachable();
	if (gstk__forced_evict && !(t->flags & GSTK__T_PRIVATE) && t->tier == GSTK__TIER_RESIDENT) {
		gstk__evict(&w->park, t, false);
		if (gstk__forced_pack && t->tier != GSTK__TIER_RESIDENT)
			gstk__pack(&w->park, t);
	}
	if (gstk__state_disown(t) == GSTK__ENQUEUE)
		gstk__enqueue(t);
	if (shared)
		window_release(w, window);
}

static bool commit_unlock(struct gstk_task *t, void *lock)
{
	gstk__unlock(lock);
	return true;
}

/* The long way of what has a short one. */
static void after_owned(struct gstk__worker *w, struct gstk_task *t, gstk__commit_fn commit, void *arg)
{
	w->after_commit = commit;
	w->after_arg = arg;
	w->after_flags = 0;
	w->after_timer = NULL;
	after_commit(w, t);
}

/* Park for a lock that is let go of when that is done, and whose holder may wake t then. */
static inline __attribute__((always_inline)) void park_unlock(struct gstk__worker *w, struct gstk_task *t)
{
	_Atomic uint32_t *lock = w->after_lock;
	uint32_t word;
	uint8_t poke;

	GSTK__INJECT(park);
	word = gstk__state_park(t, GSTK__PARKED, 0);
	gstk__fence_light(); /* partner: gstk_cancel() */
	poke = atomic_load_explicit(&t->poke, memory_order_relaxed);
	GSTK__INJECT(parked);
	gstk__unlock(lock);
	GSTK__INJECT(unlocked);
	/* t may wait for something else by now: this wait only. */
	if (__builtin_expect(poke & GSTK__POKE_CANCEL, 0) &&
	    gstk__state_wake(t, GSTK__CODE_CANCELED, word) == GSTK__ENQUEUE)
		gstk__enqueue(t);
}

/* Everything but the short way of after(). */
static void __attribute__((noinline)) after_slow(struct gstk__worker *w)
{
	struct gstk_task *t = w->left;
	enum gstk__after after = (enum gstk__after)w->after;

	GSTK__TRACE(switch(w));
	w->after = GSTK__AFTER_NOTHING;
	t->tick = w->tick;
	if (after != GSTK__AFTER_EXIT &&
	    __builtin_expect(atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_WANTED, 0) &&
	    !(gstk__word(t) & GSTK__SHARED) && !(t->flags & (GSTK__T_PRIVATE | GSTK__T_PINNED)))
		window_share(w, t);
	switch (after) {
	case GSTK__AFTER_NOTHING:
		break;
	case GSTK__AFTER_YIELD:
		after_yield(w, t);
		break;
	case GSTK__AFTER_UNLOCK:
		if (!gstk__forced_evict) {
			bool shared = gstk__word(t) & GSTK__SHARED;
			uint32_t window = t->window;

			park_unlock(w, t); /* a mate cannot run before we let go of the window */
			if (shared)
				window_release(w, window);
		} else {
			after_owned(w, t, commit_unlock, w->after_lock);
		}
		break;
	case GSTK__AFTER_COMMIT:
		after_commit(w, t);
		break;
	case GSTK__AFTER_EXIT: {
		uint32_t window = t->window;
		bool shared = gstk__word(t) & GSTK__SHARED;

		gstk__task_ended(w, t);
		if (shared)
			window_left(w, window);
		break;
	}
	}
}

/* On the stack that was switched to. The short ways: a task alone in its window parks for a lock, or
 * yields. */
static inline __attribute__((always_inline)) void after(struct gstk__worker *w)
{
	struct gstk_task *t = w->left;
	uint32_t what = w->after;

	if (__builtin_expect(what == GSTK__AFTER_NOTHING, 0))
		return;
	if (__builtin_expect(what > GSTK__AFTER_SHORT || gstk__leave_long ||
			     (atomic_load_explicit(&t->word, memory_order_relaxed) & GSTK__SHARED) ||
			     (atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_REQUESTS), 0)) {
		after_slow(w);
		return;
	}
	w->after = GSTK__AFTER_NOTHING;
	t->tick = w->tick;
	if (what == GSTK__AFTER_UNLOCK) {
		park_unlock(w, t);
	} else {
		gstk__state_yield(t);
		if (__builtin_expect(t->flags & GSTK__T_PINNED, 0))
			gstk__enqueue(t);
		else if (!gstk__sched.alone || !gstk__deque_push(&w->ready, gstk__task_index(t)))
			gstk__push_ready(w, gstk__task_index(t));
	}
}

/* ---- picking ---- */

/* An item of this worker's own queues, or 0: nothing there, or (@may_poll) time for the loop to poll. */
static inline __attribute__((always_inline)) uint32_t pick(struct gstk__worker *w, bool may_poll)
{
	bool alone = gstk__sched.alone;
	uint32_t picks, item;

	/* Not counted as a pick: polls at every 2nd pick, say, could hide every 64th one below. */
	if (may_poll && __builtin_expect((int32_t)(w->picks - w->poll_at) >= 0, 0))
		return 0;
	picks = ++w->picks;
	if (__builtin_expect(picks % 16 == 0, 0)) { /* the slot must not starve the queues */
		w->handoff_budget = HANDOFF_BUDGET;
		item = picks % 64 == 0 ? gstk__deque_take_top(&w->fresh, alone) : 0;
		if (!item)
			item = gstk__deque_take_top(&w->ready, alone);
		if (item)
			return item;
	}
	item = atomic_load_explicit(&w->next, memory_order_relaxed);
	if (item) {
		if (alone)
			atomic_store_explicit(&w->next, 0, memory_order_relaxed);
		else
			item = atomic_exchange_explicit(&w->next, 0, memory_order_acq_rel);
		if (item)
			return item;
	}
	item = gstk__deque_take_top(&w->ready, alone);
	return item ? item : gstk__deque_take_bottom(&w->fresh, alone);
}

/* ---- leaving ---- */

/*
 * A task of a shared window whose stack is there: own the window as the loop would, and go on without
 * it. Its stack pointer, or NULL: the loop knows what to do.
 */
static __attribute__((noinline)) void *mate_stack(struct gstk__worker *w, struct gstk_task *n)
{
	struct gstk__window *win = gstk__win(n->window);
	uint64_t idle = GSTK__WIN_IDLE;

	if (gstk__peek(&win->resident) != gstk__task_index(n) ||
	    !atomic_compare_exchange_strong_explicit(&win->word, &idle, GSTK__WIN_OWNED, memory_order_acq_rel,
						     memory_order_relaxed))
		return NULL;
	if (win->resident != gstk__task_index(n) || n->tier != GSTK__TIER_RESIDENT) {
		window_release(w, n->window);
		return NULL;
	}
	gstk__earn_back(w, win, n);
	return n->sp;
}

/* The next item that can run without the loop's help, made current; its stack pointer. */
static inline __attribute__((always_inline)) void *next_stack(struct gstk__worker *w)
{
	uint32_t item = pick(w, true);
	struct gstk_task *n;

	if (__builtin_expect(item != 0 && !(item & GSTK__ITEM_WINDOW), 1)) {
		n = gstk__task(item);
		if (__builtin_expect(gstk__word(n) & GSTK__SHARED, 0)) {
			void *sp = mate_stack(w, n);

			if (sp) {
				gstk__look_ahead(w);
				w->current = n;
				gstk__state_run(n);
				gstk__count(&w->park.n.switches);
				GSTK__PROBE2(run, n, w->index);
				return sp;
			}
		} else if (__builtin_expect(n->tier == GSTK__TIER_RESIDENT, 1)) {
			gstk__look_ahead(w);
			w->current = n;
			gstk__state_run(n);
			gstk__count(&w->park.n.switches);
			GSTK__PROBE2(run, n, w->index);
			return n->sp;
		} else if (n->tier == GSTK__TIER_NONE && !(n->flags & (GSTK__T_PRIVATE | GSTK__T_PINNED)) &&
		    w->wins.head) {
			gstk__bind_free(w, n, gstk__win_get(&w->wins));
			gstk__start_prepare(w, n);
			w->current = n;
			gstk__state_run(n);
			gstk__count(&w->park.n.switches);
			GSTK__PROBE2(run, n, w->index);
			return n->sp;
		}
	}
	w->pending = item;
	w->current = NULL;
	return w->loop_sp;
}

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
	after(w);
	*w->errno_ptr = saved;
}

void gstk__start(uintptr_t word)
{
	gstk__annotate_after_switch(NULL);
	after((struct gstk__worker *)word);
}

/* What leave() goes to; a pinned task that leaves its worker without work is watched. */
static inline void *next_of_pinned(struct gstk__worker *w, struct gstk_task *t)
{
	void *target = next_stack(w);

	if (target == w->loop_sp && !w->pending)
		gstk__watch_begin(w, t);
	return target;
}

static __attribute__((noinline)) enum gstk__code block_pinned(struct gstk__worker *w, struct gstk_task *t,
							      _Atomic uint32_t *lock, enum gstk__why why)
{
	GSTK__PROBE2(block, t, why);
	t->why = why;
	w->after = GSTK__AFTER_UNLOCK;
	w->after_lock = lock;
	leave(w, t, next_of_pinned(w, t));
	return gstk__code_of(atomic_load_explicit(&t->word, memory_order_relaxed));
}

/* A signal handler's frames are gone when it returns: nothing there may wait. */
static inline __attribute__((always_inline)) bool in_handler(const struct gstk__worker *w)
{
	return __builtin_expect(gstk__sp() - w->signal_from < w->signal_bytes, 0);
}

static __attribute__((cold, noinline)) enum gstk__code refuse_in_handler(void)
{
	static const char text[] = "greenstk: a signal handler may not wait (-ECANCELED); it may call gstk_event_raise()\n";

	if (write(2, text, sizeof(text) - 1) < 0)
		return GSTK__CODE_CANCELED;
	return GSTK__CODE_CANCELED;
}

GSTK__FAR_RETURN enum gstk__code gstk__block_unlock(_Atomic uint32_t *lock, enum gstk__why why, uint64_t deadline_ns)
{
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t;

	if (__builtin_expect(!w || deadline_ns != GSTK_NEVER, 0))
		return gstk__block(commit_unlock, lock, why, deadline_ns, true);
	if (in_handler(w)) {
		gstk__unlock(lock);
		return refuse_in_handler();
	}
	t = w->current;
	if (__builtin_expect(t->flags & (GSTK__T_DEADLINE | GSTK__T_PINNED), 0))
		return t->flags & GSTK__T_DEADLINE ? gstk__block(commit_unlock, lock, why, deadline_ns, true)
						   : block_pinned(w, t, lock, why);
	GSTK__PROBE2(block, t, why);
	t->why = why;
	w->after = GSTK__AFTER_UNLOCK;
	w->after_lock = lock;
	leave(w, t, next_stack(w));
	return gstk__code_of(atomic_load_explicit(&t->word, memory_order_relaxed));
}

static void timed_out(struct gstk__timer *timer)
{
	gstk__wake(timer->task, GSTK__CODE_TIMEDOUT);
}

enum gstk__code gstk__block(gstk__commit_fn commit, void *arg, enum gstk__why why, uint64_t deadline_ns,
			    bool cancelable)
{
	struct gstk__worker *w = gstk__self();
	struct gstk__timer *timer = NULL;
	struct gstk_task *t;

	if (!w)
		return gstk__block_foreign(commit, arg, why, deadline_ns, cancelable);
	if (in_handler(w)) {
		if (commit == commit_unlock)
			gstk__unlock(arg);
		return refuse_in_handler();
	}
	t = w->current;
	if (cancelable && (t->flags & GSTK__T_DEADLINE)) {
		struct gstk__ext *x = gstk__ext(t);

		if (x->deadline_ns < deadline_ns)
			deadline_ns = x->deadline_ns;
	}
	if (deadline_ns != GSTK_NEVER) {
		timer = gstk__timer_get();
		timer->deadline_ns = deadline_ns;
		timer->fn = timed_out;
		timer->task = t;
	}
	GSTK__PROBE2(block, t, why);
	t->why = why;
	w->after = GSTK__AFTER_COMMIT;
	w->after_commit = commit;
	w->after_arg = arg;
	w->after_timer = timer;
	w->after_flags = cancelable ? 0 : GSTK__NOCANCEL;
	leave(w, t, t->flags & GSTK__T_PINNED ? next_of_pinned(w, t) : next_stack(w));
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

	if (!w || !w->current || in_handler(w))
		return;
	t = w->current;
	gstk__count(&w->park.n.yields);
	/* Nobody else is here: go on, but let the loop poll now and then. */
	if (queues_empty(w) && !(gstk__word(t) & GSTK__SHARED) && !gstk__forced_evict &&
	    !(atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_REQUESTS) && (int32_t)(++w->picks - w->poll_at) < 0)
		return;
	w->after = GSTK__AFTER_YIELD;
	leave(w, t, next_stack(w));
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
		sp = next_stack(w);
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
	after(w);
}

uint32_t gstk__pick(struct gstk__worker *w)
{
	return pick(w, false);
}

void gstk__fifo_push(struct gstk__window *win, struct gstk_task *t)
{
	fifo_push(win, t);
}

void gstk__window_release(struct gstk__worker *w, uint32_t index)
{
	window_release(w, index);
}
