// SPDX-License-Identifier: MIT
/*
 * Which window a new task gets. While there are free ones: one to itself. Then the less loaded of
 * two random ones (M. Mitzenmacher, "The Power of Two Choices", 2001), whose present tasks must be
 * off the CPU at that moment. Not the spawner's, which it is likely to talk with, and tasks that talk
 * much not where others of that kind are, as long as there is another. Tasks of a site that hogs get
 * windows of their own.
 */
#include <stdio.h>
#include "debug/annotate.h"
#include "debug/inject.h"
#include "host/host.h"
#include "sched/site.h"
#include "sched/starved.h"
#include "sched/worker.h"

#define TRIES 4
#define MORE_TRIES 12 /* for one where nobody talks */

uint32_t gstk__random(struct gstk__worker *w)
{
	uint32_t x = w->rng; /* G. Marsaglia, "Xorshift RNGs", 2003 */

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return w->rng = x;
}

/* The two are drawn three picks ahead, for what a bind touches is cold: the windows, then the resident of
 * the one that is chosen, then the stack that will leave it. See bench wake.all.1e6. */
static GSTK__RACY uint32_t pick_two(struct gstk__worker *w)
{
	struct gstk__picks *p = &w->to_bind;
	uint32_t nr = (uint32_t)gstk__windows.nr, chosen = p->soon;

	p->soon = p->later;
	if (p->soon)
		gstk__prefetch_stack(gstk__task(gstk__win(p->soon)->resident));
	p->later = p->a;
	if (p->later) {
		if (atomic_load_explicit(&gstk__win(p->b)->nbound, memory_order_relaxed) <
		    atomic_load_explicit(&gstk__win(p->a)->nbound, memory_order_relaxed))
			p->later = p->b;
		__builtin_prefetch(gstk__task(gstk__win(p->later)->resident), 1);
	}
	p->a = 1 + gstk__random(w) % nr;
	p->b = 1 + gstk__random(w) % nr;
	__builtin_prefetch(gstk__win(p->a), 1);
	__builtin_prefetch(gstk__win(p->b), 1);
	return chosen ? chosen : p->a;
}

/* Own the window, making it shared if one task has it alone. False: it is in use right now. */
static bool own_window(struct gstk__worker *w, uint32_t i)
{
	struct gstk__window *win = gstk__win(i);
	uint64_t word = atomic_load_explicit(&win->word, memory_order_acquire);
	struct gstk_task *r;
	uint32_t ri;

	if (word == GSTK__WIN_IDLE)
		return atomic_compare_exchange_strong(&win->word, &word, GSTK__WIN_OWNED);
	if (word != GSTK__WIN_SOLO)
		return false;
	ri = gstk__peek(&win->resident);
	if (!ri)
		return false;
	r = gstk__task(ri);
	GSTK__INJECT(bind);
	if (!gstk__state_own(r)) {
		/* It runs, or waits to run: ask it to share at its next park or yield. */
		if (gstk__peek(&r->window) == i)
			atomic_fetch_or_explicit(&r->poke, GSTK__POKE_WANTED, memory_order_relaxed);
		return false;
	}
	/* Frozen: it cannot run, end or change windows, so this look is exact. */
	if (r->window != i || (r->flags & (GSTK__T_PRIVATE | GSTK__T_PINNED)) || win->resident != ri) {
		gstk__let_go(r);
		return false;
	}
	atomic_store_explicit(&win->word, GSTK__WIN_OWNED, memory_order_release);
	GSTK__INJECT(bound);
	win->sites = gstk__site_bit(r);
	gstk__state_share(r, true);
	gstk__gauge(&w->park.n.windows_shared, 1);
	gstk__let_go(r); /* if it was woken: into the inbox of the window that we own */
	return true;
}

/* A window to itself, of @size bytes of stack. */
static enum gstk__bound bind_private(struct gstk__worker *w, struct gstk_task *t, size_t size)
{
	uint32_t i = gstk__win_get_private(size);

	if (!i)
		return GSTK__BOUND_NEVER;
	gstk__flag_set(t, GSTK__T_PRIVATE);
	t->window = i;
	gstk__win(i)->resident = gstk__task_index(t);
	gstk__start_prepare(w, t);
	return GSTK__BOUND_ALONE;
}

