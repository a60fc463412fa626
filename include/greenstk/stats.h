// SPDX-License-Identifier: MIT
/* Counters and reports. */
#ifndef GREENSTK_STATS_H
#define GREENSTK_STATS_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/**
 * A snapshot; counters are summed over workers without stopping them, so they may be a few
 * operations apart. Gauges say so.
 */
struct gstk_stats {
	size_t size;		    /**< set by the caller to sizeof(struct gstk_stats) */
	uint64_t workers;	    /**< gauge */
	uint64_t tasks;		    /**< gauge: live tasks */
	uint64_t tasks_resident;    /**< gauge: tasks whose stack is in their window */
	uint64_t tasks_copied;	    /**< gauge */
	uint64_t tasks_packed;	    /**< gauge */
	uint64_t spawns;
	uint64_t switches;	    /**< context switches into a task, and runs of stackless ones */
	uint64_t handoffs;	    /**< of these, straight from the peer that woke it */
	uint64_t yields;
	uint64_t wakes;		    /**< tasks made runnable */
	uint64_t steals;	    /**< successful */
	uint64_t worker_sleeps;
	uint64_t worker_wakes;	    /**< futex or eventfd wakes of idle workers */
	uint64_t windows;	    /**< gauge: configured */
	uint64_t windows_bound;	    /**< gauge: with at least one task */
	uint64_t windows_shared;    /**< gauge: with more than one */
	uint64_t claims;	    /**< a window changed its resident */
	uint64_t conflicts;	    /**< a runnable task found its window occupied by a running mate */
	uint64_t evictions;	    /**< stacks that left a window */
	uint64_t restores;
	uint64_t bytes_evicted;	    /**< used bytes saved */
	uint64_t bytes_copied;	    /**< gauge: bytes in images, exact; of deep ones all that is used */
	uint64_t bytes_packed;	    /**< gauge: bytes in packed images */
	uint64_t bytes_unpacked;    /**< gauge: what these would take unpacked */
	uint64_t packs;
	uint64_t unpacks;
	uint64_t prefetches;
	uint64_t prefetch_hits;	    /**< restores whose image had been prefetched */
	uint64_t trims;		    /**< ranges given back */
	uint64_t trim_calls;	    /**< system calls for them */
	uint64_t trim_bytes;
	uint64_t sweeps;
	uint64_t timers;	    /**< gauge: armed */
	uint64_t polls;		    /**< epoll_wait calls */
	uint64_t events;	    /**< events they returned */
	uint64_t cancels;
	uint64_t quantum_expiries;  /**< residents that lost their window to a waiting mate */
	uint64_t image_arena_bytes; /**< gauge: memory committed for images */
	uint64_t window_wait_max_ns;/**< longest wait of a runnable task for its window */
	uint64_t task_bytes;	    /**< gauge: task structures ever used at a time */
	uint64_t fd_bytes;	    /**< gauge: records of file descriptors */
	uint64_t window_bytes;	    /**< gauge: records of windows ever used (their stacks not counted) */
	uint64_t window_waits;	    /**< runnable tasks that had to wait for their window */
	uint64_t window_wait_p50_ns;/**< half of these waits were no longer; to a quarter of an octave */
	uint64_t window_wait_p99_ns;
	uint64_t hog_victims;	    /**< of these waits, those longer than the quantum of 1 ms */
	uint64_t stuck_workers;	    /**< times that a worker got back from no task for 10 ms or more */
	uint64_t stuck_max_ns;	    /**< the longest of these times seen */
	uint64_t tasks_remapped;    /**< gauge: tasks whose pages are in slots of the module */
	uint64_t bytes_remapped;    /**< gauge: their bytes of stack */
	uint64_t remaps;	    /**< evictions by moving pages */
	uint64_t remap_returns;	    /**< restores by moving pages */
	uint64_t remap_calls;	    /**< system calls for them */
	uint64_t remap_pack_calls;  /**< system calls to pack straight from slots */
	uint64_t remap_ahead;	    /**< restores that shared the call of a task that ran before */
	uint64_t remap_nospace;	    /**< moves refused, done by copying: no room in the parking range */
	uint64_t remap_nomem;	    /**< the same: no memory */
	uint64_t remap_quota;	    /**< the same: a cap of the module */
	uint64_t remap_refused;	    /**< the same: anything else */
	uint64_t bytes_resident;    /**< gauge: pages of stacks in their windows, estimated by the last pass of the sweep */
	uint64_t windows_earned;    /**< tasks that got a window of their own because others of their function hog */
	uint64_t blocking_calls;    /**< functions of gstk_blocking() that began */
	uint64_t blocking_threads;  /**< gauge: threads that run them */
	uint64_t blocking_queued_max; /**< most of them that waited for a thread at a time */
	uint64_t bytes_lazy;	    /**< gauge: images of stacks that came back in part */
	uint64_t lazy_restores;	    /**< restores of which only the top was copied (userfaultfd) */
	uint64_t lazy_refused;	    /**< such that were done whole: the kernel refused, as with too many mappings */
	uint64_t lazy_faults;	    /**< touches that the pager answered */
	uint64_t lazy_prefetched;   /**< pages that came with one that was touched */
	uint64_t lazy_untouched;    /**< pages that had not come when the stack left again, or ended */
	uint64_t annex_calls;	    /**< calls of gstk_call_on_stack() in tasks */
	/* Each decision on a stack, by its reason. `kept_` are looks of the sweep, so one stack counts often. */
	uint64_t moved_cold;	    /**< out of their windows: idle so long that they would have gone in any case */
	uint64_t moved_budget;	    /**< the same: the resident budget was spent */
	uint64_t moved_pressure;    /**< the same: memory was short (PSI, or the control group's limit was near) */
	uint64_t moved_claimed;	    /**< the same: another task of the window was to run */
	uint64_t packed_idle;	    /**< packed: idle for so long */
	uint64_t packed_pressure;   /**< packed early: memory was short */
	uint64_t trimmed_idle;	    /**< dead pages of a resident went */
	uint64_t kept_young;	    /**< not idle for long enough */
	uint64_t kept_few;	    /**< so few are resident that nothing is gained */
	uint64_t kept_bouncing;	    /**< it came back soon after the last moves, so it is moved later */
	uint64_t kept_private;	    /**< private: it is never moved */
	uint64_t kept_busy;	    /**< somebody else had it */
	uint64_t kept_full;	    /**< no memory for an image, in no backend */
	uint64_t kept_unpackable;   /**< packing would not have made it smaller */
	uint64_t copied_small;	    /**< of those moved, with the module: too few bytes to move their pages */
	uint64_t bounces;	    /**< moves after which a stack came back soon */
	uint64_t recalibrations;    /**< as other than so many workers ran */
	uint64_t tasks_stackless;   /**< gauge: stackless tasks that have begun */
	uint64_t future_polls;	    /**< calls of their poll functions */
	uint64_t lazy_foreseen;	    /**< pages that came with the top, since they were touched in the stay before */
	uint64_t file_ring_calls;   /**< operations on files that io_uring did */
	uint64_t file_pool_calls;   /**< the same, on threads of gstk_blocking() */
	uint64_t file_ring_full;    /**< of these, as too many were under way for io_uring */
	uint64_t starved;	    /**< times that a task or a window had to wait for memory, or for a private window */
};

/* A function and a structure of one name: to g++ that is a shadow (-Wshadow), in the application's own compilation. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
/** Fill @stats up to the size it carries. -EINVAL without a runtime or size. Any thread. */
GSTK_API int gstk_stats(struct gstk_stats *stats);
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/** Print configuration, calibration and counters as `name value` lines to @fd. -EINVAL without a runtime, or what
 * writing failed with. Any thread. */
GSTK_API int gstk_info(int fd);

/**
 * Print every task to @fd: name, state, tier, wait reason, age, bytes and, with @backtraces, its
 * frames, evicted and packed ones included. The process goes on meanwhile. -ENOMEM, or as gstk_info(). Any thread.
 */
GSTK_API int gstk_dump(int fd, bool backtraces);

GSTK_END_DECLS
#endif
