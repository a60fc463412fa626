// SPDX-License-Identifier: MIT
/* The first and the last instruction of a task: spawn, entry, exit. Who waits for the end is in join.c. */
#include "sched/start.h"

#include <greenstk/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include "arch/arch.h"
#include "debug/annotate.h"
#include "debug/inject.h"
#include "debug/locks.h"
#include "debug/probe.h"
#include "debug/seal.h"
#include "debug/stackprof.h"
#include "debug/trace.h"
#include "host/host.h"
#include "park/lazy.h"
#include "sched/annex.h"
#include "sched/foreign.h"
#include "sched/site.h"
#include "sched/stackless.h"
#include "sched/starved.h"
#include "sched/worker.h"
#include "task/local.h"

static struct gstk__begin begin(uintptr_t word, bool ended)
{
	struct gstk_task *t;

	if (ended) {
		if (__builtin_expect(!gstk__self(), 0)) {
			fprintf(stderr, "greenstk: a task's function returned in a child of fork(); end it with _exit() or exec\n");
			abort();
		}
		return (struct gstk__begin){ (uintptr_t)gstk__task_exit, (void *)word };
	}
	gstk__start(word);
	t = gstk__self()->current;
	return (struct gstk__begin){ (uintptr_t)t->obj, (void *)t->msg[0] };
}

/* Lay out the first frame of a task that is bound to its window; it becomes resident. */
void gstk__start_prepare(struct gstk__worker *w, struct gstk_task *t)
{
	char *base = gstk__win_base(t->window);
	struct gstk__ext *x = gstk__ext(t);

	if (__builtin_expect(x && x->block, 0)) {
		base -= (x->block_size + 63) & ~(size_t)63;
		memcpy(base, x->block, x->block_size);
		t->msg[0] = (uintptr_t)base;
		free(x->block);
		x->block = NULL;
	}
	gstk__annotate_task_begin(t);
	t->sp = gstk__stack_prepare(base, begin);
	t->tier = GSTK__TIER_RESIDENT;
	gstk__gauge(&w->park.n.resident, 1);
}

void gstk__spawn_queue(struct gstk_task *t)
{
	struct gstk__worker *w = gstk__self();

	if (!w) {
		atomic_fetch_add_explicit(&gstk__sched.foreign_spawns, 1, memory_order_relaxed);
		t->msg[1] = 0;
		if (t->flags & GSTK__T_PINNED) {
			gstk__enqueue(t);
			return;
		}
		gstk__inject(gstk__task_index(t));
		gstk__injected();
		return;
	}
	gstk__count(&w->park.n.spawns);
	t->msg[1] = w->current ? w->current->window : 0; /* a window not to be bound to: bind.c */
	if (t->flags & GSTK__T_PINNED)
		gstk__enqueue(t);
	else if (!atomic_load_explicit(&w->next, memory_order_relaxed))
		gstk__push_next(w, gstk__task_index(t));
	else
		gstk__push_fresh(w, gstk__task_index(t));
}

/* Said once: a server may live at this limit. */
static __attribute__((cold, noinline)) struct gstk_task *no_place(void)
{
	static atomic_bool told;

	if (!atomic_exchange(&told, true))
		fprintf(stderr, "greenstk: all %zu places for tasks are taken (-ENOMEM), also by those that ended and nobody has "
			"joined; more: gstk_config.max_tasks or GREENSTK_MAX_TASKS\n", gstk__max_tasks);
	return NULL;
}

struct gstk_task *gstk__task_new(void)
{
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t = gstk__task_alloc(w ? &w->tasks : NULL);

	if (__builtin_expect(!t, 0))
		return no_place();
	t->tier = GSTK__TIER_NONE;
	t->why = GSTK__WAIT_NONE;
	t->flags = 0;
	t->window = 0;
	t->tick = 0;
	atomic_store_explicit(&t->poke, 0, memory_order_relaxed);
	atomic_store_explicit(&t->peer, 0, memory_order_relaxed);
	return t;
}

