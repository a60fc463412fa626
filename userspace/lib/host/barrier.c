// SPDX-License-Identifier: MIT
#include "host/host.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

bool gstk__membarrier_missing = true;

int gstk__membarrier_init(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return -errno;
	gstk__membarrier_missing = false;
	return 0;
}

void gstk__membarrier(void)
{
	if (gstk__membarrier_missing || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		atomic_thread_fence(memory_order_seq_cst);
}
