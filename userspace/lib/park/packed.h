/* SPDX-License-Identifier: MIT */
/* What is counted of stacks that are packed, in whichever tier that is. */
#ifndef GSTK__PARK_PACKED_H
#define GSTK__PARK_PACKED_H

#include "debug/probe.h"
#include "debug/trace.h"
#include "park/park.h"

/* @t is packed from now on, in @bytes of arena; what it was before is for the caller to count. */
static inline void gstk__packed(struct gstk__park *p, struct gstk_task *t, enum gstk__tier tier, uint32_t bytes)
{
	t->tier = (uint8_t)tier;
	gstk__count(&p->n.packs);
	gstk__gauge(&p->n.packed, 1);
	gstk__gauge(&p->n.bytes_packed, bytes);
	gstk__gauge(&p->n.bytes_unpacked, t->used);
	GSTK__PROBE3(pack, t, t->used, bytes);
	GSTK__TRACE(moved(GSTK__TRACE_PACK, t, (uint64_t)bytes << 32 | t->used, tier));
}

/* It is so no more. */
static inline void gstk__not_packed(struct gstk__park *p, const struct gstk_task *t, uint32_t bytes)
{
	gstk__gauge(&p->n.packed, -1);
	gstk__gauge(&p->n.bytes_packed, -(int64_t)bytes);
	gstk__gauge(&p->n.bytes_unpacked, -(int64_t)t->used);
}

#endif
