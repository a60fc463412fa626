// SPDX-License-Identifier: MIT
/* When the sweep runs: idle workers give it their time, busy ones a little of theirs. */
#include "sched/sweeper.h"

#include "park/sweep.h"
#include "sched/worker.h"

#define IDLE_SLICE_NS 500000u
#define BUSY_SLICE_NS 100000u
#define BUSY_EVERY_NS 10000000u

static uint64_t slice(struct gstk__worker *w, uint64_t now_ns, bool idle)
{
	struct gstk__sched *s = &gstk__sched;
	uint64_t switches = 0;
	int64_t residents = 0;

	if (!idle) {
		if (now_ns < w->next_sweep_ns)
			return w->next_sweep_ns;
		w->next_sweep_ns = now_ns + BUSY_EVERY_NS;
	}
	for (uint32_t i = 0; i < s->nr; i++) {
		switches += __atomic_load_n(&s->worker[i]->park.n.switches, __ATOMIC_RELAXED);
		residents += __atomic_load_n(&s->worker[i]->park.n.resident, __ATOMIC_RELAXED);
	}
	return gstk__sweep_slice(&w->park, now_ns, idle ? IDLE_SLICE_NS : BUSY_SLICE_NS,
				 residents > 0 ? (uint64_t)residents : 0, switches,
				 s->nr - atomic_load_explicit(&s->sleeping, memory_order_relaxed));
}

static void release_window(uint32_t index)
{
	gstk__window_release(gstk__self(), index);
}

int gstk__sweeper_start(uint64_t evict_idle_ns, uint64_t pack_idle_ns, size_t resident_budget)
{
	const struct gstk__sweep_ops ops = { gstk__let_go, release_window };
	const struct gstk__sweep_config config = { evict_idle_ns, pack_idle_ns, resident_budget };

	gstk__sweep_hook = slice;
	return gstk__sweep_init(&config, &ops);
}

void gstk__sweeper_stop(void)
{
	gstk__sweep_hook = NULL;
	gstk__sweep_fini();
}
