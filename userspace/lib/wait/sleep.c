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
		return -ESRCH;
	if (gstk__cancel_pending(t))
		return -ECANCELED;
	code = gstk__block(commit_nothing, NULL, why, until_ns < deadline_ns ? until_ns : deadline_ns, true);
	if (code == GSTK__CODE_TIMEDOUT)
		return until_ns != GSTK_NEVER && gstk__now_ns() >= until_ns ? 0 : -ETIMEDOUT;
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
