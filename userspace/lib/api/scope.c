// SPDX-License-Identifier: MIT
/*
 * Scopes: tasks that end before the one that owns them goes on.
 *
 * A task of a scope is a detached one with an entry in the scope's list, which is left when the task ends,
 * whichever way, after all that is cleaned up then. The last thing it does with the scope is to lower the
 * count, under the lock; the owner frees the scope when that is zero.
 */
#include <greenstk/scope.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "api/spawn.h"
#include "host/host.h"
#include "host/refuse.h"
#include "sched/start.h"
#include "sched/worker.h"
#include "wait/waitq.h"

#define CANCEL_BATCH 64u /* under one lock, and by one barrier */

struct child {
	struct gstk__cleanup last;    /* first: freed as such */
	struct child *next, **pprev;  /* of the scope's list; pprev NULL: in none */
	struct gstk_scope *scope;
	struct gstk_task *task;
	gstk_scope_fn fn;
	void *arg;
	int err;
	_Alignas(16) char block[];
};

struct gstk_scope {
	struct gstk__waitq q;	     /* the owner; its lock guards all */
	struct child *live, *told;   /* those that were cancelled already */
	uint64_t running;
	int err;		     /* the first failure; then whoever comes is cancelled at once */
	uint64_t deadline_ns, outer; /* outer: the owner's before */
	struct gstk_task *owner;
	struct gstk__cleanup *cleanup; /* NULL: the owner ends */
};

static void link_child(struct child **head, struct child *c)
{
	c->next = *head;
	c->pprev = head;
	if (c->next)
		c->next->pprev = &c->next;
	*head = c;
}

static void unlink_child(struct child *c)
{
	if (!c->pprev)
		return;
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	c->pprev = NULL;
}

/* Some of those that have not been told yet; false: that was all. Their tasks may have ended when they are
 * woken, and be others that nobody has cancelled: these stay as they are. */
static bool cancel_some(struct gstk_scope *s)
{
	struct gstk_task *t[CANCEL_BATCH];
	unsigned int nr = 0;

	gstk__lock(gstk__waitq_lock(&s->q));
	while (s->live && nr < CANCEL_BATCH) {
		struct child *c = s->live;

		unlink_child(c);
		link_child(&s->told, c);
		gstk__cancel_mark(c->task);
		t[nr++] = c->task;
	}
	gstk__unlock(gstk__waitq_lock(&s->q));
	if (!nr)
		return false;
	gstk__membarrier(); /* partner: gstk__fence_light() of the park */
	for (unsigned int i = 0; i < nr; i++)
		gstk__cancel_wake(t[i]);
	return true;
}

/* Of somebody for whom the scope stays: the owner, or a task that is counted. */
static void fail(struct gstk_scope *s, int err)
{
	gstk__lock(gstk__waitq_lock(&s->q));
	if (!s->err)
		s->err = err;
	gstk__unlock(gstk__waitq_lock(&s->q));
	while (cancel_some(s))
		;
}

/* The last that a task of a scope does. */
static void child_ends(void *arg)
{
	struct child *c = arg;
	struct gstk_scope *s = c->scope;
	struct gstk__wakes list = { 0, 0, 0 };

	if (unlikely(c->err))
		fail(s, c->err);
	gstk__lock(gstk__waitq_lock(&s->q));
	unlink_child(c);
	if (!--s->running)
		gstk__waitq_wake_all(&s->q, &list);
	gstk__unlock(gstk__waitq_lock(&s->q));
	gstk__wakes_flush(&list);
}

