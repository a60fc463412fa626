// SPDX-License-Identifier: MIT
/* gstk_dump(): all tasks, one after another, each consistent in itself; nobody is stopped. */
#include <greenstk/stats.h>

#include <errno.h>
#include <unistd.h>
#include "debug/dump_signal.h"
#include "debug/running.h"
#include "sched/worker.h"

#define FRAMES	    40u
#define PATIENCE_NS 100000000u /* with a task that runs, or whose thread has no CPU */

/* A task that runs is asked for its frames; it may be another by then. */
static void look_again(struct gstk__looker *l, struct gstk__look *k)
{
	struct gstk__look now = *k;

	if (k->state == GSTK__RUNNING && k->worker &&
	    gstk__look_running(l, gstk__sched.worker[k->worker - 1], gstk__dump_signal(), PATIENCE_NS, &now) &&
	    now.index == k->index)
		*k = now;
}

int gstk_dump(int fd, bool backtraces)
{
	struct gstk__out o = { .fd = fd };
	uint64_t nr = 0, by_state[8] = { 0 }, by_tier[GSTK__NR_TIERS] = { 0 };
	struct gstk__looker *l;
	struct gstk__look k;
	uint32_t high;

	if (!gstk__sched.nr) {
		gstk__no_runtime("gstk_dump");
		return -EINVAL;
	}
	l = gstk__look_begin();
	if (!l)
		return -ENOMEM;
	high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);
	gstk__outf(&o, "greenstk: tasks of process %u\n", (uint64_t)getpid());
	for (uint32_t i = 1; i < high && !o.err; i++) {
		if (!gstk__look(l, i, true, &k))
			continue;
		nr++;
		by_state[k.state & 7]++;
		if (k.tier < GSTK__NR_TIERS && !k.foreign && k.state != GSTK__DONE)
			by_tier[k.tier]++;
		if (backtraces)
			look_again(l, &k);
		gstk__look_print(&o, l, &k, backtraces ? FRAMES : 0);
	}
	gstk__look_end(l);
	gstk__outf(&o, "greenstk: %u tasks: %u running, %u runnable, %u waiting, %u ended and not joined; "
		   "stacks: %u resident, %u copied, %u packed, %u remapped, %u not started; %u stackless\n", nr, by_state[GSTK__RUNNING],
		   by_state[GSTK__RUNNABLE], by_state[GSTK__PARKED] + by_state[GSTK__OWNED], by_state[GSTK__DONE],
		   by_tier[GSTK__TIER_RESIDENT], by_tier[GSTK__TIER_COPIED] + by_tier[GSTK__TIER_DEEP],
		   by_tier[GSTK__TIER_PACKED] + by_tier[GSTK__TIER_COLD] + by_tier[GSTK__TIER_DEEP_PACKED],
		   by_tier[GSTK__TIER_REMAPPED], by_tier[GSTK__TIER_NONE],
		   by_tier[GSTK__TIER_STACKLESS]);
	return gstk__out_flush(&o);
}
