/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_LAZY_H
#define GSK_LAZY_H

#include <linux/types.h>

struct gsk_lazy;
struct gsk_space;

int gsk_lazy_add(struct gsk_space *space, u32 window, u32 keep);
void gsk_lazy_claimed(struct gsk_space *space, u32 window);
void gsk_lazy_free(struct gsk_lazy *lazy);
int gsk_lazy_init(void);
void gsk_lazy_exit(void);

#endif
