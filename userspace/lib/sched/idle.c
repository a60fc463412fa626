// SPDX-License-Identifier: MIT
/*
 * Workers without work. A worker first searches (spins over the others' queues) for as long as
 * that has paid lately, then sleeps: one of the sleepers in the poller, the rest on their futex.
 *
 * No lost wake: a sleeper announces itself (sleeping, seq_cst), then looks at all queues again; a
 * pusher makes its item visible, fences, then looks at sleeping. No stampede: while somebody
 * searches nobody is woken; a searcher that finds work wakes the next if there is more.
 *
 * Nobody is stuck unseen: who is awake may get stuck in a task, and then somebody has to be there who
 * looks. A sleeper in the poller looks every millisecond while others are awake. After all have slept
 * for as long as nothing happens, the first that gets something to do rouses another for that.
 */
#include <greenstk/base.h>

#include "debug/inject.h"
#include "host/host.h"
#include "sched/stuck.h"
#include "sched/timer.h"
#include "sched/worker.h"

#define SPIN_MAX_NS 50000u /* below what waking another CPU costs */
#define SPIN_MIN_NS 2000u
#define LONE_MAX    1023u
#define WATCH_NS    1000000u /* a sleeper looks this often while others are busy */
#define ROUSE_NS    20000000u /* one is woken for that not more often; who goes to sleep meanwhile looks then */

void gstk__wake_worker(uint32_t index)
{
	struct gstk__worker *v = gstk__sched.worker[index];
	uint32_t how = atomic_load(&v->futex); /* after the caller's push, in the order of all: see gstk__idle() */

	/* Mostly it is awake, and its line stays. It may wake by itself meanwhile, and go to sleep in another way. */
	do {
		if (!how)
			return;
		GSTK__INJECT(wake_worker);
	} while (!atomic_compare_exchange_weak(&v->futex, &how, 0));
	if (how == 1)
		gstk__futex_wake(&v->futex, 1);
	else if (gstk__poller)
		gstk__poller->wake();
}

/* Wake one sleeper, if there is one: first those on a futex, then the one in the poller. */
void gstk__wake_idle(struct gstk__worker *w)
{
	struct gstk__sched *s = &gstk__sched;

	atomic_thread_fence(memory_order_seq_cst);
	for (int pass = 1; pass <= 2; pass++) {
		for (uint32_t i = 0; i < s->nr; i++) {
			struct gstk__worker *v = s->worker[i];
			uint32_t how = atomic_load_explicit(&v->futex, memory_order_relaxed);

			if (how != (uint32_t)pass || !atomic_compare_exchange_strong(&v->futex, &how, 0))
				continue;
			if (w)
				gstk__count(&w->park.n.worker_wakes);
			if (pass == 1)
				gstk__futex_wake(&v->futex, 1);
			else if (gstk__poller)
				gstk__poller->wake();
			return;
		}
	}
}

/* After gstk__inject(), on a thread that is no worker. While somebody searches nobody is woken. */
void gstk__injected(void)
{
	struct gstk__sched *s = &gstk__sched;

	atomic_thread_fence(memory_order_seq_cst); /* partners: gstk__idle(), search() */
	if (atomic_load_explicit(&s->sleeping, memory_order_relaxed) &&
	    !atomic_load_explicit(&s->searching, memory_order_relaxed))
		gstk__wake_idle(NULL);
}

/* False: there is nobody. */
static bool wake_poller(void)
{
	for (uint32_t i = 0; i < gstk__sched.nr; i++) {
		uint32_t two = 2;

		if (atomic_compare_exchange_strong(&gstk__sched.worker[i]->futex, &two, 0)) {
			if (gstk__poller)
				gstk__poller->wake();
			return true;
		}
	}
	return false;
}

