// SPDX-License-Identifier: MIT
#include <greenstk/call.h>

#include <errno.h>
#include "arch/arch.h"
#include "host/refuse.h"
#include "sched/annex.h"
#include "sched/worker.h"

#define MOST ((size_t)1 << 34)

int gstk_call_on_stack(size_t bytes, void *(*fn)(void *), void *arg, void **result)
{
	struct gstk__worker *w = gstk__self();

	if (!fn)
		return gstk__refuse("gstk_call_on_stack: the function is NULL; give what is to be called");
	if (bytes > MOST)
		return gstk__refuse("gstk_call_on_stack: a stack of %zu bytes; at most %zu: put what is so big on the heap", bytes,
				    MOST);
	if (w && w->current) {
		if (gstk__sp() - w->signal_from < w->signal_bytes)
			return gstk__refuse("gstk_call_on_stack: in a signal handler or a poll function, which have no stack to "
					    "leave; spawn a task for that");
		return gstk__annex_call(w->current, bytes, fn, arg, result);
	}
	arg = fn(arg);
	if (result)
		*result = arg;
	return 0;
}
