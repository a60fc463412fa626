/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_VMA_H
#define GSK_VMA_H

struct file;
struct vm_area_struct;

int gsk_mmap(struct file *file, struct vm_area_struct *vma);

#endif