/* This worker goes to run something: somebody who sleeps may have to look at it. */
static void rouse(struct gstk__worker *w, uint64_t now)
{
	struct gstk__sched *s = &gstk__sched;
	uint64_t last = atomic_load_explicit(&s->roused_ns, memory_order_relaxed);

	if (s->alone || !atomic_load(&s->sleeping) || now - last < ROUSE_NS ||
	    !atomic_compare_exchange_strong(&s->roused_ns, &last, now))
		return;
	if (!wake_poller())
		gstk__wake_idle(w);
}

static uint64_t next_timer(void)
{
	uint64_t first = GSTK_NEVER;

	for (uint32_t i = 0; i < gstk__sched.nr; i++) {
		uint64_t t = gstk__timer_wheel_next_deadline(&gstk__timer_wheels[i]);

		if (t < first)
			first = t;
	}
	return first;
}

/* Timers of all wheels: their workers may be busy or asleep. */
static void run_timers(uint64_t now)
{
	for (uint32_t i = 0; i < gstk__sched.nr; i++)
		gstk__timer_wheel_advance(&gstk__timer_wheels[i], now);
}

/* Something for this worker, in a line that it has: it need not search. */
static inline bool called(struct gstk__worker *w)
{
	return atomic_load_explicit(&w->inbox, memory_order_relaxed) ||
	       atomic_load_explicit(&gstk__sched.inject_nr, memory_order_relaxed);
}

/* Spin for work. True when there may be some. */
static bool search(struct gstk__worker *w)
{
	struct gstk__sched *s = &gstk__sched;
	uint64_t start = gstk__now_ns(), now = start;
	uint32_t item = 0, pause = 8, mask;

	if (!gstk__may_spin() || (s->alone && !atomic_load_explicit(&s->foreigners, memory_order_relaxed)))
		return false;
	atomic_fetch_add(&s->searching, 1);
	do {
		for (uint32_t i = 0; i < pause && !called(w); i++)
			gstk__cpu_relax();
		pause = pause < 64 ? pause * 2 : pause; /* each look costs the others a cache line */
		item = gstk__find_work(w);
		if (item || atomic_load_explicit(&s->stop, memory_order_relaxed))
			break;
		now = gstk__now_ns();
	} while (now - start < w->spin_ns);
	/* The last searcher that goes to work leaves the search to another. */
	if (atomic_fetch_sub(&s->searching, 1) == 1 && item && gstk__work_visible(w) &&
	    atomic_load(&s->sleeping))
		gstk__wake_idle(w);
	mask = atomic_load_explicit(&s->lone_mask, memory_order_relaxed);
	if (item ? mask : mask < LONE_MAX)
		atomic_store_explicit(&s->lone_mask, item ? mask / 2 : mask * 2 + 1, memory_order_relaxed);
	if (item) {
		w->pending = item;
		w->spin_ns = w->spin_ns * 2 < SPIN_MAX_NS ? w->spin_ns * 2 : SPIN_MAX_NS;
		return true;
	}
	w->spin_ns = w->spin_ns / 2 > SPIN_MIN_NS ? w->spin_ns / 2 : SPIN_MIN_NS;
	return false;
}

