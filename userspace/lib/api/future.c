// SPDX-License-Identifier: MIT
/* Birth and end of stackless tasks. */
#include <greenstk/future.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "debug/probe.h"
#include "debug/spawned.h"
#include "host/refuse.h"
#include "sched/stackless.h"
#include "sched/start.h"
#include "sched/worker.h"

#define MOST_STATE ((size_t)1 << 30)

static __attribute__((cold, noinline)) int refuse(const struct gstk_future_type *type)
{
	if (!type)
		return gstk__refuse("gstk_future_spawn: the type is NULL; give the kind of task");
	if (type->size < sizeof(*type) || type->size > 4096)
		return gstk__refuse("gstk_future_spawn: a type of %zu bytes; set .size to sizeof(struct gstk_future_type)",
				    type->size);
	if (!type->poll)
		return gstk__refuse("gstk_future_spawn: .poll is NULL; give the function that does the work");
	return gstk__refuse("gstk_future_spawn: a state of %zu bytes; at most %zu: keep a pointer to what is so big",
			    type->state_size, MOST_STATE);
}

int gstk_future_spawn(gstk_task **task, const struct gstk_future_type *type, const void *state)
{
	struct gstk__stackless *s;
	struct gstk_task *t;

	if (__builtin_expect(!type || type->size < sizeof(*type) || type->size > 4096 || !type->poll ||
			     type->state_size > MOST_STATE, 0))
		return refuse(type);
	if (!gstk__sched.nr)
		return gstk__no_runtime("gstk_future_spawn");
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
