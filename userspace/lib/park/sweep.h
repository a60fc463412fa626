// SPDX-License-Identifier: MIT
/*
 * The sweep: finds stacks that went cold and evicts, packs and trims them, many at a time, so that
 * the page-table work of one batch is one system call and its TLB flush is shared.
 */
#ifndef GSTK__PARK_SWEEP_H
#define GSTK__PARK_SWEEP_H

#include "park/park.h"
#include "park/policy.h"

/* What the scheduler does for us: park/ cannot call up. */
struct gstk__sweep_ops {
	void (*let_go)(struct gstk_task *t);		 /* that we own; it runs if it was woken meanwhile */
	void (*release_window)(uint32_t index);		 /* a shared window that we own */
};

struct gstk__sweep_config {
	uint64_t evict_idle_ns, pack_idle_ns;
	size_t resident_budget;
};

/* Written by who sweeps only: gstk__count(). */
struct gstk__sweep_counts {
	uint64_t decided[GSTK__NR_REASONS];
	uint64_t copied_small, bounces, recalibrations;
};
extern struct gstk__sweep_counts gstk__sweep_counts;

int gstk__sweep_init(const struct gstk__sweep_config *config, const struct gstk__sweep_ops *ops);
void gstk__sweep_fini(void);

/*
 * A slice of work, about @budget_ns long. @residents, @switches: sums over all workers; @running: how many do
 * not sleep. Returns when the next slice is due (absolute, UINT64_MAX: not before something ran). Any thread; one sweeps at
 * a time, others return at once.
 */
uint64_t gstk__sweep_slice(struct gstk__park *p, uint64_t now_ns, uint64_t budget_ns, uint64_t residents,
			   uint64_t switches, uint32_t running);

/* What @residents stacks in their windows take, by what the last pass saw. */
uint64_t gstk__sweep_resident_bytes(uint64_t residents);
/* The climate as last seen, for gstk-info. */
void gstk__sweep_climate(struct gstk__climate *out);

#endif
