// SPDX-License-Identifier: MIT
/*
 * When the sweep goes over what: one pass over the windows for eviction and trimming, one over the tasks for
 * packing, in slices; and the climate that its decisions are made in.
 */
#include "park/sweep.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/host.h"
#include "host/module.h"
#include "host/pressure.h"
#include "park/calibrate.h"
#include "park/sweep_round.h"

#define MIN_RESIDENTS	64u
#define CHANGE_LASTS_NS 300000000u

struct gstk__sweep_counts gstk__sweep_counts;
struct gstk__round gstk__round;

static struct {
	_Atomic uint32_t busy;
	_Atomic uint64_t due_ns;
	uint32_t window_cursor, task_cursor;
	bool packing;		/* the present pass is over the tasks */
	_Atomic uint64_t bytes_each; /* of a resident's pages, in the round before */
	_Atomic uint64_t seen_switches;
	struct gstk__memory_watch memory;
	uint64_t pressure_at_ns, changed_ns; /* since when other than so many workers run; 0: they do */
	int psi;
} sweep = { .psi = -1 };

static void take_costs(void)
{
	const struct gstk__calibration *c = &gstk__calibration;

	gstk__round.climate.evict_ns = c->copy_cold_ns_per_kib * 4 * 2 + c->fault_ns + c->discard_many_ns;
	gstk__round.climate.trim_ns = c->fault_ns + c->discard_many_ns;
	gstk__round.climate.remap_bytes = gstk__remap.batch_bytes;
}

static void watch_group(void)
{
	char file[GSTK__PRESSURE_PATH];

	sweep.psi = open(gstk__pressure_file(file), O_RDONLY | O_CLOEXEC);
	gstk__memory_watch(&sweep.memory);
}

static void unwatch_group(void)
{
	if (sweep.psi >= 0)
		close(sweep.psi);
	sweep.psi = -1;
	gstk__memory_unwatch(&sweep.memory);
}

int gstk__sweep_init(const struct gstk__sweep_config *config, const struct gstk__sweep_ops *ops)
{
	memset(&sweep, 0, sizeof(sweep));
	memset(&gstk__round, 0, sizeof(gstk__round));
	memset(&gstk__batch, 0, sizeof(gstk__batch));
	gstk__batch.ops = *ops;
	gstk__round.climate.evict_idle_ms = config->evict_idle_ns / 1000000;
	gstk__round.climate.cold_idle_ms = gstk__round.climate.evict_idle_ms * 10;
	gstk__round.climate.pack_idle_ms = config->pack_idle_ns / 1000000;
	gstk__round.climate.resident_budget = config->resident_budget;
	gstk__round.climate.min_residents = MIN_RESIDENTS;
	take_costs();
	if (gstk__windows.module && gstk__round.climate.resident_budget > gstk__module.max_pages * 4096 / 2)
		gstk__round.climate.resident_budget = gstk__module.max_pages * 4096 / 2; /* its cap is a bus error */
	sweep.window_cursor = 1;
	sweep.task_cursor = 1;
	gstk__round.soonest_ms = UINT64_MAX;
	sweep.bytes_each = 4096;
	gstk__history_init();
	watch_group();
	return 0;
}

void gstk__sweep_fini(void)
{
	unwatch_group();
	gstk__history_fini();
	memset(&gstk__sweep_counts, 0, sizeof(gstk__sweep_counts));
}

void gstk__sweep_climate(struct gstk__climate *out)
{
	while (atomic_exchange(&sweep.busy, 1)) /* whoever sweeps writes it; a slice is short */
		sched_yield();
	*out = gstk__round.climate;
	atomic_store(&sweep.busy, 0);
}

uint64_t gstk__sweep_resident_bytes(uint64_t residents)
{
	return residents * atomic_load_explicit(&sweep.bytes_each, memory_order_relaxed);
}

static void read_stalls(void)
{
	char buf[128], *p;
	ssize_t n = sweep.psi < 0 ? -1 : pread(sweep.psi, buf, sizeof(buf) - 1, 0);

	if (n < 0 && sweep.psi >= 0) { /* the group is gone, so this process is in another one */
		unwatch_group();
		watch_group();
	}
	buf[n > 0 ? n : 0] = 0;
	p = strstr(buf, "avg10=");
	gstk__round.climate.pressure = p ? (uint32_t)strtoul(p + 6, NULL, 10) : 0;
}

static void read_pressure(uint64_t now_ns)
{
	if (now_ns < sweep.pressure_at_ns)
		return;
	sweep.pressure_at_ns = now_ns + 1000000000u;
	read_stalls();
	gstk__round.climate.filled = gstk__memory_filled(&sweep.memory);
}

