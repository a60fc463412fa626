// SPDX-License-Identifier: MIT
#include "window/refuse.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

__attribute__((cold, noinline)) int gstk__refuse_shared_message(const void *p, const char *what)
{
	char line[400];
	int n = snprintf(line, sizeof(line),
			 "greenstk: %s at %p lies on the stack of a task whose window is shared, so its bytes may be "
			 "elsewhere when another task looks. Spawn the owner with GSTK_PRIVATE, pass it as a copied "
			 "argument block (gstk_spawn_opts.block), or take it from gstk_alloc().\n", what, p);

	/* One write: lines of several threads do not mix. */
	if (n > 0 && write(2, line, (size_t)n) < 0)
		return -EINVAL;
	return -EINVAL;
}
