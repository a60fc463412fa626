// SPDX-License-Identifier: MIT
#include "sched/worker.h"

#include "host/host.h"

/* A task got its window, for which it had to wait. */
void gstk__waited(struct gstk__worker *w, uint32_t stamps)
{
	uint64_t ns;

	if (stamps >> 31) /* clocks of two CPUs, apart by less than a wait */
		stamps = 0;
	if (stamps > gstk__stamps_per_ms * GSTK__QUANTUM_MS)
		gstk__count(&w->park.n.hog_victims);
	gstk__count(&w->waits.nr[gstk__waits_bucket(stamps)]);
	if (stamps < w->longest_wait)
		return;
	w->longest_wait = stamps;
	ns = gstk__stamps_to_ns(stamps);
	__atomic_store_n(&w->park.n.window_wait_max_ns, ns, __ATOMIC_RELAXED);
}

static void sum(struct gstk__waits *all)
{
	*all = (struct gstk__waits){ { 0 } };
	for (uint32_t i = 0; i < gstk__sched.nr; i++)
		for (unsigned int b = 0; b < GSTK__WAIT_BUCKETS; b++)
			all->nr[b] += __atomic_load_n(&gstk__sched.worker[i]->waits.nr[b], __ATOMIC_RELAXED);
}

static uint64_t total(const struct gstk__waits *all)
{
	uint64_t n = 0;

	for (unsigned int b = 0; b < GSTK__WAIT_BUCKETS; b++)
		n += all->nr[b];
	return n;
}

uint64_t gstk__waits_total(void)
{
	struct gstk__waits all;

	sum(&all);
	return total(&all);
}

uint64_t gstk__waits_percentile_ns(unsigned int percent)
{
	struct gstk__waits all;
	uint64_t n, seen = 0;

	sum(&all);
	n = total(&all);
	if (!n)
		return 0;
	for (unsigned int b = 0; b < GSTK__WAIT_BUCKETS; b++) {
		seen += all.nr[b];
		if (seen * 100 >= n * percent)
			return gstk__stamps_to_ns(gstk__waits_limit(b));
	}
	return 0;
}
