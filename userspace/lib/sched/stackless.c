// SPDX-License-Identifier: MIT
#include "sched/stackless.h"

#include <stdio.h>
#include <stdlib.h>
#include "debug/annotate.h"
#include "debug/inject.h"
#include "debug/probe.h"
#include "debug/trace.h"
#include "sched/after.h"
#include "sched/start.h"
#include "sched/timer_pool.h"
#include "sched/worker.h"

#define MOST_AT_ONCE 64 /* waits that are over when they begin; then others have their turn */

const struct gstk__await *const *gstk__awaits;


const char *gstk__stackless_name(const struct gstk_task *t)
{
	const char *name = t->stackless->type->name;

	return name ? name : "future";
}

static void timed_out(struct gstk__timer *timer)
{
	gstk__wake(gstk__task(timer->task), GSTK__CODE_TIMEDOUT);
}

/* False: there is no memory for it. */
static bool set_timer(struct gstk__stackless *s, struct gstk_task *t, uint64_t deadline_ns)
{
	if (!s->timer && !(s->timer = gstk__timer_get()))
		return false;
	s->timer->deadline_ns = deadline_ns;
	s->timer->fn = timed_out;
	s->timer->task = gstk__task_index(t);
	return true;
}

/* As after_commit(), of a task that has left its stack long ago. */
static void park_owned(struct gstk_future *f, bool timed)
{
	struct gstk_task *t = f->task;

	gstk__state_park(t, GSTK__OWNED, f->through ? GSTK__NOCANCEL : 0);
	if (timed)
		gstk__timer_arm(f->s->timer);
	if (!f->commit)
		gstk__unlock(f->lock);
	else if (!f->commit(t, f) && gstk__state_wake(t, GSTK__CODE_OK, 0) == GSTK__ENQUEUE)
		__builtin_unreachable(); /* we own it */
	GSTK__INJECT(committed);
	gstk__fence_light(); /* partner: gstk_cancel() */
	if (gstk__cancel_pending(t) && gstk__state_wake(t, GSTK__CODE_CANCELED, 0) == GSTK__ENQUEUE)
		__builtin_unreachable();
	if (gstk__state_disown(t) == GSTK__ENQUEUE)
		gstk__enqueue(t);
}

static bool park(struct gstk__worker *w, struct gstk_future *f);

static void no_wait(struct gstk_future *f)
{
	f->lock = NULL;
	f->commit = NULL;
	f->why = GSTK__WAIT_NONE;
	f->through = false;
}

/* It is linked to what it waits for, or is to be by the commit: without memory the wait is over instead, as it is for a
 * task with a stack (block.c). Who finds it in the queue meanwhile loses, for it runs. */
static bool no_memory(struct gstk__worker *w, struct gstk_future *f)
{
	if (!f->commit)
		gstk__unlock(f->lock);
	no_wait(f);
	f->result = gstk__awaits[f->s->op]->end(f, GSTK__CODE_NOMEM);
	return f->result == GSTK__AWAIT_PARK && park(w, f); /* one without a deadline */
}

/* True: from the unlock on it may run, or be gone. False: the wait is over. */
static bool park(struct gstk__worker *w, struct gstk_future *f)
{
	struct gstk_task *t = f->task;
	uint64_t deadline_ns = f->deadline_ns;

	if (__builtin_expect(t->flags & GSTK__T_DEADLINE, 0) && !f->through && gstk__ext(t)->deadline_ns < deadline_ns)
		deadline_ns = gstk__ext(t)->deadline_ns;
	if (!f->lock)
		f->lock = gstk__no_lock();
	if (deadline_ns != GSTK_NEVER && __builtin_expect(!set_timer(f->s, t, deadline_ns), 0))
		return no_memory(w, f);
	t->why = (uint8_t)(f->why ? f->why : gstk__awaits[f->s->op]->why);
	t->tick = w->tick;
	GSTK__PROBE2(block, t, t->why);
	GSTK__TRACE(left(w, t, t->why));
	w->current = NULL;
	if (deadline_ns != GSTK_NEVER || f->commit || f->through) {
		park_owned(f, deadline_ns != GSTK_NEVER);
	} else {
		uint32_t word;

		w->after_lock = f->lock;
		word = gstk__park_unlock(w, t);
		if (__builtin_expect(word, 0))
			gstk__parked_canceled(t, word);
	}
	return true;
}

