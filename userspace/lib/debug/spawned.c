// SPDX-License-Identifier: MIT
#include "debug/spawned.h"

#include <errno.h>
#include "host/host.h"

struct gstk__spawned *gstk__spawned;
static size_t bytes;

int gstk__spawned_init(size_t max_tasks)
{
	bytes = (max_tasks + 1) * sizeof(*gstk__spawned);
	gstk__spawned = gstk__mem_reserve(bytes, 4096);
	return gstk__spawned ? 0 : -ENOMEM;
}

void gstk__spawned_fini(void)
{
	gstk__mem_release(gstk__spawned, bytes);
	gstk__spawned = NULL;
}
