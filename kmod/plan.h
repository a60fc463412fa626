/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an entry asks for, in pages: a pure function of numbers, so that
 * selftests/uapi/plan_test.c runs it in user space for every small input.
 * Includes no mm header.
 */
#ifndef GSK_PLAN_H
#define GSK_PLAN_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/errno.h>
#else
#include <linux/types.h>
#include <errno.h>
#include <stdbool.h>
typedef __u32 u32;
typedef __u64 u64;
#endif

#define GSK_MAX_WINDOW_PAGES	512U	/* a slot lies under one page table */
#define GSK_CAME_BITS		64U
#define GSK_CAME_ALL		(~0ULL)

/* Pages of a window, all seen from its base downwards. */
struct gsk_plan {
	u32 nr_out;	/* leave for a new slot */
	u32 nr_in;	/* pages of the incoming stack */
	u32 nr_eager;	/* of these, made present now (lowest addresses) */
	u32 nr_range;	/* emptied: max(nr_out, nr_in) */
};

struct gsk_shape {
	u32 window_pages;
	u32 guard_pages;
	u32 page_shift;
	u32 came_shift;	/* log2 of the pages that one bit of a window's ->came stands for */
};

int gsk_plan_switch(const struct gsk_shape *shape, u32 out_bytes, u32 in_pages,
		    u32 eager_pages, struct gsk_plan *plan);
int gsk_plan_setup(u64 window_bytes, u64 guard_bytes, u64 park_bytes, u32 nr_windows,
		   u32 page_shift, u32 max_windows, u64 max_park_bytes,
		   struct gsk_shape *shape);
u64 gsk_came_bits(const struct gsk_shape *shape, u32 first, u32 nr);
u32 gsk_came_run(const struct gsk_shape *shape, u64 came, u32 *first, u32 end);

#endif
