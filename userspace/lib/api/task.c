// SPDX-License-Identifier: MIT
/* gstk_spawn() and what else concerns one task. */
#include <greenstk/task.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/config.h"
#include "api/native.h"
#include "api/owned.h"
#include "api/spawn.h"
#include "debug/annotate.h"
#include "debug/probe.h"
#include "debug/spawned.h"
#include "debug/trace.h"
#include "host/host.h"
#include "host/refuse.h"
#include "sched/site.h"
#include "sched/stackless.h"
#include "sched/start.h"
#include "sched/worker.h"
#include "window/refuse.h"

#define ALL_FLAGS  ((uint32_t)(GSTK_PRIVATE | GSTK_DETACHED | GSTK_PINNED | GSTK_FPMODE | GSTK_SHARED | GSTK_NATIVE))
#define STACK_MOST ((size_t)1 << 34)
#define BLOCK_MOST ((size_t)1 << 31)

static int check_opts(const struct gstk_spawn_opts *in, struct gstk_spawn_opts *o)
{
	size_t stack;

	memset(o, 0, sizeof(*o));
	if (in->size < offsetof(struct gstk_spawn_opts, stack_size) || in->size > 4096)
		return gstk__refuse("gstk_spawn: options of %zu bytes; set .size to sizeof(struct gstk_spawn_opts), or use "
				    "GSTK_OPTS()", in->size);
	memcpy(o, in, in->size < sizeof(*o) ? in->size : sizeof(*o));
	if (o->flags & ~ALL_FLAGS)
		return gstk__refuse("gstk_spawn: unknown flags %#x; use those of enum gstk_task_flag (is the program's "
				    "greenstk.h newer than this library, %s?)", o->flags & ~ALL_FLAGS, GSTK_VERSION);
	if ((o->flags & GSTK_PRIVATE) && (o->flags & GSTK_SHARED))
		return gstk__refuse("gstk_spawn: GSTK_PRIVATE and GSTK_SHARED at once; a task has its window to itself or "
				    "not: leave one out");
	if ((o->flags & GSTK_PINNED) && (o->flags & GSTK_NATIVE))
		return gstk__refuse("gstk_spawn: GSTK_PINNED and GSTK_NATIVE at once; a thread of its own belongs to no "
				    "worker: leave one out");
	if ((o->flags & GSTK_PINNED) && o->worker >= gstk__sched.nr)
		return gstk__refuse("gstk_spawn: no worker %u to pin to: there are %u, counted from 0; gstk_config.workers "
				    "or GREENSTK_WORKERS makes more", o->worker, gstk__sched.nr);
	if (o->stack_size > STACK_MOST)
		return gstk__refuse("gstk_spawn: a stack of %zu bytes; at most %zu: put what is so big on the heap",
				    o->stack_size, STACK_MOST);
	stack = o->stack_size ? o->stack_size : gstk__windows.stack;
	if (o->block_size && !o->block)
		return gstk__refuse("gstk_spawn: .block_size is %zu and .block NULL; give both, or neither", o->block_size);
	if (o->block_size > BLOCK_MOST)
		return gstk__refuse("gstk_spawn: an argument block of %zu bytes; at most %zu: give a pointer to the heap",
				    o->block_size, BLOCK_MOST);
	if (o->block_size > stack / 4)
		return gstk__refuse("gstk_spawn: an argument block of %zu bytes on a stack of %zu; at most a quarter: give "
				    "a larger .stack_size, or a pointer to the heap", o->block_size, stack);
	return 0;
}

static int set_opts(struct gstk_task *t, const struct gstk_spawn_opts *o)
{
	struct gstk__ext *x;

	/* More than a window holds: not in one that happens to be free (pick.h looks at the flags only). */
	if (o->flags & GSTK_PRIVATE || o->stack_size > gstk__windows.stack)
		t->flags |= GSTK__T_PRIVATE;
	if (o->flags & GSTK_PINNED)
		t->flags |= GSTK__T_PINNED;
	if (o->flags & GSTK_FPMODE)
		t->flags |= GSTK__T_FPMODE;
	if (!o->name && !o->stack_size && !(o->flags & GSTK_PINNED) && !o->block_size)
		return 0;
	x = gstk__ext_get(t);
	if (!x)
		return -ENOMEM;
	if (o->name)
		snprintf(x->name, sizeof(x->name), "%s", o->name);
	x->stack_size = o->stack_size;
	x->worker = o->worker;
	if (o->block_size) {
		x->block = malloc(o->block_size);
		if (!x->block)
			return -ENOMEM;
		memcpy(x->block, o->block, o->block_size);
		x->block_size = (uint32_t)o->block_size;
	}
	return 0;
}

