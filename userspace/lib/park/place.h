/* SPDX-License-Identifier: MIT */
/* Where a stack is that the module has: what the image of a REMAPPED or COLD task refers to. */
#ifndef GSTK__PARK_PLACE_H
#define GSTK__PARK_PLACE_H

#include "host/module.h"
#include "park/park.h"

struct gstk__place {
	uint64_t handle, slot_offset;
	uint32_t cold; /* record of what of it is packed, see park/cold.h; 0: nothing */
	uint32_t pad;
};
#define GSTK__PLACE_BYTES ((uint32_t)sizeof(struct gstk__place))

static inline struct gstk__place *gstk__place(const struct gstk_task *t)
{
	return gstk__arena_ptr(t->image);
}

/* The end of a module's window; the last page of a slot is the one before. */
static inline char *gstk__place_end(uint32_t window)
{
	return gstk__windows.region + ((size_t)window << gstk__windows.shift);
}

/* Pages of the slot of a stack of which so many bytes are used. */
static inline uint32_t gstk__place_pages(uint32_t window, uint32_t used)
{
	return (uint32_t)((gstk__place_end(window) - gstk__win_base(window) + used + 4095) / 4096);
}

/* The lowest page of its slot. */
static inline char *gstk__place_low(const struct gstk_task *t)
{
	return gstk__module_slot(gstk__place(t)->slot_offset);
}

#endif
