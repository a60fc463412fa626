/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_PAGER_H
#define GSK_PAGER_H

#include <linux/types.h>

struct gsk_space;

int gsk_pager_set(struct gsk_space *space, u64 addr, u64 bytes);

#endif
