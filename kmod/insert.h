/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_INSERT_H
#define GSK_INSERT_H

#include <linux/types.h>

struct gsk_buf;
struct gsk_space;
struct page;
struct vm_area_struct;

/* Module parameter move_path: which way SWITCH takes. */
enum gsk_path { GSK_PATH_AUTO, GSK_PATH_EXCHANGE, GSK_PATH_GENERIC, GSK_PATH_INSERT };
extern uint gsk_move_path;

bool gsk_must_insert(struct gsk_space *space);
void gsk_switch_insert(struct gsk_buf *buf, u32 n);
int gsk_insert_page(struct vm_area_struct *vma, unsigned long addr, struct page *page);

#endif
