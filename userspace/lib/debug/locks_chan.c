// SPDX-License-Identifier: MIT
/*
 * Tasks that wait for each other by channels. Nobody owns a channel, so this is a suspicion: some tasks wait without
 * a deadline, and whoever has used the other end of what each waits for, so far, is one of them. A thread looks
 * twice a second; what is the same twice is told, once, and the process goes on.
 *
 * The set is the greatest one: begin with all that wait for a channel, a lock or an end, and drop who may be let go by
 * somebody outside, until nobody is.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "debug/annotate.h"
#include "debug/locks_table.h"
#include "host/host.h"
#include "host/lock.h"
#include "sched/worker.h"

#define NR_BUCKETS 1024u
#define MAX_USERS  16u /* of one end; more are anybody */
#define PERIOD_NS  500000000u

struct channel {
	struct channel *next; /* of its hash */
	const void *at;
	struct end {
		bool anybody; /* or nobody in particular: a timer */
		uint32_t nr;
		struct user {
			uint32_t task, birth;
		} user[MAX_USERS];
	} end[2];
};

static struct channel *bucket[NR_BUCKETS];
static _Atomic uint32_t stop;
static pthread_t thread;
static bool running;
static uint64_t seen_before, told; /* sets, by a sum */

static struct channel **place_of(const void *at)
{
	struct channel **p = &bucket[(uint32_t)((uintptr_t)at >> 4) * 0x9e3779b1u >> 22];

	while (*p && (*p)->at != at)
		p = &(*p)->next;
	return p;
}