/* GSTK_PRIVATE_TASKS: what the caller did not say. Pinned ones are dealt out to the workers. */
static void private_by_default(struct gstk_spawn_opts *o)
{
	static _Atomic uint32_t turn;

	if (o->flags & GSTK_SHARED)
		return;
	o->flags |= GSTK_PRIVATE;
	if (o->flags & GSTK_PINNED)
		return;
	o->flags |= GSTK_PINNED;
	o->worker = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % gstk__sched.nr;
}

static inline struct gstk_task *task_of(gstk_fn fn, void *arg)
{
	struct gstk_task *t = gstk__task_new();

	if (__builtin_expect(!t, 0))
		return NULL;
	t->obj = (void *)fn;
	atomic_store_explicit(&t->poke, gstk__site_poke((void *)fn), memory_order_relaxed);
	t->msg[0] = (uintptr_t)arg;
	return t;
}

/* From here on it is on its way. @task is given before it runs. */
static inline __attribute__((always_inline)) int launch(gstk_task **task, struct gstk_task *t, const void *known, bool detached)
{
	if (detached)
		atomic_store_explicit(gstk__peer(t), GSTK__PEER_DETACHED, memory_order_relaxed);
	gstk__state_spawn(t);
	GSTK__PROBE2(spawn, t, known);
	if (task)
		*task = detached ? NULL : t;
	gstk__spawn_queue(t);
	return 0;
}

/* With options, its own or those for all; or not now. */
static __attribute__((noinline)) int spawn_slow(gstk_task **task, gstk_fn fn, void *arg,
						const struct gstk_spawn_opts *opts, const void *known, const void *site)
{
	struct gstk_spawn_opts o;
	struct gstk_task *t;
	int err;

	if (!fn)
		return gstk__refuse("gstk_spawn: the function is NULL; give what the task is to run");
	if (!gstk__sched.nr)
		return gstk__no_runtime("gstk_spawn");
	if (atomic_load_explicit(&gstk__sched.closing, memory_order_relaxed))
		return -ECANCELED;
	err = gstk__refuse_shared(arg, "gstk_spawn: the argument");
	if (err)
		return err;
	memset(&o, 0, sizeof(o));
	if (opts) {
		err = check_opts(opts, &o);
		if (err)
			return err;
		if (o.flags & GSTK_NATIVE)
			return gstk__spawn_native(task, fn, arg, &o, site);
	}
	if (gstk__config.flags & GSTK_PRIVATE_TASKS)
		private_by_default(&o);
	t = task_of(fn, arg);
	if (!t)
		return -ENOMEM;
	err = set_opts(t, &o);
	if (err) {
		gstk__task_reap(t);
		return err;
	}
	if (known != (void *)fn) {
		atomic_store_explicit(&t->poke, gstk__site_poke(known), memory_order_relaxed);
		GSTK__TRACE(known(t, known));
	}
	gstk__spawned_note(t, known, site);
	return launch(task, t, known, !task || o.flags & GSTK_DETACHED);
}

int gstk__spawn_known(gstk_task **task, gstk_fn fn, void *arg, const struct gstk_spawn_opts *opts, const void *known,
		      const void *site)
{
	return spawn_slow(task, fn, arg, opts, known, site);
}

int gstk_spawn(gstk_task **task, gstk_fn fn, void *arg, const struct gstk_spawn_opts *opts)
{
	struct gstk_task *t;

	if (__builtin_expect(!fn || opts || !atomic_load_explicit(&gstk__sched.plain, memory_order_relaxed) ||
			     gstk__in_shared_window(arg), 0))
		return spawn_slow(task, fn, arg, opts, (void *)fn, __builtin_return_address(0));
	t = task_of(fn, arg);
	if (__builtin_expect(!t, 0))
		return -ENOMEM;
	return launch(task, t, (void *)fn, !task);
}

