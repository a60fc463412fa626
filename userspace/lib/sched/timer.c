// SPDX-License-Identifier: MIT
/*
 * The wheel. All fields but ->next_ns are under ->lock; next_ns is also read without it, by the
 * wheel's worker (which arms most timers itself) before it sleeps.
 *
 * An expiry runs under the lock, so that disarm is exact: after it, fn is over or will not run.
 * So fn must be short, must not block and takes other locks only by trying (they may be held
 * around an arm).
 */
#include "sched/timer.h"

#include <string.h>

static uint64_t tick_of(uint64_t deadline_ns)
{
	uint64_t up = (1u << GSTK__WHEEL_TICK_SHIFT) - 1;

	/* Rounded up: never early. */
	return (deadline_ns >> GSTK__WHEEL_TICK_SHIFT) + ((deadline_ns & up) != 0);
}

static uint64_t ns_of(uint64_t tick)
{
	return tick >> (64 - GSTK__WHEEL_TICK_SHIFT) ? UINT64_MAX : tick << GSTK__WHEEL_TICK_SHIFT;
}

static unsigned int level_of(const struct gstk__timer_wheel *w, uint64_t tick)
{
	return (unsigned int)(63 - __builtin_clzll(tick ^ w->tick)) / 6;
}

static unsigned int digit(uint64_t tick, unsigned int level)
{
	return (unsigned int)(tick >> (6 * level)) % GSTK__WHEEL_SLOTS;
}

static void link_timer(struct gstk__timer **head, struct gstk__timer *t)
{
	t->next = *head;
	if (t->next)
		t->next->pprev = &t->next;
	t->pprev = head;
	*head = t;
}

static void unlink_timer(struct gstk__timer *t)
{
	*t->pprev = t->next;
	if (t->next)
		t->next->pprev = t->pprev;
	t->pprev = NULL;
}

static void insert(struct gstk__timer_wheel *w, struct gstk__timer *t)
{
	uint64_t tick = tick_of(t->deadline_ns);
	unsigned int level;

	if (tick <= w->tick) {
		link_timer(&w->due, t);
		return;
	}
	level = level_of(w, tick);
	w->used[level] |= 1ull << digit(tick, level);
	link_timer(&w->slot[level][digit(tick, level)], t);
}

/* The start of the first slot in use and its level; UINT64_MAX without one. */
static uint64_t first_slot(const struct gstk__timer_wheel *w, unsigned int *level)
{
	for (unsigned int l = 0; l < GSTK__WHEEL_LEVELS; l++) {
		uint64_t above;

		if (!w->used[l])
			continue;
		*level = l;
		above = l + 1 < GSTK__WHEEL_LEVELS ? w->tick >> (6 * (l + 1)) << (6 * (l + 1)) : 0;
		return above | (uint64_t)__builtin_ctzll(w->used[l]) << (6 * l);
	}
	return UINT64_MAX;
}

static void set_next(struct gstk__timer_wheel *w)
{
	unsigned int level;
	uint64_t next = w->due ? 0 : first_slot(w, &level);

	if (next != UINT64_MAX)
		next = ns_of(next);
	atomic_store_explicit(&w->next_ns, next, memory_order_relaxed);
}

static void count(struct gstk__timer_wheel *w, int by)
{
	uint32_t nr = atomic_load_explicit(&w->nr, memory_order_relaxed);

	atomic_store_explicit(&w->nr, nr + (uint32_t)by, memory_order_relaxed);
}

void gstk__timer_wheel_init(struct gstk__timer_wheel *w, uint64_t now_ns)
{
	memset(w, 0, sizeof(*w));
	w->tick = now_ns >> GSTK__WHEEL_TICK_SHIFT;
	atomic_store_explicit(&w->next_ns, UINT64_MAX, memory_order_relaxed);
}

static void drop(struct gstk__timer **list)
{
	while (*list)
		unlink_timer(*list);
}

