// SPDX-License-Identifier: MIT
/*
 * The worker's loop, on the thread's own stack: what a direct switch from task to task cannot do.
 * Bind new tasks, run shared windows (evict, restore), poll, steal, sleep.
 */
#include <greenstk/base.h>

#include <sched.h>
#include <stdio.h>
#include "debug/annotate.h"
#include "debug/inject.h"
#include "host/host.h"
#include "sched/site.h"
#include "sched/starved.h"
#include "sched/stackless.h"
#include "sched/stuck.h"
#include "sched/timer.h"
#include "sched/worker.h"

const struct gstk__poller *gstk__poller;
uint64_t (*gstk__sweep_hook)(struct gstk__worker *w, uint64_t now_ns, bool idle);

#define POLL_PICKS 61u /* the most picks between two looks at poller, timers and injected work ... */
#define OVERDUE_NS 1000000u /* then a timer's worker has had its chance */
#define POLL_NS	   100000u /* ... that is, not so many when tasks run for long */

void gstk__refresh_clock(struct gstk__worker *w, uint64_t now)
{
	w->known_ns = now;
	w->tick = (uint32_t)(now / 1000000u);
	w->park.tick = w->tick;
	w->park.stamp = gstk__stamp();
}

uint64_t gstk__known_ns(void)
{
	struct gstk__worker *w = gstk__self();

	return w ? w->known_ns : 0;
}

/* When to poll next: by how long the runs since the last time were; a few short ones say little. */
static void schedule_poll(struct gstk__worker *w, uint64_t now)
{
	uint32_t picks = w->picks - w->polled, next = POLL_PICKS;
	uint32_t most = (w->poll_at - w->polled) * 2;

	if (w->polled_ns && picks) {
		uint64_t run_ns = (now - w->polled_ns) / picks;

		if (run_ns * POLL_PICKS > POLL_NS)
			next = run_ns < POLL_NS ? (uint32_t)(POLL_NS / run_ns) : 1;
		if (next > most)
			next = most ? most : 1;
	}
	w->polled = w->picks;
	w->polled_ns = now;
	w->poll_at = w->picks + next;
}

/* Move the inbox of a window that we own, newest first, into its FIFO, oldest first. */
static void take_inbox(struct gstk__window *win)
{
	uint64_t old = atomic_load_explicit(&win->word, memory_order_relaxed);
	uint32_t i, rev = 0, next;

	while (!atomic_compare_exchange_weak_explicit(&win->word, &old, GSTK__WIN_OWNED, memory_order_acq_rel,
						      memory_order_relaxed))
		;
	GSTK__INJECT(inbox_taken);
	for (i = (uint32_t)(old >> 32); i; i = next) {
		next = gstk__task(i)->next;
		gstk__task(i)->next = rev;
		rev = i;
	}
	for (i = rev; i; i = next) {
		next = gstk__task(i)->next;
		if (gstk__task(i)->tier == GSTK__TIER_NONE)
			gstk__win_count(win, 1); /* new here: see bind.c */
		if (i == win->resident)
			win->resident_ready = 1;
		else
			gstk__fifo_push(win, gstk__task(i));
	}
}

bool gstk__quantum_over(struct gstk__worker *w, const struct gstk__window *win)
{
	const struct gstk_task *r = gstk__task(win->resident);
	uint32_t had, most = gstk__stamps_per_ms * GSTK__QUANTUM_MS;

	w->park.stamp = gstk__stamp();
	had = w->park.stamp - win->claim_stamp;
	if (had < most / 2)
		return false;
	return had >= most ||
	       (r->tier == GSTK__TIER_RESIDENT && (char *)gstk__win_base(r->window) - (char *)r->sp <= GSTK__SHALLOW);
}

/* Who of a window's tasks runs: the resident for its quantum, then the oldest of the others. */
static struct gstk_task *window_next(struct gstk__worker *w, struct gstk__window *win)
{
	struct gstk_task *t;

