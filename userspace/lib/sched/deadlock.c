// SPDX-License-Identifier: MIT
/* All workers sleep and nothing can wake them: the program is stuck. */
#include <greenstk/base.h>

#include "sched/timer.h"
#include "sched/worker.h"

void (*gstk__deadlock_hook)(void);

void gstk__deadlock_check(void)
{
	struct gstk__sched *s = &gstk__sched;
	uint64_t spawned, ended;

	/* Somebody outside may still bring work, unless all who could wait for us. */
	if (!s->owned_main || atomic_load(&s->sleeping) < s->nr || atomic_load(&s->stop))
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
		gstk__deadlock_hook();
}
