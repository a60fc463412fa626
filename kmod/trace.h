/* SPDX-License-Identifier: GPL-2.0 */
/* Trace events, /sys/kernel/tracing/events/greenstk: see Documentation/uapi.rst. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM greenstk

#if !defined(GSK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define GSK_TRACE_H

#include <linux/mm.h>
#include <linux/tracepoint.h>

#include "space.h"

/* A bracket: the entries that shared a flush. */
TRACE_EVENT(greenstk_switch,
	TP_PROTO(const struct gsk_space *space, u32 entries, u32 done, u32 parked, u32 resumed,
		 u32 dead),
	TP_ARGS(space, entries, done, parked, resumed, dead),
	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(u32, entries)
		__field(u32, done)
		__field(u32, parked)
		__field(u32, resumed)
		__field(u32, dead)
	),
	TP_fast_assign(
		__entry->owner = space->owner;
		__entry->entries = entries;
		__entry->done = done;
		__entry->parked = parked;
		__entry->resumed = resumed;
		__entry->dead = dead;
	),
	TP_printk("owner=%d entries=%u done=%u parked=%u resumed=%u dead=%u", __entry->owner,
		  __entry->entries, __entry->done, __entry->parked, __entry->resumed,
		  __entry->dead)
);

/* Pages given back: by RECLAIM for many windows, or by the shrinker for one. */
TRACE_EVENT(greenstk_reclaim,
	TP_PROTO(const struct gsk_space *space, bool lazy, u32 windows, unsigned long pages),
	TP_ARGS(space, lazy, windows, pages),
	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(bool, lazy)
		__field(u32, windows)
		__field(unsigned long, pages)
	),
	TP_fast_assign(
		__entry->owner = space->owner;
		__entry->lazy = lazy;
		__entry->windows = windows;
		__entry->pages = pages;
	),
	TP_printk("owner=%d lazy=%d windows=%u pages=%lu", __entry->owner, __entry->lazy,
		  __entry->windows, __entry->pages)
);

TRACE_EVENT(greenstk_fault,
	TP_PROTO(const struct gsk_space *space, unsigned long address, unsigned long pgoff,
		 vm_fault_t result),
	TP_ARGS(space, address, pgoff, result),
	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(unsigned long, address)
		__field(unsigned long, pgoff)
		__field(unsigned int, result)
	),
	TP_fast_assign(
		__entry->owner = space->owner;
		__entry->address = address;
		__entry->pgoff = pgoff;
		__entry->result = (__force unsigned int)result;
	),
	TP_printk("owner=%d address=0x%lx pgoff=%lu result=0x%x", __entry->owner,
		  __entry->address, __entry->pgoff, __entry->result)
);

/* A cold page is about to be asked for. */
TRACE_EVENT(greenstk_pager,
	TP_PROTO(const struct gsk_space *space, unsigned long page, unsigned long address),
	TP_ARGS(space, page, address),
	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(unsigned long, page)
		__field(unsigned long, address)
	),
	TP_fast_assign(
		__entry->owner = space->owner;
		__entry->page = page;
		__entry->address = address;
	),
	TP_printk("owner=%d page=%lu address=0x%lx", __entry->owner, __entry->page,
		  __entry->address)
);

/* What a child got: the pages of its stack, or an error. */
TRACE_EVENT(greenstk_fork,
	TP_PROTO(const struct gsk_space *parent, unsigned long window, unsigned long pages,
		 int err),
	TP_ARGS(parent, window, pages, err),
	TP_STRUCT__entry(
		__field(pid_t, owner)
		__field(unsigned long, window)
		__field(unsigned long, pages)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->owner = parent->owner;
		__entry->window = window;
		__entry->pages = pages;
		__entry->err = err;
	),
	TP_printk("owner=%d window=%lu pages=%lu err=%d", __entry->owner, __entry->window,
		  __entry->pages, __entry->err)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