/* Of a task that is there, if perhaps of one that came after it: no place that is free, or a thread's. */
static bool is_handle(const gstk_task *task)
{
	return gstk__sched.nr && gstk__is_place(task) && gstk__state_of(gstk__word(task)) != GSTK__FREE &&
	       !(gstk__flags(task) & GSTK__T_FOREIGN);
}

int gstk_join(gstk_task *task, void **result)
{
	return gstk__is_place(task) ? gstk__task_join(task, result, GSTK_NEVER) : gstk__no_handle(task, "gstk_join");
}

int gstk_join_until(gstk_task *task, void **result, uint64_t deadline_ns)
{
	return gstk__is_place(task) ? gstk__task_join(task, result, deadline_ns) : gstk__no_handle(task, "gstk_join");
}

int gstk_detach(gstk_task *task)
{
	return gstk__sched.nr && gstk__is_place(task) ? gstk__task_detach(task) : gstk__no_handle(task, "gstk_detach");
}

gstk_task *gstk_self(void)
{
	return gstk__current_task();
}

void gstk_yield(void)
{
	gstk__yield();
}

int gstk_check(void)
{
	int err = gstk__may_go_on();

	if (__builtin_expect(!err, 1))
		gstk__slice_check();
	return err;
}

void gstk_exit(void *result)
{
	struct gstk_task *t = gstk__current_task();

	if (!t || t->tier == GSTK__TIER_STACKLESS) {
		fprintf(stderr, "greenstk: gstk_exit() %s\n",
			t ? "in a poll function; it returns gstk_future_done()" : "outside a task");
		abort();
	}
	gstk__task_exit(result);
	__builtin_unreachable();
}

int gstk_cancel(gstk_task *task)
{
	if (!is_handle(task)) /* nor in a child of fork(), say: locks of other threads may be taken for ever */
		return gstk__no_handle(task, "gstk_cancel");
	gstk__cancel_mark(task);
	gstk__membarrier(); /* partner: gstk__fence_light() of the park */
	gstk__cancel_wake(task);
	return 0;
}

bool gstk_canceled(void)
{
	struct gstk_task *t = gstk__current_task();

	return t && gstk__cancel_pending(t);
}

bool gstk_cancel_clear(void)
{
	struct gstk_task *t = gstk__current_task();

	return t && (atomic_fetch_and(&t->poke, (uint8_t)~GSTK__POKE_CANCEL) & GSTK__POKE_CANCEL);
}

int gstk_deadline_set(uint64_t deadline_ns)
{
	struct gstk_task *t = gstk__current_task();
	struct gstk__ext *x = t ? gstk__ext(t) : NULL;

	if (!t)
		return gstk__outside("gstk_deadline_set");
	if (deadline_ns == GSTK_NEVER) {
		gstk__flag_clear(t, GSTK__T_DEADLINE);
		return 0;
	}
	if (!x && !(x = gstk__ext_get(t)))
		return -ENOMEM;
	x->deadline_ns = deadline_ns;
	gstk__flag_set(t, GSTK__T_DEADLINE);
	return 0;
}

uint64_t gstk_deadline_get(void)
{
	struct gstk_task *t = gstk__current_task();

	return t && (t->flags & GSTK__T_DEADLINE) ? gstk__ext(t)->deadline_ns : GSTK_NEVER;
}

bool gstk_movable(const void *ptr)
{
	return gstk__in_shared_window(ptr);
}

const char *gstk_task_name(const gstk_task *task)
{
	struct gstk__ext *x;

	if (!is_handle(task)) {
		if (task)
			gstk__no_handle(task, "gstk_task_name");
		return "task";
	}
	x = gstk__ext((struct gstk_task *)task);
	if (gstk__peek_byte(&task->tier) == GSTK__TIER_STACKLESS)
		return gstk__stackless_name(task);
	return x && x->name[0] ? x->name : "task";
}

uint64_t gstk_task_id(const gstk_task *task)
{
	if (is_handle(task))
		return gstk__task_index(task);
	if (task)
		gstk__no_handle(task, "gstk_task_id");
	return 0;
}

int gstk_worker(void)
{
	struct gstk__worker *w = gstk__self();

	return w ? (int)w->index : -1;
}
