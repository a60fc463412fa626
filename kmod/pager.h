/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_PAGER_H
#define GSK_PAGER_H

#include <linux/mm.h>

struct gsk_slot;
struct gsk_space;

int gsk_pager_set(struct gsk_space *space, u64 addr, u64 bytes);
bool gsk_pager_is_cold(struct gsk_space *space, const struct gsk_slot *slot, u32 page);
vm_fault_t gsk_pager_ask(struct gsk_space *space, struct vm_fault *vmf, unsigned long page);
struct page *gsk_pager_page(struct gsk_space *space, unsigned long page);
void gsk_pager_done(struct gsk_space *space, struct gsk_slot *slot, u32 page);

#endif
