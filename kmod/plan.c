// SPDX-License-Identifier: GPL-2.0
#include "plan.h"

/**
 * gsk_plan_switch() - pages that one SWITCH entry moves
 * @shape: of the object
 * @out_bytes: used bytes of the stack that leaves; 0: none
 * @in_pages: pages of the stack that enters; 0: none
 * @eager_pages: how many of these are wanted at once
 * @plan: filled in
 *
 * Return: 0, or -EINVAL when a stack does not fit above the guard.
 */
int gsk_plan_switch(const struct gsk_shape *shape, u32 out_bytes, u32 in_pages,
		    u32 eager_pages, struct gsk_plan *plan)
{
	u32 room = shape->window_pages - shape->guard_pages;
	u32 mask = (1U << shape->page_shift) - 1;
	u32 nr_out = (out_bytes >> shape->page_shift) + !!(out_bytes & mask);

	if (nr_out > room || in_pages > room)
		return -EINVAL;
	plan->nr_out = nr_out;
	plan->nr_in = in_pages;
	plan->nr_eager = eager_pages < in_pages ? eager_pages : in_pages;
	plan->nr_range = nr_out > in_pages ? nr_out : in_pages;
	return 0;
}

/**
 * gsk_plan_setup() - check the numbers of SETUP
 * @window_bytes: from user space
 * @guard_bytes: from user space
 * @park_bytes: from user space
 * @nr_windows: from user space
 * @page_shift: log2 of the page size
 * @max_windows: limit
 * @max_park_bytes: limit
 * @shape: filled in
 *
 * Return: 0 with @shape filled in, or -EINVAL.
 */
int gsk_plan_setup(u64 window_bytes, u64 guard_bytes, u64 park_bytes, u32 nr_windows,
		   u32 page_shift, u32 max_windows, u64 max_park_bytes,
		   struct gsk_shape *shape)
{
	u64 mask = (1ULL << page_shift) - 1;

	if (!window_bytes || (window_bytes & (window_bytes - 1)) ||
	    window_bytes > ((u64)GSK_MAX_WINDOW_PAGES << page_shift))
		return -EINVAL;
	if ((window_bytes | guard_bytes | park_bytes) & mask)
		return -EINVAL;
	if (!guard_bytes || guard_bytes >= window_bytes)
		return -EINVAL;
	if (!nr_windows || nr_windows > max_windows)
		return -EINVAL;
	if (!park_bytes || park_bytes > max_park_bytes)
		return -EINVAL;
	shape->window_pages = window_bytes >> page_shift;
	shape->guard_pages = guard_bytes >> page_shift;
	shape->page_shift = page_shift;
	for (shape->came_shift = 0; shape->window_pages >> shape->came_shift > GSK_CAME_BITS;)
		shape->came_shift++;
	return 0;
}

/**
 * gsk_came_bits() - the bits of ->came that stand for pages
 * @shape: of the object
 * @first: page, counted from the lowest of the window
 * @nr: pages, may be 0
 */
u64 gsk_came_bits(const struct gsk_shape *shape, u32 first, u32 nr)
{
	u32 low = first >> shape->came_shift;

	if (!nr)
		return 0;
	return (~0ULL << low) &
	       (~0ULL >> (GSK_CAME_BITS - 1 - ((first + nr - 1) >> shape->came_shift)));
}

/**
 * gsk_came_run() - pages in a row that may be present
 * @shape: of the object
 * @came: bits
 * @first: from which page on; set to the first of the run
 * @end: pages from there on do not matter
 *
 * Return: how many, 0 when there is no other run.
 */
u32 gsk_came_run(const struct gsk_shape *shape, u64 came, u32 *first, u32 end)
{
	u32 bit = *first >> shape->came_shift, to;

	if (*first >= end || !(came >> bit))
		return 0;
	if (!(came >> bit & 1)) {
		bit += __builtin_ctzll(came >> bit);
		*first = bit << shape->came_shift;
		if (*first >= end)
			return 0;
	}
	came = ~(came >> bit);
	to = (came ? bit + __builtin_ctzll(came) : GSK_CAME_BITS) << shape->came_shift;
	return (to < end ? to : end) - *first;
}
