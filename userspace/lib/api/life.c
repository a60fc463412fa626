// SPDX-License-Identifier: MIT
#include "api/life.h"

#include "sched/sched.h"
#include "wait/fd.h"

int gstk__life_init(void)
{
	return gstk__netpoll_register();
}

void gstk__life_fini(void)
{
	if (gstk__poller)
		gstk__poller->fini();
	gstk__poller = NULL;
}

void gstk__life_thread_begin(struct gstk__worker *w)
{
}

void gstk__life_thread_end(struct gstk__worker *w)
{
}
