// SPDX-License-Identifier: MIT
/*
 * Time slices of tasks that ask for them. A switch, which is hot, notes no time: a slice begins with the
 * first check that finds the number of switches changed.
 */
#include "sched/worker.h"

#include "host/host.h"

void gstk__slice_check(void)
{
	struct gstk__worker *w = gstk__self();
	uint32_t now;

	if (__builtin_expect(!w || !w->current, 0))
		return;
	now = gstk__stamp();
	if (w->slice.switches != w->park.n.switches) {
		w->slice.switches = w->park.n.switches;
		w->slice.since = now;
		return;
	}
	/* Clocks of two CPUs may be apart: then it has not been long. */
	if (__builtin_expect(now - w->slice.since < gstk__stamps_per_ms * GSTK__QUANTUM_MS || (now - w->slice.since) >> 31, 1))
		return;
	w->slice.since = now;
	w->poll_at = w->picks; /* timers, descriptors, what other threads bring: the loop is to look */
	gstk__yield();
}