/* Behind all others; @result is for when it comes back. */
static void requeue(struct gstk__worker *w, struct gstk_future *f, int64_t result)
{
	struct gstk_task *t = f->task;

	f->s->op = GSTK__AWAIT_YIELD;
	t->msg[0] = (uint64_t)result;
	GSTK__TRACE(left(w, t, GSTK__TRACE_YIELDED));
	w->current = NULL;
	gstk__state_yield(t);
	gstk__push_ready(w, gstk__task_index(t));
}

static __attribute__((cold, noinline)) void waits_for_nothing(const struct gstk_task *t, enum gstk_progress progress)
{
	if (progress == GSTK_PENDING)
		fprintf(stderr, "greenstk: the poll function of task %u \"%s\" returned GSTK_PENDING, but had called no "
			"gstk_await_...(); nothing would ever wake it\n", gstk__task_index(t), gstk__stackless_name(t));
	else
		fprintf(stderr, "greenstk: the poll function of task %u \"%s\" returned %d; it is to return what "
			"gstk_future_done() or a gstk_await_...() returned\n", gstk__task_index(t),
			gstk__stackless_name(t), (int)progress);
	abort();
}

static __attribute__((cold, noinline)) void came_back_forked(void)
{
	fprintf(stderr, "greenstk: a poll function returned in a child of fork(); end it with _exit() or exec\n");
	abort();
}

/* Poll it until it waits, or ends. */
static void poll_on(struct gstk__worker *w, struct gstk_future *f)
{
	struct gstk_task *t = f->task;
	struct gstk__stackless *s = f->s;

	for (int turns = 1;; turns++) {
		enum gstk_progress progress;

		s->op = GSTK__AWAIT_NONE;
		f->deadline_ns = GSTK_NEVER;
		no_wait(f);
		gstk__count(&w->park.n.future_polls);
		progress = s->type->poll(f, s->state);
		if (__builtin_expect(gstk__self() != w, 0))
			came_back_forked();
		if (progress == GSTK_READY) {
			gstk__stackless_exit(w, t, f->value);
			return;
		}
		if (__builtin_expect(progress != GSTK_PENDING || s->op == GSTK__AWAIT_NONE, 0))
			waits_for_nothing(t, progress);
		if (s->op == GSTK__AWAIT_YIELD) {
			requeue(w, f, 0);
			return;
		}
		if (s->op != GSTK__AWAIT_RESULT) {
			f->result = gstk__awaits[s->op]->begin(f);
			if (f->result == GSTK__AWAIT_PARK && park(w, f))
				return;
		}
		if (turns == MOST_AT_ONCE) {
			requeue(w, f, f->result);
			return;
		}
	}
}

void gstk__stackless_run(struct gstk__worker *w, struct gstk_task *t)
{
	struct gstk__stackless *s = t->stackless;
	struct gstk_future f = { .task = t, .s = s, .deadline_ns = GSTK_NEVER };
	enum gstk__code code = gstk__code_of(gstk__word(t));
	size_t signal_bytes = w->signal_bytes;

	w->current = t;
	w->signal_bytes = SIZE_MAX; /* nobody may wait here: block.c, refuse() */
	gstk__state_run(t);
	gstk__count(&w->park.n.switches);
	GSTK__PROBE2(run, t, w->index);
	GSTK__TRACE(run(w));
	if (s->timer) {
		gstk__timer_disarm(s->timer);
		f.deadline_ns = s->timer->deadline_ns;
	}
	if (s->op != GSTK__AWAIT_NONE)
		f.result = gstk__awaits[s->op]->end(&f, code);
	else
		gstk__gauge(&w->park.n.stackless, 1);
	if (f.result != GSTK__AWAIT_PARK || !park(w, &f)) {
		if (s->timer) {
			gstk__timer_put(s->timer);
			s->timer = NULL;
		}
		poll_on(w, &f);
	}
	w->signal_bytes = signal_bytes;
	w->current = NULL;
}
