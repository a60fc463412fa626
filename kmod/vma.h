/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_VMA_H
#define GSK_VMA_H

#include <linux/types.h>

struct file;
struct gsk_space;
struct vm_area_struct;

int gsk_mmap(struct file *file, struct vm_area_struct *vma);
bool gsk_is_mapped(struct gsk_space *space);

#endif