/* Once: it may never get one, and nothing else would show. */
static __attribute__((cold, noinline)) void say_waits(size_t size)
{
	static _Atomic bool said;

	if (!atomic_exchange(&said, true))
		fprintf(stderr, "greenstk: no window of its own for a task with a stack of %zu bytes: there is no address space "
			"for it (ulimit -v), or too many have one already; the task begins when others have ended\n", size);
}

/* Does t, which talks, keep out of this window if it can? */
static bool avoids(const struct gstk_task *t, uint32_t i)
{
	uint32_t talkers = atomic_load_explicit(&gstk__sites.talkers, memory_order_relaxed);

	return __builtin_expect(talkers & gstk__site_bit(t), 0) && (gstk__peek(&gstk__win(i)->sites) & talkers);
}

/* Not the window of the spawner, the least loaded one maybe, which would be drawn again and again. */
static uint32_t but_not(struct gstk__worker *w, uint32_t i, uint32_t spawners)
{
	uint32_t nr = (uint32_t)gstk__windows.nr;

	if (__builtin_expect(i == spawners, 0) && nr > 1)
		i = 1 + (i + gstk__random(w) % (nr - 1)) % nr;
	return i;
}

enum gstk__bound gstk__bind(struct gstk__worker *w, struct gstk_task *t)
{
	struct gstk__ext *x = gstk__ext(t);
	uint32_t i = 0;

	if (t->flags & (GSTK__T_PRIVATE | GSTK__T_PINNED)) {
		size_t size = x && x->stack_size ? x->stack_size : gstk__windows.stack;
		enum gstk__bound bound = bind_private(w, t, size);

		if (__builtin_expect(bound == GSTK__BOUND_NEVER, 0))
			say_waits(size);
		else
			gstk__feed();
		return bound;
	}
	i = gstk__win_get(&w->wins);
	if (i) {
		gstk__bind_free(w, t, i);
		gstk__start_prepare(w, t);
		return GSTK__BOUND_ALONE;
	}
	if (__builtin_expect(atomic_load_explicit(&gstk__sites.hogs, memory_order_relaxed) != 0, 0) &&
	    gstk__site_earns(t)) {
		if (bind_private(w, t, gstk__windows.stack) == GSTK__BOUND_ALONE) {
			gstk__win(t->window)->flags |= GSTK__WIN_EARNED;
			gstk__count(&w->park.n.windows_earned);
			return GSTK__BOUND_ALONE;
		}
		gstk__site_gave_back();
	}
	for (int tries = 0, more = 0; tries < TRIES; tries++) {
		i = but_not(w, pick_two(w), t->msg[1]);
		if (__builtin_expect(avoids(t, i), 0) && more++ < MORE_TRIES) {
			tries--;
			continue;
		}
		if (!own_window(w, i))
			continue;
		gstk__win(i)->sites |= gstk__site_bit(t);
		gstk__win_count(gstk__win(i), 1);
		t->window = i;
		t->tick = gstk__stamp();
		gstk__state_share(t, true);
		gstk__fifo_push(gstk__win(i), t);
		return GSTK__BOUND_WINDOW;
	}
	gstk__count(&w->park.n.conflicts);
	/* All busy: wait in the line of one that is shared already; its owner counts us when it sees us. */
	if (i) {
		struct gstk__window *win = gstk__win(i);
		uint64_t old = atomic_load_explicit(&win->word, memory_order_relaxed), new;

		while ((old & GSTK__WIN_STATE_MASK) == GSTK__WIN_QUEUED ||
		       (old & GSTK__WIN_STATE_MASK) == GSTK__WIN_OWNED) {
			t->window = i;
			t->tick = gstk__stamp();
			t->next = (uint32_t)(old >> 32);
			gstk__state_share(t, true);
			new = (uint64_t)gstk__task_index(t) << 32 | (old & GSTK__WIN_STATE_MASK);
			if (atomic_compare_exchange_weak(&win->word, &old, new))
				return GSTK__BOUND_QUEUED;
		}
		t->window = 0;
		gstk__state_share(t, false);
	}
	return GSTK__BOUND_NOT;
}