static void *child_runs(void *arg)
{
	struct child *c = arg;
	struct gstk_scope *s = c->scope;
	struct gstk_task *t = gstk__current_task();
	struct gstk__ext *x = gstk__ext(t); /* from the spawn */
	bool late;

	c->last = (struct gstk__cleanup){ .fn = child_ends, .arg = c };
	x->last = &c->last;
	if (s->deadline_ns != GSTK_NEVER)
		gstk_deadline_set(s->deadline_ns); /* with the extension there it cannot fail */
	gstk__lock(gstk__waitq_lock(&s->q));
	late = s->err;
	c->task = t;
	link_child(late ? &s->told : &s->live, c);
	gstk__unlock(gstk__waitq_lock(&s->q));
	if (late)
		gstk__cancel_mark(t);
	c->err = c->fn(c->arg);
	if (c->err > 0)
		c->err = 0;
	return NULL;
}

/* The cleanup by which a scope ends with the task that owns it. */
static void owner_ends(void *scope)
{
	struct gstk_scope *s = scope;

	s->cleanup = NULL; /* who runs the cleanups has taken it */
	fail(s, -ECANCELED);
	gstk_scope_end(s);
}

int gstk_scope_begin(gstk_scope **scope, uint64_t deadline_ns)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk_scope *s;
	int err;

	if (!scope)
		return gstk__refuse("gstk_scope_begin: nowhere to put the scope; give the address of a gstk_scope *");
	if (!t)
		return gstk__sched.nr ? gstk__refuse_with(-ESRCH, "gstk_scope_begin: outside a task; a scope is a task's, and ends "
							  "before it does")
				      : gstk__no_runtime("gstk_scope_begin");
	if (t->tier == GSTK__TIER_STACKLESS)
		return gstk__refuse("gstk_scope_begin: in a poll function, which could not wait for the end of the scope; begin "
				    "it in a task with a stack");
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->owner = t;
	s->outer = gstk_deadline_get();
	s->deadline_ns = deadline_ns < s->outer ? deadline_ns : s->outer;
	err = gstk_cleanup_push(owner_ends, s);
	if (err) {
		free(s);
		return err;
	}
	s->cleanup = gstk__ext(t)->cleanups;
	s->cleanup->librarys = true;
	gstk_deadline_set(s->deadline_ns); /* with the extension there it cannot fail */
	*scope = s;
	return 0;
}

static __attribute__((cold, noinline)) int no_scope(const char *call)
{
	return gstk__refuse("%s: the scope is NULL; gstk_scope_begin() makes one", call);
}

int gstk_scope_spawn(gstk_scope *s, gstk_scope_fn fn, void *arg, const struct gstk_spawn_opts *opts)
{
	struct gstk_spawn_opts o = { .size = sizeof(o) };
	size_t bytes = 0;
	struct child *c;
	int err;

	if (!s || !fn)
		return s ? gstk__refuse("gstk_scope_spawn: the function is NULL; give what the task is to run") : no_scope("gstk_scope_spawn");
	err = gstk__refuse_shared(arg, "gstk_scope_spawn: the argument");
	if (err)
		return err;
	if (opts) {
		if (opts->size < offsetof(struct gstk_spawn_opts, stack_size) || opts->size > 4096)
			return gstk__refuse("gstk_scope_spawn: options of %zu bytes; set .size to sizeof(struct "
					    "gstk_spawn_opts), or use GSTK_OPTS()", opts->size);
		memcpy(&o, opts, opts->size < sizeof(o) ? opts->size : sizeof(o));
		if (o.flags & GSTK_NATIVE)
			return gstk__refuse("gstk_scope_spawn: GSTK_NATIVE; on a thread of its own it could not be cancelled with the "
					    "scope: leave it out, and use gstk_blocking() in the task");
		if (o.block_size && (!o.block || o.block_size > UINT32_MAX))
			return gstk__refuse("gstk_scope_spawn: an argument block of %zu bytes at %p; give both .block and "
					    ".block_size, or neither", o.block_size, o.block);
		bytes = o.block_size;
	}
	c = calloc(1, sizeof(*c) + bytes);
	if (!c)
		return -ENOMEM;
	if (bytes)
		memcpy(c->block, o.block, bytes);
	c->scope = s;
	c->fn = fn;
	c->arg = bytes ? c->block : arg;
	o.block = NULL;
	o.block_size = 0;
	o.size = sizeof(o);
	o.flags |= GSTK_DETACHED;
	if (!o.name)
		o.name = ""; /* and so an extension, or ENOMEM now */
	gstk__lock(gstk__waitq_lock(&s->q));
	err = s->err ? -ECANCELED : 0;
	s->running += !err;
	gstk__unlock(gstk__waitq_lock(&s->q));
	if (!err) {
		err = gstk__spawn_known(NULL, child_runs, c, &o, (void *)fn, __builtin_return_address(0));
		if (!err)
			return 0;
		gstk__lock(gstk__waitq_lock(&s->q));
		s->running--; /* the caller's own task keeps the scope, whoever waits for it */
		gstk__unlock(gstk__waitq_lock(&s->q));
	}
	free(c);
	return err;
}