/*
 * A page that goes is flushed on every processor that runs a worker: what that costs is measured again when
 * there are more or fewer of them (1, 2, 3..4, 5..8) and that lasts.
 */
static void calibrate_again(uint64_t now_ns, uint32_t running)
{
	if (gstk__running_class(running) == gstk__running_class(gstk__calibration.running)) {
		sweep.changed_ns = 0;
		return;
	}
	if (!sweep.changed_ns)
		sweep.changed_ns = now_ns;
	if (now_ns - sweep.changed_ns < CHANGE_LASTS_NS)
		return;
	sweep.changed_ns = 0;
	gstk__calibrate_again(running);
	gstk__remap_calibrate_again();
	take_costs();
	gstk__count(&gstk__sweep_counts.recalibrations);
}

/* Between two rounds, when something is to be done in @soonest_ms. */
static uint64_t pause_ms(uint64_t soonest_ms)
{
	return soonest_ms < 50 ? 50 : soonest_ms > 1000 ? 1000 : soonest_ms;
}

uint64_t gstk__sweep_slice(struct gstk__park *p, uint64_t now_ns, uint64_t budget_ns, uint64_t residents,
			   uint64_t switches, uint32_t running)
{
	uint64_t due = atomic_load_explicit(&sweep.due_ns, memory_order_relaxed);
	uint64_t until = now_ns + budget_ns;
	uint32_t per_block = (uint32_t)(GSTK__SWEEP_BLOCK / gstk__windows.size);

	if (due == UINT64_MAX && switches != sweep.seen_switches)
		due = 0;
	if (now_ns < due || atomic_exchange(&sweep.busy, 1))
		return due > now_ns ? due : now_ns + 1000000;
	p->tick = (uint32_t)(now_ns / 1000000);
	per_block = per_block ? per_block : 1;
	read_pressure(now_ns);
	calibrate_again(now_ns, running);
	gstk__round.climate.residents = (uint32_t)residents;
	gstk__round.climate.resident_bytes = residents * sweep.bytes_each;
	due = 0;
	for (int steps = 0; !due; steps++) {
		uint32_t fresh = atomic_load_explicit(&gstk__windows.fresh, memory_order_acquire);
		uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);

		if ((steps % 16 == 15 || (steps && gstk__round.trimming)) && gstk__now_ns() > until) {
			due = now_ns + 5 * budget_ns;
			break;
		}
		if (!sweep.packing) {
			uint32_t nr = per_block;

			if (sweep.window_cursor >= fresh || gstk__round.trimming) {
				sweep.packing = gstk__sweep_trim(p);
				sweep.task_cursor = 1;
				continue;
			}
			if (sweep.window_cursor + nr > gstk__windows.nr + 1)
				nr = (uint32_t)gstk__windows.nr + 1 - sweep.window_cursor;
			gstk__sweep_windows(p, sweep.window_cursor, nr);
			sweep.window_cursor += nr;
			if (gstk__batch.nr_ranges + 2 * per_block > GSTK__BATCH || gstk__batch.nr_owned + per_block > GSTK__BATCH)
				gstk__batch_flush(p);
			continue;
		}
		for (uint32_t to = sweep.task_cursor + 64; sweep.task_cursor < to && sweep.task_cursor < high;
		     sweep.task_cursor++)
			gstk__sweep_task(p, gstk__task(sweep.task_cursor));
		if (sweep.task_cursor < high)
			continue;
		/* The round is over. */
		sweep.packing = false;
		sweep.window_cursor = 1;
		gstk__count(&p->n.sweeps);
		if (gstk__round.did)
			gstk__arena_trim(SIZE_MAX);
		if (gstk__round.soonest_ms == UINT64_MAX && switches == sweep.seen_switches && !gstk__round.did)
			due = UINT64_MAX;
		else
			due = now_ns + pause_ms(gstk__round.soonest_ms) * 1000000;
		sweep.seen_switches = switches;
		gstk__round.soonest_ms = UINT64_MAX;
		gstk__round.did = 0;
		gstk__round.full = false;
		if (gstk__round.seen)
			sweep.bytes_each = gstk__round.seen_bytes / gstk__round.seen;
		gstk__round.seen = gstk__round.seen_bytes = 0;
	}
	gstk__batch_flush(p);
	atomic_store_explicit(&sweep.due_ns, due, memory_order_relaxed);
	atomic_store(&sweep.busy, 0);
	return due;
}