/* Wait for work, at most @timeout_ns. False when the time was up. */
bool gstk__idle(struct gstk__worker *w, uint64_t timeout_ns)
{
	struct gstk__sched *s = &gstk__sched;
	uint64_t now, wake_at, limit;
	uint32_t zero = 0, wakings;
	bool poller, watch, busy;
	int events = 0;

	if (gstk__poller && gstk__poll_events(w, 0) > 0)
		return true;
	if (search(w))
		return true;
	gstk__deque_trim(&w->ready);
	gstk__deque_trim(&w->fresh);
	now = gstk__now_ns();
	limit = timeout_ns < GSTK_NEVER - now ? now + timeout_ns : GSTK_NEVER;
	if (gstk__sweep_hook) {
		uint64_t next = gstk__sweep_hook(w, now, true);

		if (next < limit)
			limit = next;
	}
	poller = !atomic_exchange(&s->polling, 1);
	atomic_store(&w->futex, poller && gstk__poller ? 2 : 1);
	atomic_fetch_add(&s->sleeping, 1);
	/* Partner: the fence in pushed() and in gstk__wake_idle(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (gstk__work_visible(w) || atomic_load(&s->stop) ||
	    (!w->index && atomic_load(&s->main_task) == GSTK__MAIN_ENDED)) {
		zero = 1;
	} else {
		gstk__count(&w->park.n.worker_sleeps);
		/* Before the look at the wheels: who arms a timer meanwhile and sleeps must find that we
		 * sleep too long, or we find its timer. */
		if (poller)
			atomic_store(&s->poll_until, GSTK_NEVER);
		atomic_thread_fence(memory_order_seq_cst);
		wake_at = poller ? next_timer() : GSTK_NEVER;
		wakings = atomic_load(&s->wakings);
		watch = poller && atomic_load(&s->sleeping) < s->nr;
		if (poller && wake_at == GSTK_NEVER && timeout_ns == GSTK_NEVER) /* the sweep wakes nobody */
			gstk__deadlock_check();
		/* Who was awake before or during the check leaves the next one to us, too. */
		watch = watch || (poller && !gstk__all_slept_since(wakings));
		if (wake_at > limit)
			wake_at = limit;
		if (poller)
			atomic_store(&s->poll_until, wake_at);
		else if (next_timer() < atomic_load(&s->poll_until))
			wake_poller(); /* it sleeps too long for a timer armed since */
		now = gstk__now_ns();
		wake_at = wake_at == GSTK_NEVER ? GSTK_NEVER : wake_at > now ? wake_at - now : 0;
		if (wake_at > WATCH_NS && watch)
			wake_at = WATCH_NS;
		else if (wake_at > ROUSE_NS && !s->alone &&
			 now - atomic_load_explicit(&s->roused_ns, memory_order_relaxed) < ROUSE_NS)
			wake_at = ROUSE_NS;
		if (poller && gstk__poller)
			events = gstk__poll_events(w, wake_at);
		else
			gstk__futex_wait(&w->futex, 1, wake_at);
	}
	busy = !atomic_exchange(&w->futex, 0) || events > 0; /* woken by somebody */
	atomic_fetch_sub(&s->sleeping, 1);
	atomic_fetch_add(&s->wakings, 1); /* after it: see gstk__all_slept_since() */
	if (poller) {
		atomic_store(&s->poll_until, 0);
		atomic_store(&s->polling, 0);
	}
	now = gstk__now_ns();
	gstk__refresh_clock(w, now);
	run_timers(now);
	gstk__stuck_look(w, now);
	/* Whoever leaves the poller hands its timers and events to another sleeper. */
	if (poller && !s->alone && atomic_load(&s->sleeping) && gstk__work_visible(w))
		gstk__wake_idle(w);
	if (busy || gstk__work_visible(w)) /* that of a timer, too */
		rouse(w, now);
	return zero || limit == GSTK_NEVER || now < limit;
}

/*
 * The caller goes back to a loop of its own (an embedded runtime's only worker): for others it now
 * sleeps in the poller, so their wakes, its own, events and the next timer make the descriptor readable.
 */
void gstk__go_outside(struct gstk__worker *w)
{
	uint64_t next = gstk__sweep_hook ? gstk__sweep_hook(w, gstk__now_ns(), true) : GSTK_NEVER, timer;

	GSTK__INJECT(go_outside);
	w->batch |= GSTK__BATCH_OUTSIDE;
	atomic_store(&w->futex, 2);
	/* Partner: the fence in gstk__wake_idle(). Who arms a timer or brings work after it wakes us. */
	atomic_thread_fence(memory_order_seq_cst);
	timer = next_timer();
	if (timer < next)
		next = timer;
	gstk__poller->leave(gstk__work_visible(w) ? 0 : next);
}

void gstk__come_inside(struct gstk__worker *w)
{
	w->batch &= ~GSTK__BATCH_OUTSIDE;
	atomic_store(&w->futex, 0);
	gstk__poller->come_back();
}
