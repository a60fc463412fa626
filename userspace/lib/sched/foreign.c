// SPDX-License-Identifier: MIT
#include "sched/foreign.h"

#include <greenstk/base.h>
#include <pthread.h>
#include "host/host.h"
#include "sched/timer_pool.h"
#include "sched/worker.h"

static __thread struct gstk_task *self;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void thread_exit(void *p)
{
	struct gstk_task *t = p;

	self = NULL;
	if (!gstk__tasks) /* the runtime went away before the thread */
		return;
	gstk__state_end(t, GSTK__FREE);
	gstk__task_free(NULL, t);
}

static void make_key(void)
{
	pthread_key_create(&key, thread_exit);
}

static uint32_t generation(void)
{
	return atomic_load_explicit(&gstk__sched.generation, memory_order_relaxed);
}

struct gstk_task *gstk__foreign_self(void)
{
	static __thread uint32_t born;

	if (__builtin_expect(!self || born != generation(), 0)) {
		struct gstk_task *t;

		if (!gstk__sched.nr)
			return NULL;
		pthread_once(&once, make_key);
		t = gstk__task_alloc(NULL);
		if (!t)
			return NULL;
		t->flags = GSTK__T_FOREIGN;
		t->tier = GSTK__TIER_NONE;
		t->window = 0;
		t->why = GSTK__WAIT_NONE;
		atomic_store_explicit(&t->poke, 0, memory_order_relaxed);
		atomic_store_explicit(&t->peer, GSTK__PEER_DETACHED, memory_order_relaxed);
		gstk__state_spawn(t);
		gstk__state_run(t);
		self = t;
		born = generation();
		pthread_setspecific(key, t);
	}
	return self;
}

struct gstk_task *gstk__current_task(void)
{
	struct gstk__worker *w = gstk__self();

	return w ? w->current : NULL;
}

static void timed_out(struct gstk__timer *timer)
{
	gstk__wake(timer->task, GSTK__CODE_TIMEDOUT);
}

enum gstk__code gstk__block_foreign(gstk__commit_fn commit, void *arg, enum gstk__why why, uint64_t deadline_ns,
				    bool cancelable)
{
	struct gstk_task *t = gstk__foreign_self();
	struct gstk__timer *timer = NULL;
	uint32_t word;

	if (deadline_ns != GSTK_NEVER) {
		timer = gstk__timer_get();
		timer->deadline_ns = deadline_ns;
		timer->fn = timed_out;
		timer->task = t;
	}
	t->why = (uint8_t)why;
	gstk__state_park(t, GSTK__OWNED, cancelable ? 0 : GSTK__NOCANCEL);
	if (timer) {
		gstk__timer_arm(timer);
		gstk__wake_idle(NULL); /* somebody must sleep no longer than this */
	}
	if (!commit(t, arg))
		(void)!gstk__state_wake(t, GSTK__CODE_OK, 0);
	if (gstk__state_disown(t) != GSTK__ENQUEUE) {
		atomic_fetch_add(&gstk__sched.foreign_blocked, 1);
		while (gstk__state_of(word = gstk__word(t)) != GSTK__RUNNABLE)
			gstk__futex_wait(&t->word, word, GSTK_NEVER);
		atomic_fetch_sub(&gstk__sched.foreign_blocked, 1);
	}
	gstk__state_run(t);
	if (timer) {
		gstk__timer_disarm(timer);
		gstk__timer_put(timer);
	}
	t->why = GSTK__WAIT_NONE;
	return gstk__code_of(gstk__word(t));
}