void gstk__task_reap(struct gstk_task *t)
{
	struct gstk__worker *w = gstk__self();
	struct gstk__ext *x = gstk__ext(t);

	if (x) {
		free(x->block);
		gstk__ext_free(t);
	}
	if (__builtin_expect(t->tier == GSTK__TIER_STACKLESS, 0))
		free(t->stackless);
	/* A second join or detach is refused until the slot is somebody else's. */
	atomic_store_explicit(&t->peer, GSTK__PEER_DETACHED, memory_order_relaxed);
	gstk__state_end(t, GSTK__FREE);
	gstk__task_free(w ? &w->tasks : NULL, t);
}

/* Take the lock bit of the peer word; returns the word without it. */
static uint32_t peer_lock(_Atomic uint32_t *peer)
{
	uint32_t old = atomic_load_explicit(peer, memory_order_relaxed);

	for (;;) {
		old &= ~GSTK__PEER_LOCK;
		if (atomic_compare_exchange_weak_explicit(peer, &old, old | GSTK__PEER_LOCK,
							  memory_order_acq_rel, memory_order_relaxed))
			return old;
		gstk__cpu_relax();
	}
}

/* Everything that was pushed or set; of a stackless task, its state goes in between. */
static void run_cleanups(struct gstk_task *t)
{
	struct gstk__ext *x = gstk__ext(t);

	while (x && x->cleanups) {
		struct gstk__cleanup *c = x->cleanups;

		x->cleanups = c->next;
		c->fn(c->arg);
		free(c);
	}
	if (t->tier == GSTK__TIER_STACKLESS && t->stackless->type->drop)
		t->stackless->type->drop(t->stackless->state);
	x = gstk__ext(t);
	if (x && x->nr_locals)
		gstk__locals_end(x);
	gstk__allocs_free(x);
	if (x && x->last) {
		x->last->fn(x->last->arg);
		free(x->last);
	}
}

/*
 * The joiner registers before it parks, so it may still be on its way: then wait for it. It says
 * with ->obj that it is; when it was cancelled meanwhile it clears that, and withdraws.
 */
static inline enum gstk__order wake_joiner(struct gstk_task *j, struct gstk_task *t)
{
	for (int spin = 0;; spin++) {
		/* Before the attempt: when j parks between the two, the next one is to win it. */
		uint32_t state = gstk__state_of(gstk__word(j));
		enum gstk__order order;

		GSTK__INJECT(wake_joiner);
		order = gstk__state_wake(j, GSTK__CODE_OK, 0);
		if (__builtin_expect(order != GSTK__LOST, 1) || state != GSTK__RUNNING ||
		    __atomic_load_n(&j->obj, __ATOMIC_ACQUIRE) != t)
			return order;
		if (spin < 100)
			gstk__cpu_relax();
		else
			sched_yield();
	}
}

/* t ends with @result, and its peer word is locked unless it is detached. The joiner that the caller has to
 * enqueue, or NULL. */
static inline __attribute__((always_inline)) struct gstk_task *win_joiner(struct gstk_task *t, void *result)
{
	uint32_t joiner;

	GSTK__PROBE2(exit, t, result);
	t->msg[0] = (uintptr_t)result;
	if (atomic_load_explicit(gstk__peer(t), memory_order_relaxed) & GSTK__PEER_DETACHED)
		return NULL;
	joiner = peer_lock(gstk__peer(t)) & GSTK__PEER_INDEX;
	return joiner && wake_joiner(gstk__task(joiner), t) == GSTK__ENQUEUE ? gstk__task(joiner) : NULL;
}

/* End the calling task. The joiner that waits runs next, on the same cache lines. */
void gstk__task_exit(void *result)
{
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t = w->current, *n;

	if (__builtin_expect(atomic_load_explicit(&t->peer, memory_order_relaxed) & GSTK__PEER_EXT, 0))
		run_cleanups(t);
	w = gstk__self();
	w->exit_wake = 0;
	n = win_joiner(t, result);
	if (n && (!w->handoff_budget || (gstk__flags(n) & (GSTK__T_FOREIGN | GSTK__T_PINNED)) ||
		  (gstk__word(n) & GSTK__SHARED) || n->tier != GSTK__TIER_RESIDENT)) {
		w->exit_wake = gstk__task_index(n);
		n = NULL;
	}
	if (n)
		w->handoff_budget--;
	gstk__leave_final(w, t, n);
}

