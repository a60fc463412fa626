/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_PARAMS_H
#define GSK_PARAMS_H

#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/types.h>

/* Module parameters; described in main.c and Documentation/uapi.rst. */
extern uint gsk_max_windows;
extern ulong gsk_max_park_mib;
extern bool gsk_pager;

#define GSK_MAX_ENTRIES	4096U

/* A slot's pages are numbered in 32 bits, with room to round up. */
#define GSK_MAX_PARK_MIB	(8UL << 20)

static inline u64 gsk_max_park_bytes(void)
{
	return (u64)min(READ_ONCE(gsk_max_park_mib), GSK_MAX_PARK_MIB) << 20;
}

#endif
