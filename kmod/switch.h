/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of a bracket of SWITCH entries, in the order in which they are used. */
#ifndef GSK_SWITCH_H
#define GSK_SWITCH_H

#include "batch.h"

static inline unsigned long slot_addr(struct gsk_space *space, const struct gsk_slot *slot)
{
	return gsk_addr(space, space->park_pgoff + slot->first);
}

static inline unsigned long base_addr(struct gsk_space *space, u32 window)
{
	return gsk_addr(space, gsk_window_base(space, window));
}

#define for_each_live(buf, n, i, m)				\
	for ((i) = 0, (m) = (buf)->moves; (i) < (n); (i)++, (m)++)	\
		if ((m)->live)

/* claim.c */
u32 gsk_claim_all(struct gsk_buf *buf, u32 n, u32 nr_out);
void gsk_unclaim_locked(struct gsk_space *space, struct gsk_move *m);
u32 gsk_make_tables(struct gsk_buf *buf, u32 n);
/* carry.c */
void gsk_carry(struct gsk_buf *buf, u32 n, u32 nr_live);

#endif
