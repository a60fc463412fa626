// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>

#include "pager.h"
#include "params.h"
#include "space.h"

int gsk_pager_set(struct gsk_space *space, u64 addr, u64 bytes)
{
	return -EOPNOTSUPP;
}