/* With ->ends: what is left to do in the window of a task that has ended. */
static __attribute__((cold, noinline)) void clear_window(struct gstk__worker *w, struct gstk_task *t)
{
	if (gstk__windows.lazy && gstk__win(t->window)->flags & GSTK__WIN_LAZY)
		gstk__lazy_ended(&w->park, t->window);
	if (gstk__locks_watched)
		gstk__locks_ended(t);
	if (gstk__profiling)
		gstk__stackprof_ended(t);
	if (gstk__sealing)
		gstk__seal(t->window, t, true);
}

/* It holds nothing any more. The last store makes it joinable; it may be gone then. */
static inline __attribute__((always_inline)) void make_joinable(struct gstk__worker *w, struct gstk_task *t)
{
	_Atomic uint32_t *peer = gstk__peer(t);
	uint32_t p;

	gstk__state_end(t, GSTK__DONE);
	gstk__count(&w->park.n.ends);
	p = atomic_load_explicit(peer, memory_order_relaxed);
	if ((p & (GSTK__PEER_LOCK | GSTK__PEER_DETACHED)) == GSTK__PEER_LOCK) {
		atomic_store_explicit(peer, GSTK__PEER_DONE, memory_order_release);
	} else {
		/* Detached, perhaps just before it took the lock: nobody else frees it. */
		gstk__task_reap(t);
	}
}

/* Of a joiner, while what it joins is not joinable yet: a thread may end as soon as that is, and its place be a task's. */
static inline bool is_thread(const struct gstk_task *j)
{
	return gstk__flags(j) & GSTK__T_FOREIGN;
}

static void wake_joined(struct gstk_task *j, bool thread)
{
	if (thread)
		gstk__foreign_wake(j);
	else
		gstk__enqueue(j);
}

void gstk__stackless_exit(struct gstk__worker *w, struct gstk_task *t, void *result)
{
	struct gstk_task *n;
	bool thread;

	run_cleanups(t);
	if (__builtin_expect(gstk__locks_watched, 0))
		gstk__locks_ended(t);
	n = win_joiner(t, result);
	GSTK__TRACE(left(w, t, GSTK__TRACE_ENDED));
	w->current = NULL;
	gstk__gauge(&w->park.n.stackless, -1);
	thread = n && is_thread(n);
	make_joinable(w, t);
	GSTK__INJECT(joinable);
	if (n)
		wake_joined(n, thread);
}

/* On another stack: everything that t still holds. */
void gstk__task_ended(struct gstk__worker *w, struct gstk_task *t)
{
	struct gstk__window *win = gstk__win(t->window);
	uint32_t wake = w->exit_wake, index = gstk__task_index(t);
	bool thread = __builtin_expect(wake != 0, 0) && is_thread(gstk__task(wake));

	if (__builtin_expect(t->flags & GSTK__T_ANNEX, 0))
		gstk__annex_drop(t);
	gstk__annotate_task_end(t);
	gstk__gauge(&w->park.n.resident, -1);
	w->exit_wake = 0;
	win->resident = 0;
	if (__builtin_expect(gstk__windows.ends, 0))
		clear_window(w, t);
	if (t->window > gstk__windows.nr) {
		if (win->flags & GSTK__WIN_EARNED) {
			win->flags &= ~GSTK__WIN_EARNED;
			gstk__site_gave_back();
		}
		gstk__win_put_private(t->window);
		gstk__feed();
	} else if (!(gstk__word(t) & GSTK__SHARED)) {
		win->low = 0;
		atomic_store_explicit(&win->word, GSTK__WIN_FREE, memory_order_release);
		atomic_store_explicit(&win->nbound, 0, memory_order_relaxed);
		gstk__gauge(&w->park.n.windows_bound, -1);
		gstk__win_put(&w->wins, t->window);
	} else {
		gstk__win_count(win, -1);
	}
	t->tier = GSTK__TIER_NONE;
	make_joinable(w, t);
	GSTK__INJECT(joinable);
	if (wake)
		wake_joined(gstk__task(wake), thread);
	gstk__fence_light(); /* partner: gstk_main(), which stores main_task and then looks whether it has ended */
	if (__builtin_expect(atomic_load_explicit(&gstk__sched.main_task, memory_order_relaxed) == index, 0) &&
	    atomic_compare_exchange_strong(&gstk__sched.main_task, &index, GSTK__MAIN_ENDED))
		gstk__wake_worker(0);
}
