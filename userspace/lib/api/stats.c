// SPDX-License-Identifier: MIT
/* gstk_stats() and gstk_info(): sums over the workers, without stopping them. */
#include <greenstk/stats.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "api/config.h"
#include "host/host.h"
#include "host/module.h"
#include "host/refuse.h"
#include "host/uffd.h"
#include "debug/machine.h"
#include "park/calibrate.h"
#include "park/copy.h"
#include "park/lazy.h"
#include "park/tier.h"
#include "park/sweep.h"
#include "sched/stuck.h"
#include "sched/timer.h"
#include "sched/worker.h"
#include "wait/blocking.h"
#include "wait/fd.h"
#include "wait/files.h"

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static uint64_t gauge_sum(size_t offset)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < gstk__sched.nr; i++)
		sum += __atomic_load_n((int64_t *)((char *)&gstk__sched.worker[i]->park.n + offset),
				       __ATOMIC_RELAXED);
	return sum > 0 ? (uint64_t)sum : 0;
}

int gstk_stats(struct gstk_stats *out)
{
	struct gstk__sched *s = &gstk__sched;
	struct gstk__blocking_counts blocking;
	struct gstk__files_counts files;
	struct gstk__arena_stats arena;
	static _Atomic bool told; /* who watches asks again and again */
	struct gstk_stats st = { 0 };
	uint64_t ends = 0, moved;

	if (!out)
		return gstk__refuse("gstk_stats: nowhere to put them; give the address of a struct gstk_stats");
	if (out->size < sizeof(size_t) || out->size > 4096)
		return gstk__refuse("gstk_stats: a structure of %zu bytes; set .size to sizeof(struct gstk_stats)", out->size);
	if (!s->nr) {
		if (!atomic_exchange(&told, true))
			gstk__no_runtime("gstk_stats");
		return -EINVAL;
	}
#define SUM(name) \
	for (uint32_t i = 0; i < s->nr; i++) \
		st.name += load(&s->worker[i]->park.n.name);
	SUM(switches) SUM(handoffs) SUM(yields) SUM(wakes) SUM(steals) SUM(worker_sleeps) SUM(worker_wakes)
	SUM(claims) SUM(conflicts) SUM(evictions) SUM(restores) SUM(bytes_evicted) SUM(packs) SUM(unpacks)
	SUM(prefetches) SUM(prefetch_hits) SUM(trims) SUM(trim_calls) SUM(trim_bytes) SUM(sweeps) SUM(polls)
	SUM(events) SUM(cancels) SUM(quantum_expiries) SUM(hog_victims) SUM(windows_earned)
	SUM(remaps) SUM(remap_returns) SUM(remap_calls) SUM(remap_pack_calls) SUM(remap_ahead)
	SUM(remap_nospace) SUM(remap_nomem) SUM(remap_quota) SUM(remap_refused)
	SUM(lazy_restores) SUM(lazy_refused) SUM(lazy_untouched) SUM(lazy_foreseen) SUM(annex_calls) SUM(future_polls)
	SUM(starved)
#undef SUM
#define GSTK__X(name, field) \
	st.field = load(&gstk__sweep_counts.decided[GSTK__##name]);
	GSTK__REASONS(GSTK__X)
#undef GSTK__X
	moved = st.moved_cold + st.moved_budget + st.moved_pressure;
	st.copied_small = load(&gstk__sweep_counts.copied_small);
	st.bounces = load(&gstk__sweep_counts.bounces);
	st.recalibrations = load(&gstk__sweep_counts.recalibrations);
	st.moved_claimed = st.evictions > moved ? st.evictions - moved : 0; /* by whom else? */
	for (uint32_t i = 0; i < s->nr; i++) {
		uint64_t wait = load(&s->worker[i]->park.n.window_wait_max_ns);

		ends += load(&s->worker[i]->park.n.ends);
		if (wait > st.window_wait_max_ns)
			st.window_wait_max_ns = wait;
	}
	st.spawns = atomic_load(&s->foreign_spawns);
	for (uint32_t i = 0; i < s->nr; i++)
		st.spawns += load(&s->worker[i]->park.n.spawns);
#define GAUGE(to, from) st.to = gauge_sum(offsetof(struct gstk__counters, from))
	GAUGE(tasks_resident, resident);
	GAUGE(tasks_copied, copied);
	GAUGE(tasks_packed, packed);
	GAUGE(bytes_copied, bytes_copied);
	GAUGE(bytes_packed, bytes_packed);
	GAUGE(bytes_unpacked, bytes_unpacked);
	GAUGE(windows_bound, windows_bound);
	GAUGE(windows_shared, windows_shared);
	GAUGE(tasks_remapped, remapped);
	GAUGE(bytes_remapped, bytes_remapped);
	GAUGE(bytes_lazy, bytes_lazy);
	GAUGE(tasks_stackless, stackless);
#undef GAUGE
	st.lazy_faults = atomic_load_explicit(&gstk__pager_counts.faults, memory_order_relaxed);
	st.lazy_prefetched = atomic_load_explicit(&gstk__pager_counts.prefetched, memory_order_relaxed);
	st.window_waits = gstk__waits_total();
	st.window_wait_p50_ns = gstk__waits_percentile_ns(50);
	st.window_wait_p99_ns = gstk__waits_percentile_ns(99);
	gstk__stuck_counts(&st.stuck_workers, &st.stuck_max_ns);
	gstk__blocking_counts(&blocking);
	st.blocking_calls = blocking.calls;
	st.blocking_threads = blocking.threads;
	st.blocking_queued_max = blocking.queued_most;
	gstk__files_counts(&files);
	st.file_ring_calls = files.ring_calls;
	st.file_ring_full = files.ring_full;
	st.file_pool_calls = files.pool_calls;
	gstk__arena_stats(&arena);
	st.size = out->size;
	st.workers = s->nr;
	st.tasks = st.spawns > ends ? st.spawns - ends : 0;
	st.windows = gstk__windows.nr;
	st.bytes_resident = gstk__sweep_resident_bytes(st.tasks_resident);
	st.timers = gstk__timers_armed();
	st.image_arena_bytes = arena.committed;
	st.task_bytes = atomic_load(&gstk__tasks_high) * sizeof(struct gstk_task);
	st.fd_bytes = gstk__fd_bytes();
	st.window_bytes = atomic_load(&gstk__windows.fresh) * sizeof(struct gstk__window);
	memcpy(out, &st, out->size < sizeof(st) ? out->size : sizeof(st));
	return 0;
}

#define LINE(name, value) dprintf(fd, "%s %llu\n", name, (unsigned long long)(value))

/* A break-even, in bytes of stack. */
static void break_even_line(int fd, const char *name, uint32_t bytes)
{
	if (bytes == GSTK__REMAP_NEVER)
		dprintf(fd, "%s never\n", name);
	else
		LINE(name, bytes);
}

static void lazy_lines(int fd)
{
	dprintf(fd, "lazy.kernel_faults %s\n", gstk__uffd.kernel_faults ? "served" : "EFAULT");
	LINE("calibration.lazy_fixed_ns", gstk__lazy.fixed_ns);
	LINE("calibration.lazy_fault_ns", gstk__lazy.fault_ns);
	LINE("policy.lazy_bytes", gstk__lazy.min_bytes);
	LINE("policy.lazy_eager_pages", gstk__lazy.eager_pages);
}

/* What moves stacks, and why it is that. */
static void backend_lines(int fd)
{
	struct greenstk_stat st;

	dprintf(fd, "backend %s\n", gstk__windows.module ? "module" : gstk__windows.lazy ? "uffd" : "copy");
	dprintf(fd, "backend.reason %s\n", gstk__config.backend == GSTK_BACKEND_UFFD ? gstk__uffd.why : gstk__module.why);
	if (gstk__windows.lazy)
		lazy_lines(fd);
	if (!gstk__windows.module)
		return;
	dprintf(fd, "lazy.reason %s\n", gstk__uffd.why);
	LINE("calibration.remap_batch_ns", gstk__remap.batch_ns);
	LINE("calibration.remap_alone_ns", gstk__remap.alone_ns);
	LINE("calibration.remap_page_ns", gstk__remap.page_ns);
	break_even_line(fd, "policy.remap_batch_bytes", gstk__remap.batch_bytes);
	break_even_line(fd, "policy.remap_alone_bytes", gstk__remap.alone_bytes);
	LINE("policy.eager_pages", gstk__remap.eager_pages);
	gstk__module_stat(&st);
	LINE("module.pages", st.pages);
	LINE("module.handles", st.handles);
	LINE("module.switches", st.switches);
	LINE("module.batches", st.batches);
	LINE("module.flushes", st.flushes);
	LINE("module.fallback_batches", st.fallback_batches);
	LINE("module.faults_lazy", st.faults_lazy);
	LINE("module.reclaimed_pages", st.reclaimed_now);
	LINE("module.lock_waits", st.lock_waits);
}

static void files_lines(int fd)
{
	const char *why, *way = gstk__files_way(&why);

	dprintf(fd, "files %s\nfiles.reason %s\n", way, why);
}

int gstk_info(int fd)
{
	struct gstk_stats st = { .size = sizeof(st) };
	struct gstk__calibration calibration;
	struct gstk__climate climate;
	int err = gstk_stats(&st);

	if (err)
		return err;
	LINE("config.workers", gstk__config.workers);
	LINE("config.blocking_threads", gstk__config.blocking_threads);
	LINE("config.windows", gstk__windows.nr);
	LINE("config.window_size", gstk__windows.size);
	LINE("config.guard_bytes", gstk__windows.guard);
	dprintf(fd, "config.guards %s\n", gstk__windows.module ? "the module's" : gstk__windows.guard_install ? "MADV_GUARD_INSTALL" : "PROT_NONE mappings");
	dprintf(fd, "config.membarrier %s\n", gstk__membarrier_missing ? "missing: fences at every park" : "yes");
	dprintf(fd, "copy.routine %s\n", gstk__copy_init());
	gstk__calibration_read(&calibration);
	LINE("calibration.copy_hot_ns_per_kib", calibration.copy_hot_ns_per_kib);
	LINE("calibration.copy_cold_ns_per_kib", calibration.copy_cold_ns_per_kib);
	LINE("calibration.fault_ns", calibration.fault_ns);
	LINE("calibration.discard_ns", calibration.discard_ns);
	LINE("calibration.discard_many_ns", calibration.discard_many_ns);
	LINE("calibration.took_ns", calibration.took_ns);
	LINE("calibration.running_workers", calibration.running);
	backend_lines(fd);
	files_lines(fd);
	gstk__machine_print(fd);
	gstk__sweep_climate(&climate);
	LINE("policy.evict_cost_ns", climate.evict_ns);
	LINE("policy.trim_cost_ns", climate.trim_ns);
	LINE("policy.evict_idle_ms", climate.evict_idle_ms);
	LINE("policy.cold_idle_ms", climate.cold_idle_ms);
	LINE("policy.pack_idle_ms", climate.pack_idle_ms);
	LINE("policy.resident_budget", climate.resident_budget);
	LINE("policy.pressure_percent", climate.pressure);
	LINE("policy.memory_percent", climate.filled);
#define STAT(name) LINE("stats." #name, st.name)
	STAT(tasks); STAT(tasks_resident); STAT(tasks_copied); STAT(tasks_packed); STAT(spawns);
	STAT(switches); STAT(handoffs); STAT(yields); STAT(wakes); STAT(steals); STAT(worker_sleeps);
	STAT(worker_wakes); STAT(windows_bound); STAT(windows_shared); STAT(claims); STAT(conflicts);
	STAT(evictions); STAT(restores); STAT(bytes_evicted); STAT(bytes_copied); STAT(bytes_packed);
	STAT(bytes_unpacked); STAT(packs); STAT(unpacks); STAT(prefetches); STAT(prefetch_hits);
	STAT(trims); STAT(trim_calls); STAT(trim_bytes); STAT(sweeps); STAT(timers); STAT(polls);
	STAT(events); STAT(cancels); STAT(quantum_expiries); STAT(image_arena_bytes); STAT(window_wait_max_ns);
	STAT(task_bytes); STAT(fd_bytes); STAT(window_bytes); STAT(window_waits);
	STAT(window_wait_p50_ns); STAT(window_wait_p99_ns); STAT(hog_victims); STAT(stuck_workers);
	STAT(stuck_max_ns);
	STAT(tasks_remapped); STAT(bytes_remapped);
	STAT(remaps); STAT(remap_returns); STAT(remap_calls); STAT(remap_pack_calls); STAT(remap_ahead);
	STAT(remap_nospace); STAT(remap_nomem); STAT(remap_quota); STAT(remap_refused);
	STAT(windows_earned); STAT(bytes_resident); STAT(bytes_lazy);
	STAT(lazy_restores); STAT(lazy_refused); STAT(lazy_faults); STAT(lazy_prefetched); STAT(lazy_untouched); STAT(lazy_foreseen);
	STAT(moved_cold); STAT(moved_budget); STAT(moved_pressure); STAT(moved_claimed); STAT(copied_small);
	STAT(packed_idle); STAT(packed_pressure); STAT(trimmed_idle);
	STAT(kept_young); STAT(kept_few); STAT(kept_bouncing); STAT(kept_private); STAT(kept_busy); STAT(kept_full);
	STAT(kept_unpackable); STAT(bounces); STAT(recalibrations);
	STAT(blocking_calls); STAT(blocking_threads); STAT(blocking_queued_max); STAT(annex_calls);
	STAT(tasks_stackless); STAT(future_polls); STAT(starved);
	STAT(file_ring_calls); STAT(file_pool_calls);
	if (st.bytes_packed)
		LINE("stats.pack_ratio_percent", st.bytes_packed * 100 / st.bytes_unpacked);
	/* The last one speaks for all. */
	err = STAT(file_ring_full) < 0 ? -errno : 0;
#undef STAT
#undef LINE
	return err;
}