void gstk__timer_wheel_fini(struct gstk__timer_wheel *w)
{
	gstk__lock(&w->lock);
	drop(&w->due);
	for (unsigned int l = 0; l < GSTK__WHEEL_LEVELS; l++) {
		for (unsigned int i = 0; i < GSTK__WHEEL_SLOTS; i++)
			drop(&w->slot[l][i]);
		w->used[l] = 0;
	}
	atomic_store_explicit(&w->nr, 0, memory_order_relaxed);
	atomic_store_explicit(&w->next_ns, UINT64_MAX, memory_order_relaxed);
	gstk__unlock(&w->lock);
}

static bool arm_locked(struct gstk__timer_wheel *w, struct gstk__timer *t)
{
	uint64_t tick = tick_of(t->deadline_ns);
	uint64_t ns = tick <= w->tick ? 0 : ns_of(tick);

	insert(w, t);
	count(w, 1);
	if (ns >= atomic_load_explicit(&w->next_ns, memory_order_relaxed))
		return false;
	atomic_store_explicit(&w->next_ns, ns, memory_order_relaxed);
	return true;
}

bool gstk__timer_wheel_arm(struct gstk__timer_wheel *w, struct gstk__timer *t)
{
	bool first;

	gstk__lock(&w->lock);
	first = arm_locked(w, t);
	gstk__unlock(&w->lock);
	return first;
}

void gstk__timer_wheel_rearm_locked(struct gstk__timer_wheel *w, struct gstk__timer *t)
{
	arm_locked(w, t);
}

bool gstk__timer_wheel_disarm(struct gstk__timer_wheel *w, struct gstk__timer *t)
{
	uint64_t tick;

	gstk__lock(&w->lock);
	if (!t->pprev) {
		gstk__unlock(&w->lock);
		return false;
	}
	tick = tick_of(t->deadline_ns); /* a periodic timer's fn changes it, under the lock */
	unlink_timer(t);
	count(w, -1);
	if (tick > w->tick) {
		unsigned int level = level_of(w, tick), d = digit(tick, level);

		if (!w->slot[level][d])
			w->used[level] &= ~(1ull << d);
		/* OPTIONAL: else the worker wakes once for nothing */
		if (ns_of(tick) <= atomic_load_explicit(&w->next_ns, memory_order_relaxed))
			set_next(w);
	} else {
		set_next(w);
	}
	gstk__unlock(&w->lock);
	return true;
}

static unsigned int expire(struct gstk__timer_wheel *w, struct gstk__timer **list)
{
	unsigned int n = 0;

	for (; *list; n++) {
		struct gstk__timer *t = *list;

		unlink_timer(t);
		count(w, -1);
		t->fn(t);
		/* t may be gone or armed elsewhere by now */
	}
	return n;
}

unsigned int gstk__timer_wheel_advance_slow(struct gstk__timer_wheel *w, uint64_t now_ns)
{
	uint64_t now = now_ns >> GSTK__WHEEL_TICK_SHIFT;
	unsigned int n = 0, level = 0;

	gstk__lock(&w->lock);
	/* What fn arms for the past while this runs waits for the next call: no endless loop. */
	if (w->due) {
		struct gstk__timer *list = w->due;

		w->due = NULL;
		list->pprev = &list;
		n = expire(w, &list);
	}
	for (;;) {
		uint64_t start = first_slot(w, &level);
		struct gstk__timer *list, **slot;

		if (start > now)
			break;
		w->tick = start;
		slot = &w->slot[level][digit(start, level)];
		w->used[level] &= ~(1ull << digit(start, level));
		if (level == 0) {
			n += expire(w, slot);
			continue;
		}
		list = *slot;
		*slot = NULL;
		if (list)
			list->pprev = &list;
		while (list) {
			struct gstk__timer *t = list;

			unlink_timer(t);
			if (tick_of(t->deadline_ns) > start) {
				insert(w, t);
				continue;
			}
			count(w, -1);
			t->fn(t);
			n++;
		}
	}
	if (now > w->tick)
		w->tick = now;
	set_next(w);
	gstk__unlock(&w->lock);
	return n;
}
