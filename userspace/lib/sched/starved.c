// SPDX-License-Identifier: MIT
/* Lock order: the list's lock, then a wheel's. The timer runs under the wheel's, so it only tries the list's. */
#include "sched/starved.h"

#include "host/host.h"
#include "sched/timer.h"
#include "sched/worker.h"

#define AGAIN_NS 5000000u
#define AT_ONCE	 16u

_Atomic uint32_t gstk__starved;

static struct {
	_Atomic uint32_t lock;
	uint32_t head, tail; /* oldest first, by gstk__item_link() */
	bool armed;
	struct gstk__timer timer;
} list;

static void release(uint32_t item)
{
	if (item & GSTK__ITEM_WINDOW) {
		gstk__inject(item);
		gstk__injected();
	} else {
		gstk__enqueue(gstk__task(item));
	}
}

/* Lock held. */
static uint32_t pop(void)
{
	uint32_t item = list.head;

	if (item) {
		list.head = *gstk__item_link(item);
		atomic_fetch_sub_explicit(&gstk__starved, 1, memory_order_relaxed);
	}
	return item;
}

static void again(struct gstk__timer *timer)
{
	uint32_t item[AT_ONCE], nr = 0;

	if (atomic_exchange_explicit(&list.lock, 1, memory_order_acquire)) {
		timer->deadline_ns = gstk__now_ns() + AGAIN_NS;
		gstk__timer_wheel_rearm_locked(&gstk__timer_wheels[timer->wheel], timer);
		return;
	}
	while (nr < AT_ONCE && (item[nr] = pop()))
		nr++;
	list.armed = list.head;
	if (list.armed) {
		timer->deadline_ns = gstk__now_ns() + AGAIN_NS;
		gstk__timer_wheel_rearm_locked(&gstk__timer_wheels[timer->wheel], timer);
	}
	gstk__unlock(&list.lock);
	for (uint32_t i = 0; i < nr; i++)
		release(item[i]);
}

void gstk__starve(struct gstk__worker *w, uint32_t item)
{
	gstk__count(&w->park.n.starved);
	*gstk__item_link(item) = 0;
	gstk__lock(&list.lock);
	if (list.head)
		*gstk__item_link(list.tail) = item;
	else
		list.head = item;
	list.tail = item;
	atomic_fetch_add_explicit(&gstk__starved, 1, memory_order_relaxed);
	if (!list.armed) {
		list.armed = true;
		list.timer.fn = again;
		list.timer.deadline_ns = gstk__now_ns() + AGAIN_NS;
		gstk__timer_arm(&list.timer);
	}
	gstk__unlock(&list.lock);
}

void gstk__feed_one(void)
{
	uint32_t item;

	gstk__lock(&list.lock);
	item = pop();
	gstk__unlock(&list.lock);
	if (item)
		release(item);
}

/* The wheels are gone, and the timer with them. */
void gstk__starved_fini(void)
{
	list.armed = false;
	list.head = 0;
	atomic_store(&gstk__starved, 0);
}
