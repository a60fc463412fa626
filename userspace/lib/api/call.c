// SPDX-License-Identifier: MIT
#include <greenstk/call.h>

#include <errno.h>
#include "arch/arch.h"
#include "sched/annex.h"
#include "sched/worker.h"

int gstk_call_on_stack(size_t bytes, void *(*fn)(void *), void *arg, void **result)
{
	struct gstk__worker *w = gstk__self();

	if (!fn || bytes > (size_t)1 << 34)
		return -EINVAL;
	if (w && w->current) {
		if (gstk__sp() - w->signal_from < w->signal_bytes)
			return -EINVAL;
		return gstk__annex_call(w->current, bytes, fn, arg, result);
	}
	arg = fn(arg);
	if (result)
		*result = arg;
	return 0;
}