	if (win->resident_ready) {
		if (__builtin_expect(win->flags & GSTK__WIN_NOT_YET, 0)) {
			win->flags &= ~GSTK__WIN_NOT_YET;
			win->claim_stamp = gstk__stamp();
			win->resident_ready = 0;
			return gstk__task(win->resident);
		}
		if (!win->fifo_head || !gstk__quantum_over(w, win)) {
			win->resident_ready = 0;
			return gstk__task(win->resident);
		}
		gstk__count(&w->park.n.quantum_expiries);
		gstk__site_hogged(gstk__task(win->resident));
	}
	if (!win->fifo_head)
		return NULL;
	t = gstk__task(win->fifo_head);
	win->fifo_head = t->next;
	w->park.stamp = gstk__stamp();
	gstk__waited(w, w->park.stamp - t->tick);
	if (win->resident_ready) {
		win->resident_ready = 0;
		gstk__task(win->resident)->tick = w->park.stamp;
		gstk__fifo_push(win, gstk__task(win->resident));
	}
	return t;
}

static void count_prefetch(struct gstk__worker *w, const struct gstk_task *t)
{
	uint32_t i = gstk__task_index(t);

	if (t->tier != GSTK__TIER_RESIDENT && w->prefetched[i % 8] == i) {
		w->prefetched[i % 8] = 0;
		gstk__count(&w->park.n.prefetch_hits);
	}
}

/* t is about to displace the resident: did that run a moment ago? One such time in 16 is noted. */
static void note_talk(struct gstk__worker *w, const struct gstk__window *win, const struct gstk_task *t)
{
	const struct gstk_task *r = gstk__task(win->resident);

	if (win->resident && r != t && t->tier != GSTK__TIER_NONE && w->tick - gstk__peek(&r->tick) <= 1 && ++w->displaced % 16 == 0)
		gstk__site_talked(r, t);
}

/* Once: that tasks only wait shows nowhere else but in gstk_stats(). */
static __attribute__((cold, noinline)) void say_no_room(void)
{
	static _Atomic bool said;
	struct gstk__arena_stats st;

	if (atomic_exchange(&said, true))
		return;
	gstk__arena_stats(&st);
	fprintf(stderr, "greenstk: no room to save a stack in, so a task waits for its window until there is some: %zu KiB of "
		"%zu MiB for saved stacks are used; more: gstk_config.image_bytes or GREENSTK_IMAGE_BYTES, or memory\n",
		(size_t)(st.live + st.cached) >> 10, (size_t)st.reserved >> 20);
}

/* Run a task of a shared window that this worker owns. */
static void run_mate(struct gstk__worker *w, struct gstk__window *win, struct gstk_task *t)
{
	note_talk(w, win, t);
	count_prefetch(w, t);
	if (__builtin_expect(gstk__in_slot(t->tier), 0))
		gstk__restore_together(w, t); /* if it cannot, the claim says why */
	if (gstk__claim(&w->park, t)) {
		/* No memory even for the resident's image: t waits at the end of the line. */
		uint32_t index = t->window;

		say_no_room();
		t->tick = gstk__stamp();
		gstk__fifo_push(win, t);
		gstk__window_starve(w, index);
		return;
	}
	if (t->tier == GSTK__TIER_NONE)
		gstk__start_prepare(w, t);
	gstk__earn_back(w, win, t);
	gstk__run(w, t);
}

static void run_window(struct gstk__worker *w, uint32_t index)
{
	struct gstk__window *win = gstk__win(index);
	struct gstk_task *t;

	take_inbox(win);
	t = window_next(w, win);
	if (t)
		run_mate(w, win, t);
	else
		gstk__window_release(w, index);
}

