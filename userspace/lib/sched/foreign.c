// SPDX-License-Identifier: MIT
#include "sched/foreign.h"

#include <greenstk/base.h>
#include <pthread.h>
#include "debug/annotate.h"
#include "debug/locks.h"
#include "host/host.h"
#include "host/refuse.h"
#include "sched/worker.h"

#define SPIN_MAX_NS 50000u /* below what going to sleep and being woken costs */
#define SPIN_MIN_NS 1000u
#define ASLEEP	    (UINT32_MAX - 1) /* in ->next: it waits, or is about to, on its futex */

static __thread struct gstk_task *self;
static __thread bool canceled; /* and not yet through with what it waited for: counted in foreign_waits */
static __thread uint32_t born; /* the generation that self is of */
static __thread uint32_t spin_ns = SPIN_MIN_NS * 4; /* how long it has paid lately */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/*
 * Of runtimes in this process. A stand-in ends with its runtime, for the next one has a pool of its own; its
 * thread may end then or much later. The lock is held while one is given back, and by a runtime that ends.
 */
static _Atomic uint32_t generation, lives;

static bool forked; /* into a child, which has no runtime */

static bool stale(void)
{
	return born != atomic_load_explicit(&generation, memory_order_relaxed);
}

void gstk__foreign_life_ends(void)
{
	gstk__lock(&lives);
	atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
	gstk__unlock(&lives);
}

void gstk__foreign_forked(void)
{
	forked = true;
	atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void thread_exit(void *p)
{
	struct gstk_task *t = p;

	self = NULL;
	if (stale()) /* also in a child of fork(), where the lock may be taken for ever */
		return;
	gstk__lock(&lives);
	if (!stale()) {
		if (gstk__locks_watched)
			gstk__locks_ended(t);
		atomic_fetch_sub(&gstk__sched.foreigners, 1);
		gstk__state_end(t, GSTK__FREE);
		gstk__task_free(NULL, t);
	}
	gstk__unlock(&lives);
}

static void make_key(void)
{
	pthread_key_create(&key, thread_exit);
}

struct gstk_task *gstk__foreign_self(void)
{
	if (__builtin_expect(!self || stale(), 0)) {
		struct gstk_task *t;

		struct gstk__worker *w = gstk__self();

		if (!gstk__sched.nr || (w && gstk__in_handler(w))) /* which may have interrupted who has the pool's lock */
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
		atomic_fetch_add(&gstk__sched.foreigners, 1);
		self = t;
		born = atomic_load_explicit(&generation, memory_order_relaxed);
		pthread_setspecific(key, t);
	}
	return self;
}

int gstk__no_runtime(const char *call)
{
	return gstk__refuse_with(-ESRCH, "%s: there is no runtime %s", call,
				 forked ? "in a child of fork(); the way to one is exec"
					: "(not yet, or not any more); begin one with gstk_init() or gstk_main()");
}

int gstk__no_task(const char *call)
{
	if (!gstk__sched.nr)
		return gstk__no_runtime(call);
	if (gstk__no_wait_here())
		return gstk__wait_refused(NULL);
	return gstk__refuse_with(-ENOMEM, "%s: a thread that waits takes the place of a task, and all %zu are taken; more: "
				 "gstk_config.max_tasks or GREENSTK_MAX_TASKS", call, gstk__max_tasks);
}

struct gstk_task *gstk__current_task(void)
{
	struct gstk__worker *w = gstk__self();

	return w ? w->current : NULL;
}

static bool woken(struct gstk_task *t)
{
	return gstk__state_of(gstk__word(t)) == GSTK__RUNNABLE;
}

/* While a worker sleeps there is a CPU for us to spin on. False: it did not come. */
static bool spin(struct gstk_task *t)
{
	struct gstk__sched *s = &gstk__sched;
	uint64_t start;

	if (s->nr - atomic_load_explicit(&s->sleeping, memory_order_relaxed) >= s->cpus)
		return woken(t);
	start = gstk__now_ns();
	for (uint32_t i = 1; !woken(t); i++) {
		gstk__cpu_relax();
		if (i % 16 == 0 && gstk__now_ns() - start > spin_ns) {
			spin_ns = spin_ns / 2 > SPIN_MIN_NS ? spin_ns / 2 : SPIN_MIN_NS;
			return false;
		}
	}
	spin_ns = spin_ns * 2 < SPIN_MAX_NS ? spin_ns * 2 : SPIN_MAX_NS;
	return true;
}

/* It times out by itself: no worker may come to look at a timer for long. */
static void sleep_until_woken(struct gstk_task *t, uint64_t deadline_ns)
{
	uint64_t left = GSTK_NEVER;
	uint32_t word;

	__atomic_store_n(&t->next, ASLEEP, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_seq_cst); /* partner: gstk__foreign_wake() */
	while (gstk__state_of(word = gstk__word(t)) != GSTK__RUNNABLE) {
		if (deadline_ns != GSTK_NEVER) {
			uint64_t now = gstk__now_ns();

			if (now >= deadline_ns) {
				gstk__wake(t, GSTK__CODE_TIMEDOUT); /* or it is just being woken */
				deadline_ns = left = GSTK_NEVER;
				continue;
			}
			left = deadline_ns - now;
		}
		gstk__futex_wait(&t->word, word, left);
	}
	__atomic_store_n(&t->next, 0, __ATOMIC_RELAXED);
}

/* Its word says RUNNABLE. It may run already, and be gone: then this wakes somebody for nothing. */
void gstk__foreign_wake(struct gstk_task *t)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (gstk__peek(&t->next) == ASLEEP)
		gstk__futex_wake(&t->word, 1);
}

