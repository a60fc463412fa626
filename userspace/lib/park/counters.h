// SPDX-License-Identifier: MIT
#ifndef GSTK__PARK_COUNTERS_H
#define GSTK__PARK_COUNTERS_H

#include <stdint.h>

/* Counters, summed by gstk_stats(). Written by one thread only, read by anyone. */
#define GSTK__COUNTERS(X) \
	X(spawns) X(ends) X(switches) X(handoffs) X(yields) X(wakes) X(steals) X(worker_sleeps) \
	X(worker_wakes) X(claims) X(conflicts) X(evictions) X(restores) X(bytes_evicted) X(packs) \
	X(unpacks) X(prefetches) X(prefetch_hits) X(trims) X(trim_calls) X(trim_bytes) X(sweeps) \
	X(polls) X(events) X(cancels) X(quantum_expiries) X(hog_victims) X(windows_earned) \
	X(remaps) X(remap_returns) X(remap_calls) X(remap_pack_calls) X(remap_ahead) \
	X(remap_nospace) X(remap_nomem) X(remap_quota) X(remap_refused) \
	X(lazy_restores) X(lazy_refused) X(lazy_untouched) X(lazy_foreseen) X(annex_calls) X(future_polls) \
	X(starved)

struct gstk__counters {
#define GSTK__X(name) uint64_t name;
	GSTK__COUNTERS(GSTK__X)
#undef GSTK__X
	/* gauges as differences: may be negative in one worker */
	int64_t copied, packed, bytes_copied, bytes_packed, bytes_unpacked, resident;
	int64_t windows_bound, windows_shared, remapped, bytes_remapped, bytes_lazy, stackless;
	uint64_t window_wait_max_ns;
};

static inline __attribute__((always_inline)) void gstk__count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static inline __attribute__((always_inline)) void gstk__count_by(uint64_t *counter, uint64_t by)
{
	__atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

static inline __attribute__((always_inline)) void gstk__gauge(int64_t *gauge, int64_t by)
{
	__atomic_store_n(gauge, *gauge + by, __ATOMIC_RELAXED);
}

#endif
