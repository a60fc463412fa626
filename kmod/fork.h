/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_FORK_H
#define GSK_FORK_H

struct gsk_heirloom;
struct gsk_space;
struct vm_area_struct;

void gsk_fork(struct vm_area_struct *vma, struct gsk_space *parent);
void gsk_heirloom_free(struct gsk_heirloom *h);

#endif
