// SPDX-License-Identifier: MIT
/*
 * A worker that does not come to a scheduling point: in a system call, or computing. Whoever polls
 * looks at the others now and then, and takes its queues and next-to-run slot over; a watchdog, where there
 * is one (debug/watchdog.c), wakes a sleeper for that; idle workers steal
 * these sooner (loop.c). Its timers are run by any poll_all() and idle worker, descriptors by any poll.
 * Only tasks pinned to it, and the mates of the task it runs, have to wait.
 */
#include "sched/stuck.h"

#include "debug/annotate.h"
#include "host/host.h"
#include "sched/worker.h"

#define LOOK_EVERY_NS 5000000u
#define STUCK_NS      10000000u
#define TAKE_MOST     4096 /* items of a queue at a look */

void (*gstk__stuck_hook)(uint32_t index, uint64_t stuck_ns, bool alone);
uint64_t gstk__stuck_report_ns;

static struct {
	_Atomic uint64_t next_ns; /* of the next look; who sets it looks */
	struct {
		uint64_t progress, since_ns;
		bool counted, told;
	} of[GSTK__MAX_WORKERS];
	_Atomic uint64_t nr, longest_ns;
} stuck;

void gstk__stuck_reset(void)
{
	atomic_store(&stuck.next_ns, 0);
	atomic_store(&stuck.nr, 0);
	atomic_store(&stuck.longest_ns, 0);
	for (uint32_t i = 0; i < GSTK__MAX_WORKERS; i++)
		stuck.of[i].since_ns = 0;
}

void gstk__stuck_counts(uint64_t *nr, uint64_t *longest_ns)
{
	*nr = atomic_load(&stuck.nr);
	*longest_ns = atomic_load(&stuck.longest_ns);
}

/* Changes with every pick and switch; 0: it runs no task. */
static GSTK__RACY uint64_t progress_of(struct gstk__worker *v)
{
	uint64_t switches = __atomic_load_n(&v->park.n.switches, __ATOMIC_RELAXED);

	if (!*(struct gstk_task *volatile *)&v->current)
		return 0;
	return (switches << 32 | *(volatile uint32_t *)&v->picks) + 1;
}

/* The queues of a stuck worker: a busy one that looks would never come to steal. Pinned tasks stay. */
static void take_over(struct gstk__worker *w, struct gstk__worker *v)
{
	uint32_t item = atomic_load_explicit(&v->next, memory_order_relaxed);

	if (item && atomic_compare_exchange_strong_explicit(&v->next, &item, 0, memory_order_acq_rel,
							    memory_order_relaxed))
		gstk__push_ready(w, item);
	for (int most = TAKE_MOST; most && (item = gstk__deque_steal(&v->ready)); most--)
		gstk__push_ready(w, item);
	for (int most = TAKE_MOST; most && (item = gstk__deque_steal(&v->fresh)); most--)
		gstk__push_fresh(w, item);
}

/* As far as is known: at the first look all are free. */
static bool others_free(const struct gstk__worker *w, uint32_t i, uint64_t now)
{
	for (uint32_t k = 0; k < gstk__sched.nr; k++) {
		if (k == i)
			continue;
		if ((w && k == w->index) || !stuck.of[k].since_ns ||
		    progress_of(gstk__sched.worker[k]) != stuck.of[k].progress || now - stuck.of[k].since_ns < STUCK_NS)
			return true;
	}
	return false;
}

/* @w: who looks; NULL: none of the workers. */
static void look_at(struct gstk__worker *w, uint32_t i, uint64_t now)
{
	uint64_t progress = progress_of(gstk__sched.worker[i]), ns;

	if (!progress || progress != stuck.of[i].progress || !stuck.of[i].since_ns) {
		stuck.of[i].progress = progress;
		stuck.of[i].since_ns = now;
		stuck.of[i].counted = stuck.of[i].told = false;
		return;
	}
	ns = now - stuck.of[i].since_ns;
	if (ns < STUCK_NS)
		return;
	if (!stuck.of[i].counted)
		atomic_fetch_add(&stuck.nr, 1);
	stuck.of[i].counted = true;
	if (w)
		take_over(w, gstk__sched.worker[i]);
	else
		gstk__injected(); /* if one sleeps, it steals */
	if (ns > atomic_load(&stuck.longest_ns))
		atomic_store(&stuck.longest_ns, ns);
	if (gstk__stuck_hook && gstk__stuck_report_ns && ns >= gstk__stuck_report_ns && !stuck.of[i].told) {
		stuck.of[i].told = true;
		gstk__stuck_hook(i, ns, !others_free(w, i, now));
	}
}

static void look(struct gstk__worker *w, uint64_t now_ns)
{
	uint64_t next = atomic_load_explicit(&stuck.next_ns, memory_order_relaxed);

	/* UINT64_MAX while somebody looks. */
	if (now_ns < next || !atomic_compare_exchange_strong(&stuck.next_ns, &next, UINT64_MAX))
		return;
	for (uint32_t i = 0; i < gstk__sched.nr; i++)
		if (!w || i != w->index)
			look_at(w, i, now_ns);
	atomic_store(&stuck.next_ns, now_ns + LOOK_EVERY_NS);
}

void gstk__stuck_look(struct gstk__worker *w, uint64_t now_ns)
{
	look(w, now_ns);
}

void gstk__stuck_watch(uint64_t now_ns)
{
	look(NULL, now_ns);
}
