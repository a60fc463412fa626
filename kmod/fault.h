/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_FAULT_H
#define GSK_FAULT_H

#include <linux/mm.h>

extern uint gsk_fault_around;

vm_fault_t gsk_fault(struct vm_fault *vmf);

#endif
