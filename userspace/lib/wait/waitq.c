// SPDX-License-Identifier: MIT
#include "wait/waitq.h"

#include <greenstk/base.h>

#include "host/host.h"

bool gstk__wait_expired(uint64_t deadline_ns)
{
	return deadline_ns != GSTK_NEVER && deadline_ns <= gstk__now_ns();
}

void gstk__wakes_flush_slow(uint32_t head)
{
	struct gstk_task *t = gstk__task(head);

	if (!t->wnext) {
		gstk__enqueue(t);
		return;
	}
	gstk__wake_batch_begin();
	for (uint32_t next; head; head = next) {
		t = gstk__task(head);
		next = t->wnext; /* before: it may run and wait elsewhere */
		gstk__enqueue(t);
	}
	gstk__wake_batch_end();
}

int gstk__waitq_wait(struct gstk__waitq *q, struct gstk_task *t, enum gstk__why why, uint64_t deadline_ns)
{
	_Atomic uint32_t *lock = gstk__waitq_lock(q);
	enum gstk__code code;

	if (unlikely(gstk__wait_expired(deadline_ns))) {
		gstk__unlock(lock);
		return -ETIMEDOUT;
	}
	t->obj = q;
	gstk__waitq_push(q, t);
	code = gstk__block_unlock(lock, why, deadline_ns);
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(lock);
		return 0;
	}
	gstk__lock(lock);
	gstk__waitq_unlink(q, t);
	gstk__unlock(lock);
	return gstk__code_errno(code);
}