enum gstk__code gstk__block_foreign(gstk__commit_fn commit, void *arg, enum gstk__why why, uint64_t deadline_ns,
				    bool cancelable)
{
	struct gstk_task *t = gstk__foreign_self();
	bool timed = deadline_ns != GSTK_NEVER;
	enum gstk__code code;

	atomic_fetch_add(&gstk__sched.foreign_waits, 1);
	t->why = (uint8_t)why;
	gstk__state_park(t, GSTK__OWNED, cancelable ? 0 : GSTK__NOCANCEL);
	if (!commit(t, arg))
		(void)!gstk__state_wake(t, GSTK__CODE_OK, 0);
	if (gstk__state_disown(t) != GSTK__ENQUEUE) {
		/* Whose time runs out goes on: it is in no deadlock. */
		atomic_fetch_add(&gstk__sched.foreign_blocked, !timed);
		if (!spin(t))
			sleep_until_woken(t, deadline_ns);
		atomic_fetch_sub(&gstk__sched.foreign_blocked, !timed);
	}
	gstk__state_run(t);
	t->why = GSTK__WAIT_NONE;
	code = gstk__code_of(gstk__word(t));
	if (code == GSTK__CODE_CANCELED && !canceled)
		canceled = true;
	else
		atomic_fetch_sub(&gstk__sched.foreign_waits, 1);
	return code;
}

__attribute__((cold, noinline)) void gstk__wait_is_over(void)
{
	if (!canceled)
		return;
	canceled = false;
	atomic_fetch_sub(&gstk__sched.foreign_waits, 1);
}

void gstk__foreign_cancel(void)
{
	uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);

	for (uint32_t i = 1; i < high; i++) {
		struct gstk_task *t = gstk__task(i);
		uint32_t word = gstk__word(t);

		if (gstk__flags(t) & GSTK__T_FOREIGN &&
		    (gstk__state_of(word) == GSTK__PARKED || gstk__state_of(word) == GSTK__OWNED) &&
		    gstk__state_wake(t, GSTK__CODE_CANCELED, word) == GSTK__ENQUEUE)
			gstk__foreign_wake(t); /* not enqueue(): it may be gone, and its place be a task's */
	}
}
