/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_PARAMS_H
#define GSK_PARAMS_H

#include <linux/types.h>

/* Module parameters; described in main.c and Documentation/uapi.rst. */
extern uint gsk_max_windows;
extern ulong gsk_max_park_mib;
extern bool gsk_pager;

#define GSK_MAX_ENTRIES	4096U

#endif