/* A task of a shared window came out of a queue: own the window, or leave it to whoever has that. */
bool gstk__own_or_leave(struct gstk_task *t)
{
	struct gstk__window *win = gstk__win(t->window);
	uint64_t old = atomic_load_explicit(&win->word, memory_order_relaxed), new;

	do {
		GSTK__INJECT(run_shared);
		if (old == GSTK__WIN_IDLE) {
			new = GSTK__WIN_OWNED;
		} else {
			t->tick = gstk__stamp();
			t->next = (uint32_t)(old >> 32);
			new = (uint64_t)gstk__task_index(t) << 32 | (old & GSTK__WIN_STATE_MASK);
		}
	} while (!atomic_compare_exchange_weak_explicit(&win->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	return old == GSTK__WIN_IDLE;
}

static void run_item(struct gstk__worker *w, uint32_t item)
{
	struct gstk_task *t;

	if (item & GSTK__ITEM_WINDOW) {
		run_window(w, item & ~GSTK__ITEM_WINDOW);
		return;
	}
	t = gstk__task(item);
	if (gstk__word(t) & GSTK__SHARED) {
		if (gstk__own_or_leave(t))
			run_mate(w, gstk__win(t->window), t);
		return;
	}
	if (t->tier == GSTK__TIER_NONE) {
		switch (gstk__bind(w, t)) {
		case GSTK__BOUND_ALONE:
			break;
		case GSTK__BOUND_WINDOW:
			run_window(w, t->window);
			return;
		case GSTK__BOUND_QUEUED:
			return;
		case GSTK__BOUND_NEVER:
			gstk__starve(w, item);
			return;
		case GSTK__BOUND_NOT:
			if (!gstk__deque_push(&w->ready, item))
				gstk__inject(item);
			if (++w->bind_failures % 64 == 0)
				sched_yield();
			return;
		}
	} else if (t->tier != GSTK__TIER_RESIDENT) {
		if (t->tier == GSTK__TIER_STACKLESS) {
			gstk__stackless_run(w, t);
			return;
		}
		count_prefetch(w, t);
		if (__builtin_expect(gstk__in_slot(t->tier), 0))
			gstk__restore_together(w, t);
		else
			gstk__restore(&w->park, t);
	}
	gstk__run(w, t);
}

/* Timers, events, the sweep: nothing here waits. */
static void poll_all(struct gstk__worker *w)
{
	uint64_t now = gstk__now_ns();

	gstk__refresh_clock(w, now);
	schedule_poll(w, now);
	w->batch++;
	gstk__timer_wheel_advance(&gstk__timer_wheels[w->index], now);
	if (!gstk__sched.alone) {
		/* Of a worker that is stuck: its timers are overdue. One wheel a time. */
		w->other_wheel = (w->other_wheel + 1) % gstk__sched.nr;
		gstk__timer_wheel_advance(&gstk__timer_wheels[w->other_wheel], now - OVERDUE_NS);
		gstk__stuck_look(w, now);
	}
	if (gstk__poller)
		gstk__poll_events(w, 0);
	gstk__wake_batch_end();
	if (gstk__sweep_hook)
		gstk__sweep_hook(w, now, false);
}

/* Run until @stop says so. @timeout_ns: how long to wait when there is nothing to do. */
uint64_t gstk__worker_loop(struct gstk__worker *w, bool (*stop)(void *), void *arg, uint64_t timeout_ns)
{
	uint64_t runs = 0;

	w->loop_base = (uintptr_t)__builtin_frame_address(0);
	gstk__refresh_clock(w, gstk__now_ns());
	w->polled_ns = 0;
	while (!stop(arg)) {
		uint32_t item = w->pending;

		w->pending = 0;
		if (!item) {
			if ((int32_t)(w->picks - w->poll_at) >= 0) {
				poll_all(w);
				item = gstk__next_pinned(w);
				if (!item)
					item = gstk__uninject(w);
			}
			if (__builtin_expect(w->watched != 0, 0)) {
				uint32_t given = gstk__watch(w, !item);

				if (given && item) /* not into w->pending: who runs item sets that anew */
					gstk__pinned_first(w, given);
				else if (given)
					item = given;
			}
			if (!item)
				item = gstk__find_work(w);
		}
		if (item) {
			gstk__look_ahead(w);
			run_item(w, item);
			runs++;
			continue;
		}
		if (timeout_ns == 0 || (timeout_ns != GSTK_NEVER && runs)) {
			poll_all(w);
			if (!gstk__work_visible(w))
				break;
			continue;
		}
		gstk__refresh_clock(w, gstk__now_ns());
		w->polled_ns = 0;
		if (!gstk__idle(w, timeout_ns) && timeout_ns != GSTK_NEVER)
			break;
	}
	if (w->watched)
		w->pending = gstk__watch(w, false);
	return runs;
}
