// SPDX-License-Identifier: MIT
/* Waiting for nothing but time. */
#include "wait/sleep.h"

#include <greenstk/time.h>
#include "arch/far.h"
#include "host/host.h"
#include "sched/here.h"

static int slept(struct gstk_task *t, enum gstk__code code, void *arg, uint32_t rested)
{
	return code == GSTK__CODE_TIMEDOUT && rested ? 0 : gstk__code_errno(code);
}

GSTK__FAR_RETURN int gstk__sleep_until(uint64_t until_ns, uint64_t deadline_ns, enum gstk__why why)
{
	struct gstk_task *t = gstk__current();
	bool rested;

	if (!t)
		return gstk__no_task("gstk_sleep");
	if (gstk__no_wait_here())
		return gstk__wait_refused(NULL);
	if (gstk__cancel_pending(t))
		return -ECANCELED;
	if (why != GSTK__WAIT_SLEEP)
		t->obj = NULL; /* no descriptor, of which reports would tell */
	if (t->flags & GSTK__T_DEADLINE && gstk__ext(t)->deadline_ns < deadline_ns)
		deadline_ns = gstk__ext(t)->deadline_ns;
	/* By which comes first, not by the clock: where every sleep is shorter than a park takes, both are over. */
	rested = until_ns <= deadline_ns;
	return gstk__block_then(gstk__no_lock(), why, rested ? until_ns : deadline_ns, slept, NULL, rested);
}

uint64_t gstk_now(void)
{
	return gstk__now_ns();
}

int gstk_sleep_until(uint64_t deadline_ns)
{
	return gstk__sleep_until(deadline_ns, GSTK_NEVER, GSTK__WAIT_SLEEP);
}

int gstk_sleep(uint64_t ns)
{
	uint64_t now = gstk__now_ns();

	return gstk_sleep_until(ns < GSTK_NEVER - now ? now + ns : GSTK_NEVER);
}
