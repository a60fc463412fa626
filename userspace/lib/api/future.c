// SPDX-License-Identifier: MIT
/* Birth and end of stackless tasks. */
#include <greenstk/future.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "debug/probe.h"
#include "debug/spawned.h"
#include "sched/stackless.h"
#include "sched/start.h"
#include "sched/worker.h"

#define MOST_STATE ((size_t)1 << 30)

int gstk_future_spawn(gstk_task **task, const struct gstk_future_type *type, const void *state)
{
	struct gstk__stackless *s;
	struct gstk_task *t;

	if (!type || type->size < sizeof(*type) || type->size > 4096 || !type->poll || type->state_size > MOST_STATE)
		return -EINVAL;
	if (!gstk__sched.nr)
		return -ESRCH;
	if (atomic_load_explicit(&gstk__sched.closing, memory_order_relaxed))
		return -ECANCELED;
	s = malloc(sizeof(*s) + type->state_size);
	t = s ? gstk__task_new() : NULL;
	if (!t) {
		free(s);
		return -ENOMEM;
	}
	s->type = type;
	s->timer = NULL;
	s->op = GSTK__AWAIT_NONE;
	if (state)
		memcpy(s->state, state, type->state_size);
	else
		memset(s->state, 0, type->state_size);
	t->stackless = s;
	t->tier = GSTK__TIER_STACKLESS;
	t->obj = (void *)type->poll;
	if (!task)
		atomic_store_explicit(&t->peer, GSTK__PEER_DETACHED, memory_order_relaxed);
	gstk__state_spawn(t);
	gstk__spawned_note(t, (const void *)type->poll, __builtin_return_address(0));
	GSTK__PROBE2(spawn, t, type->poll);
	if (task)
		*task = t;
	gstk__spawn_queue(t);
	return 0;
}

enum gstk_progress gstk_future_done(gstk_future *f, void *result)
{
	f->value = result;
	return GSTK_READY;
}
