// SPDX-License-Identifier: MIT
/* All workers sleep and nothing can wake them: the program is stuck. */
#include <greenstk/base.h>

#include "sched/timer.h"
#include "sched/worker.h"

void (*gstk__deadlock_hook)(uint32_t wakings);

/* All workers sleep, and none has been awake since @wakings was read: what was looked at in between
 * is one state of all. A worker that is awake may hold a task between its queue and its wake. */
bool gstk__all_slept_since(uint32_t wakings)
{
	return atomic_load(&gstk__sched.sleeping) == gstk__sched.nr && atomic_load(&gstk__sched.wakings) == wakings;
}

void gstk__deadlock_check(void)
{
	struct gstk__sched *s = &gstk__sched;
	uint32_t wakings = atomic_load(&s->wakings);
	uint64_t spawned, ended;

	/* Somebody outside may still bring work, unless all who could wait for us. */
	if (!s->owned_main || !gstk__all_slept_since(wakings) || atomic_load(&s->stop) ||
	    atomic_load(&s->main_task) == GSTK__MAIN_ENDED) /* worker 0 is on its way to cancel the rest */
		return;
	if (gstk__poller && gstk__poller->busy())
		return;
	spawned = atomic_load(&s->foreign_spawns);
	ended = 0;
	for (uint32_t i = 0; i < s->nr; i++) {
		spawned += __atomic_load_n(&s->worker[i]->park.n.spawns, __ATOMIC_RELAXED);
		ended += __atomic_load_n(&s->worker[i]->park.n.ends, __ATOMIC_RELAXED);
		if (gstk__work_visible(s->worker[i]) || gstk__timer_wheel_next_deadline(&gstk__timer_wheels[i]) != GSTK_NEVER)
			return;
	}
	if (spawned > ended && gstk__deadlock_hook)
		gstk__deadlock_hook(wakings);
}