void gstk__locks_chan_used(const void *chan, enum gstk__chan_end end)
{
	const struct gstk__worker *w = gstk__self();
	const struct gstk_task *t = w ? w->current : gstk__current();
	uint32_t i = t ? gstk__task_index(t) : 0, k;
	struct channel **p;
	struct end *e;

	gstk__lock(&gstk__locks_big);
	p = place_of(chan);
	if (!*p) {
		*p = calloc(1, sizeof(**p));
		if (!*p)
			abort();
		(*p)->at = chan;
	}
	e = &(*p)->end[end];
	for (k = 0; k < e->nr && (e->user[k].task != i || e->user[k].birth != gstk__lock_users[i].birth); k++)
		;
	if (!t || k == MAX_USERS)
		e->anybody = true;
	else if (k == e->nr)
		e->user[e->nr++] = (struct user){ i, gstk__lock_users[i].birth };
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_chan_gone(const void *chan)
{
	struct channel **p, *c;

	gstk__lock(&gstk__locks_big);
	p = place_of(chan);
	c = *p;
	if (c) {
		*p = c->next;
		free(c);
	}
	gstk__unlock(&gstk__locks_big);
}

void gstk__locks_chan_waits(const void *chan, struct gstk_task *t, uint64_t deadline_ns)
{
	struct gstk__lock_user *u = &gstk__lock_users[gstk__task_index(t)];

	gstk__lock(&gstk__locks_big);
	u->chan = gstk__waits_for_ever(t, deadline_ns) ? chan : NULL;
	gstk__unlock(&gstk__locks_big);
}

/* ---- the look ---- */

static bool alive(const struct user *u)
{
	enum gstk__state state = gstk__state_of(gstk__word(gstk__task(u->task)));

	return u->birth == gstk__lock_users[u->task].birth && state != GSTK__FREE && state != GSTK__DONE;
}

/* Does @t wait, for something whose end may be known? */
static GSTK__RACY bool may_be_stuck(const struct gstk_task *t)
{
	struct gstk__lock_user *u = &gstk__lock_users[gstk__task_index(t)];
	uint32_t word = gstk__word(t);
	bool waits = gstk__state_of(word) == GSTK__PARKED ||
		     (gstk__state_of(word) == GSTK__OWNED && !(word & GSTK__NOTIFIED));
	uint8_t why = *(const volatile uint8_t *)&t->why;

	u->by_chan = u->chan && (why == GSTK__WAIT_CHAN_RECV || why == GSTK__WAIT_CHAN_SEND) &&
		     *(void *const volatile *)&t->obj == u->chan;
	u->chan_end = why == GSTK__WAIT_CHAN_RECV ? GSTK__CHAN_SENDS : GSTK__CHAN_RECEIVES; /* who could end it */
	return waits && (u->by_chan || u->waits || (why == GSTK__WAIT_JOIN && gstk__locks_joined(u)));
}

/* Is whoever could end this wait in the set? */
static bool stays(const struct gstk__lock_user *u)
{
	const struct channel *c;
	unsigned int known = 0;

	if (!u->by_chan && !u->waits)
		return gstk__lock_users[u->joins].stuck;
	if (!u->by_chan) {
		for (const struct gstk__lock_hold *h = u->waits->holds; h; h = h->of_lock)
			if (gstk__lock_users[h->task].stuck)
				return true;
		return false;
	}
	c = *place_of(u->chan);
	if (!c || c->end[u->chan_end].anybody)
		return false;
	for (uint32_t k = 0; k < c->end[u->chan_end].nr; k++) {
		const struct user *who = &c->end[u->chan_end].user[k];

		if (!alive(who))
			continue;
		if (!gstk__lock_users[who->task].stuck)
			return false;
		known++;
	}
	return known; /* with nobody known, it may be somebody who has not come yet */
}

/* The set; returns a sum that is another one for another set or other waits, 0 when there is nothing to tell. */
static uint64_t find_stuck(uint32_t high)
{
	bool changed = true, by_chan = false;
	uint64_t sum = 0;

	for (uint32_t i = 1; i < high; i++)
		gstk__lock_users[i].stuck = may_be_stuck(gstk__task(i));
	while (changed) {
		changed = false;
		for (uint32_t i = 1; i < high; i++)
			if (gstk__lock_users[i].stuck && !stays(&gstk__lock_users[i])) {
				gstk__lock_users[i].stuck = false;
				changed = true;
			}
	}
	for (uint32_t i = 1; i < high; i++)
		if (gstk__lock_users[i].stuck) {
			by_chan |= gstk__lock_users[i].by_chan;
			sum = (sum ^ i ^ (uint64_t)gstk__word(gstk__task(i)) << 32) * 0x9e3779b97f4a7c15ull;
		}
	return by_chan ? sum | 1 : 0;
}

uint32_t gstk__chan_user(const void *chan, enum gstk__chan_end end, uint32_t k)
{
	const struct channel *c = *place_of(chan);

	return c && k < c->end[end].nr ? c->end[end].user[k].task : 0;
}

static void look(void)
{
	uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);
	uint64_t sum;

	gstk__lock(&gstk__locks_big);
	sum = find_stuck(high);
	if (sum && sum == seen_before && sum != told) {
		told = sum;
		gstk__report_suspects(high);
	}
	seen_before = sum;
	gstk__unlock(&gstk__locks_big);
}

static void *looker(void *arg)
{
	pthread_setname_np(pthread_self(), "gstk-locks");
	for (;;) {
		gstk__futex_wait(&stop, 0, PERIOD_NS);
		if (atomic_load(&stop))
			return NULL;
		look();
	}
}

int gstk__locks_chan_begin(void)
{
	sigset_t all, old;
	int err;

	atomic_store(&stop, 0);
	seen_before = told = 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* it takes no signals of the application */
	err = -pthread_create(&thread, NULL, looker, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	running = !err;
	return err;
}

void gstk__locks_chan_end(void)
{
	if (running) {
		atomic_store(&stop, 1);
		gstk__futex_wake(&stop, 1);
		pthread_join(thread, NULL);
	}
	running = false;
	for (uint32_t i = 0; i < NR_BUCKETS; i++)
		while (bucket[i]) {
			struct channel *c = bucket[i];

			bucket[i] = c->next;
			free(c);
		}
}

unsigned int gstk__locks_threads(void)
{
	return running;
}
