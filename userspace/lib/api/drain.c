// SPDX-License-Identifier: MIT
#include "api/drain.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include "api/config.h"
#include "debug/spawned.h"
#include "host/host.h"
#include "sched/foreign.h"
#include "sched/start.h"
#include "sched/worker.h"

#define CANCEL_BATCH 4096u

void gstk__set_closing(bool closing)
{
	atomic_store(&gstk__sched.closing, closing);
	atomic_store(&gstk__sched.plain, !closing && !gstk__spawned && !(gstk__config.flags & GSTK_PRIVATE_TASKS));
}

static uint64_t live_tasks(void)
{
	struct gstk__sched *s = &gstk__sched;
	uint64_t ended = 0, spawned;

	/* Ends first: a task cannot end before it was spawned, so this never reads too few. */
	for (uint32_t i = 0; i < s->nr; i++)
		ended += __atomic_load_n(&s->worker[i]->park.n.ends, __ATOMIC_ACQUIRE);
	spawned = atomic_load(&s->foreign_spawns);
	for (uint32_t i = 0; i < s->nr; i++)
		spawned += __atomic_load_n(&s->worker[i]->park.n.spawns, __ATOMIC_ACQUIRE);
	return spawned - ended;
}

/* Ask every task to stop; a barrier for each batch, so a million costs a few hundred. */
static void cancel_all(void)
{
	uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);

	for (uint32_t from = 1; from < high; from += CANCEL_BATCH) {
		uint32_t to = from + CANCEL_BATCH < high ? from + CANCEL_BATCH : high;

		for (uint32_t i = from; i < to; i++) {
			struct gstk_task *t = gstk__task(i);
			enum gstk__state st = gstk__state_of(gstk__word(t));

			if (st != GSTK__FREE && st != GSTK__DONE && !(gstk__flags(t) & GSTK__T_FOREIGN))
				gstk__cancel_mark(t);
		}
		gstk__membarrier();
		for (uint32_t i = from; i < to; i++) {
			struct gstk_task *t = gstk__task(i);

			if (gstk__cancel_pending(t) && !(gstk__flags(t) & GSTK__T_FOREIGN))
				gstk__cancel_wake(t);
		}
	}
}

struct drain {
	uint64_t deadline_ns, next_report_ns;
	bool cancel;
};

/* One look: true when all tasks have ended and no thread waits, or time is up. */
static bool drained(void *arg)
{
	struct drain *d = arg;
	uint64_t live = live_tasks(), now = gstk__now_ns();
	uint32_t waits = live ? 0 : atomic_load(&gstk__sched.foreign_waits);

	if (waits)
		gstk__foreign_cancel();
	if (!(live | waits) || now >= d->deadline_ns)
		return true;
	if (now >= d->next_report_ns) {
		char where[100] = "";

		if (live && gstk__config.dump_signal > 0)
			snprintf(where, sizeof(where), "; gstk-info --tasks %d, or kill -%d %d, says where they are", getpid(),
				 gstk__config.dump_signal, getpid());
		fprintf(stderr, "greenstk: shutdown: waiting for %llu %s%s\n", (unsigned long long)(live | waits),
			live ? "tasks" : "threads of the application, which wait in calls of this library", where);
		d->next_report_ns = now + 2000000000u;
		if (d->cancel)
			cancel_all(); /* tasks that were spawned, or cleared the request, meanwhile */
	}
	return false;
}

int gstk__drain(enum gstk_shutdown_mode mode, uint64_t deadline_ns)
{
	struct gstk__sched *s = &gstk__sched;
	struct drain d = { deadline_ns, gstk__now_ns() + 2000000000u, mode == GSTK_SHUTDOWN_CANCEL };

	if (d.cancel) {
		gstk__set_closing(true);
		cancel_all();
	}
	while (!drained(&d)) {
		if (gstk__self())
			gstk__worker_loop(gstk__self(), drained, &d, 1000000);
		else
			usleep(500);
	}
	if (live_tasks() || atomic_load(&s->foreign_waits)) {
		gstk__set_closing(false);
		return -ETIMEDOUT;
	}
	return 0;
}
