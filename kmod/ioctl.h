/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_IOCTL_H
#define GSK_IOCTL_H

struct file;

long gsk_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif
