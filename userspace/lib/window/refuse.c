// SPDX-License-Identifier: MIT
#include "window/refuse.h"

#include "host/refuse.h"

__attribute__((cold, noinline)) int gstk__refuse_shared_message(const void *p, const char *what)
{
	return gstk__refuse("%s at %p lies on the stack of a task whose window is shared, so its bytes may be "
			    "elsewhere when another task looks. Spawn the owner with GSTK_PRIVATE, pass it as a copied "
			    "argument block (gstk_spawn_opts.block), or take it from gstk_alloc().", what, p);
}