int gstk_scope_cancel(gstk_scope *s, int err)
{
	if (!s)
		return no_scope("gstk_scope_cancel");
	if (err >= 0)
		return gstk__refuse("gstk_scope_cancel: the error is %d; give a negative errno, -ECANCELED say", err);
	fail(s, err);
	return 0;
}

int gstk_scope_error(gstk_scope *s)
{
	int err;

	if (!s)
		return no_scope("gstk_scope_error");
	gstk__lock(gstk__waitq_lock(&s->q));
	err = s->err;
	gstk__unlock(gstk__waitq_lock(&s->q));
	return err;
}

/* Until the count is zero; a cancel or deadline cancels the tasks, and the wait goes on. An error where
 * nothing may wait: in a signal handler. */
static int wait_for_all(struct gstk_scope *s, struct gstk_task *t)
{
	_Atomic uint32_t *lock = gstk__waitq_lock(&s->q);
	enum gstk__code code;
	int err = 0;

	gstk__lock(lock);
	if (s->running)
		err = gstk__waitq_wait(&s->q, t, GSTK__WAIT_SCOPE, GSTK_NEVER);
	else
		gstk__unlock(lock);
	if (!err)
		return 0;
	fail(s, err);
	gstk__lock(lock);
	if (!s->running || gstk__no_wait_here()) {
		err = s->running ? err : 0;
		gstk__unlock(lock);
		return err;
	}
	t->obj = s;
	gstk__waitq_push(&s->q, t);
	code = gstk__block(gstk__commit_unlock, lock, GSTK__WAIT_SCOPE, GSTK_NEVER, false);
	if (likely(code == GSTK__CODE_OK)) {
		gstk__wait_released(t);
		return 0;
	}
	gstk__lock(lock);
	gstk__waitq_unlink(&s->q, t);
	gstk__unlock(lock);
	return gstk__code_errno(code);
}

/* The scope's entry in the owner's cleanups; NULL when that of another comes before. */
static struct gstk__cleanup **innermost(struct gstk_scope *s)
{
	struct gstk__cleanup **p = &gstk__ext(s->owner)->cleanups;

	while (*p != s->cleanup) {
		if ((*p)->fn == owner_ends)
			return NULL;
		p = &(*p)->next;
	}
	return p;
}

int gstk_scope_end(gstk_scope *s)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk__cleanup **p;
	int err;

	if (!s)
		return no_scope("gstk_scope_end");
	if (!t || s->owner != t)
		return gstk__refuse_with(-EPERM, "gstk_scope_end: not the task that began the scope; only that one ends it");
	if (s->cleanup && !innermost(s))
		return gstk__refuse_with(-EPERM, "gstk_scope_end: the caller has begun another scope since; end that first");
	err = wait_for_all(s, t);
	if (unlikely(err))
		return err;
	if (s->cleanup) {
		p = innermost(s);
		*p = s->cleanup->next;
		free(s->cleanup);
	}
	gstk_deadline_set(s->outer);
	err = s->err;
	free(s);
	return err;
}
