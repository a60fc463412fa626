// SPDX-License-Identifier: MIT
/* Waiting for nothing but time. */
#include "wait/sleep.h"

#include <greenstk/time.h>
#include "host/host.h"

static bool commit_nothing(struct gstk_task *t, void *arg)
{
	return true;
}

int gstk__sleep_until(uint64_t until_ns, uint64_t deadline_ns, enum gstk__why why)
{
	struct gstk_task *t = gstk__current();
	enum gstk__code code;

	if (!t)
		return gstk__no_task("gstk_sleep");
	if (gstk__cancel_pending(t))
		return -ECANCELED;
	if (why != GSTK__WAIT_SLEEP)
		t->obj = NULL; /* no descriptor, of which reports would tell */
	code = gstk__block(commit_nothing, NULL, why, until_ns < deadline_ns ? until_ns : deadline_ns, true);
	if (code == GSTK__CODE_TIMEDOUT) {
		/* By which came first, not by the clock: where every sleep is shorter than a park takes, both are over. */
		if (t->flags & GSTK__T_DEADLINE && gstk__ext(t)->deadline_ns < deadline_ns)
			deadline_ns = gstk__ext(t)->deadline_ns;
		return until_ns <= deadline_ns ? 0 : -ETIMEDOUT;
	}
	return gstk__code_errno(code);
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
