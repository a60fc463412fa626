// SPDX-License-Identifier: MIT
/*
 * Once. state: 0 new, DONE, or the index of the task that runs the function << 1. A function that is left by an
 * exception (hence -fexceptions for this file) or by gstk_exit() did not run: who waits, or comes, runs it.
 */
#include <greenstk/base.h>

#include <errno.h>
#include <stdlib.h>
#include "host/refuse.h"
#include "wait/waitq.h"

#define DONE 1u

struct run {
	gstk_once *once;
	struct gstk_task *task;
	struct gstk__cleanup *entry; /* of the task's cleanups; NULL: gstk_exit() is forbidden there */
	uint32_t state;		     /* what it comes to */
};

static inline _Atomic uint32_t *state_of(gstk_once *o)
{
	return (_Atomic uint32_t *)&o->state;
}

/* All look at the state again. */
static void settle(gstk_once *o, uint32_t state)
{
	struct gstk__wakes list = { 0, 0, 0 };

	gstk__lock(gstk__waitq_lock(&o->q));
	atomic_store_explicit(state_of(o), state, memory_order_release);
	gstk__waitq_wake_all(&o->q, &list);
	gstk__unlock(gstk__waitq_lock(&o->q));
	gstk__wakes_flush(&list);
}

/* The task ends inside the function: run as a cleanup, and freed as such. */
static void task_ends(void *once)
{
	settle(once, 0);
}

/* The function has returned, or an exception comes through. */
static void leave(struct run *r)
{
	if (r->entry) {
		struct gstk__cleanup **p = &gstk__ext(r->task)->cleanups;

		while (*p != r->entry) /* it may have left some of its own */
			p = &(*p)->next;
		*p = r->entry->next;
		free(r->entry);
	}
	settle(r->once, r->state);
}

static int run(gstk_once *o, struct gstk_task *t, void (*fn)(void *), void *arg, struct gstk__cleanup *entry)
{
	struct run r __attribute__((cleanup(leave))) = { o, t, entry, 0 };

	fn(arg);
	r.state = DONE;
	return 0;
}

/* For a task that may end by gstk_exit(): 0 with an entry in its cleanups, or -ENOMEM. */
static int push_entry(gstk_once *o, struct gstk_task *t, struct gstk__cleanup **entry)
{
	struct gstk__ext *x;
	struct gstk__cleanup *c;

	*entry = NULL;
	if (t->flags & GSTK__T_FOREIGN || t->tier == GSTK__TIER_STACKLESS)
		return 0;
	x = gstk__ext_get(t);
	c = x ? malloc(sizeof(*c)) : NULL;
	if (!c)
		return -ENOMEM;
	*c = (struct gstk__cleanup){ .next = x->cleanups, .fn = task_ends, .arg = o, .librarys = true };
	x->cleanups = *entry = c;
	return 0;
}

/* It is the caller's to run: 1. Or 0, when it is done, or an error. */
static int take_or_wait(gstk_once *o, struct gstk_task *t)
{
	_Atomic uint32_t *lock = gstk__waitq_lock(&o->q);
	uint32_t mine = gstk__task_index(t) << 1, s;

	for (;;) {
		int r;

		gstk__lock(lock);
		s = atomic_load_explicit(state_of(o), memory_order_relaxed);
		if (!s || s == DONE || s == mine)
			break;
		r = gstk__waitq_wait(&o->q, t, GSTK__WAIT_ONCE, GSTK_NEVER);
		if (unlikely(r))
			return r;
	}
	if (!s)
		atomic_store_explicit(state_of(o), mine, memory_order_relaxed);
	gstk__unlock(lock);
	if (s == mine)
		return gstk__refuse_with(-EDEADLK, "gstk_once_run: called by the function that it runs, which would wait for its "
					 "own end; leave the inner call out");
	return !s;
}

int gstk_once_run(gstk_once *o, void (*fn)(void *), void *arg)
{
	struct gstk__cleanup *entry;
	struct gstk_task *t;
	int r;

	/* Acquire: partner is the release store of DONE in settle(). */
	if (likely(atomic_load_explicit(state_of(o), memory_order_acquire) == DONE))
		return 0;
	r = gstk__wait_begin(&t, "gstk_once_run");
	if (unlikely(r))
		return r;
	if (unlikely(!fn))
		return gstk__refuse("gstk_once_run: the function is NULL; give what is to run once");
	if (unlikely(gstk__refuse_shared(o, "gstk_once_run: the once")))
		return -EINVAL;
	r = take_or_wait(o, t);
	if (r <= 0)
		return r;
	r = push_entry(o, t, &entry);
	if (unlikely(r)) {
		settle(o, 0);
		return r;
	}
	return run(o, t, fn, arg, entry);
}
