// SPDX-License-Identifier: MIT
/* Waiting for the end of a task, or not: the joiner's side of the peer word. The other is in start.c. */
#include "sched/start.h"

#include <sched.h>
#include "arch/far.h"
#include "debug/inject.h"
#include "debug/locks.h"
#include "host/host.h"
#include "host/refuse.h"
#include "sched/worker.h"

#define NOT_HERE (-ENOTBLK) /* where nobody may wait; other errors never are that */

static __attribute__((cold, noinline)) int detached(const struct gstk_task *t, const char *call)
{
	return gstk__refuse("%s: task %p is detached, or was joined already; join or detach each task once", call, (const void *)t);
}

int gstk__no_handle(const struct gstk_task *t, const char *call)
{
	if (!t)
		return gstk__refuse("%s: the task is NULL; gstk_spawn() gives a handle where its first argument points", call);
	if (!gstk__sched.nr)
		return gstk__no_runtime(call);
	return gstk__refuse("%s: %p is no task's handle; give what gstk_spawn() gave, of a task not joined yet", call,
			    (const void *)t);
}

/* Apart from where the errors arise: what is live there is saved on the short way, too. */
static __attribute__((cold, noinline)) int join_refused(const struct gstk_task *t, int err)
{
	switch (err) {
	case -ESRCH:
		return gstk__no_task("gstk_join");
	case -EDEADLK:
		return gstk__refuse_with(err, "gstk_join: a task that waits for its own end waits for ever");
	case -EINVAL:
		return detached(t, "gstk_join");
	case NOT_HERE:
		return gstk__wait_refused(NULL);
	default:
		return err;
	}
}

/*
 * Put the caller into t's peer word. 0, -EINVAL, -EBUSY, or 1: t has ended. Before the caller parks,
 * not after: once parked it may be cancelled, be gone and wait for something else, and a registration
 * made then would wake that. See wake_joiner() for the other side.
 */
static int join_register(struct gstk_task *me, struct gstk_task *t)
{
	for (;;) {
		_Atomic uint32_t *peer = gstk__peer(t);
		uint32_t old = atomic_load_explicit(peer, memory_order_acquire);

		if (old & GSTK__PEER_DONE)
			return 1;
		if (old & (GSTK__PEER_LOCK | GSTK__PEER_EXT)) {
			gstk__cpu_relax(); /* it is ending on another worker, or has just got its ext */
			continue;
		}
		if (old & (GSTK__PEER_DETACHED | GSTK__PEER_INDEX))
			return old & GSTK__PEER_DETACHED ? -EINVAL : -EBUSY;
		__atomic_store_n(&me->obj, t, __ATOMIC_RELAXED);
		if (atomic_compare_exchange_weak_explicit(peer, &old, old | gstk__task_index(me), memory_order_acq_rel,
							  memory_order_relaxed))
			return 0;
	}
}

/* The wait ended early: take the registration back. True when the task has ended after all. */
static bool join_withdraw(struct gstk_task *me, struct gstk_task *t)
{
	uint32_t mine = gstk__task_index(me);

	for (;;) {
		_Atomic uint32_t *peer = gstk__peer(t);
		uint32_t old = atomic_load_explicit(peer, memory_order_acquire);

		if (old & GSTK__PEER_DONE)
			return true;
		if (old & (GSTK__PEER_LOCK | GSTK__PEER_EXT)) {
			sched_yield();
			continue;
		}
		if ((old & GSTK__PEER_INDEX) != mine)
			return false; /* never registered */
		if (atomic_compare_exchange_weak_explicit(peer, &old, old & ~GSTK__PEER_INDEX,
							  memory_order_acq_rel, memory_order_relaxed))
			return false;
	}
}

/* Inlined, for each of its users returns in its own way: see arch/far.h. */
static inline __attribute__((always_inline)) int take_result(struct gstk_task *t, void **result)
{
	while (!(atomic_load_explicit(gstk__peer(t), memory_order_acquire) & GSTK__PEER_DONE))
		gstk__cpu_relax(); /* its last instructions, on another worker */
	if (result)
		*result = (void *)t->msg[0];
	gstk__task_reap(t);
	return 0;
}

void gstk__task_take(struct gstk_task *t, void **result)
{
	take_result(t, result);
}

/* @stacked: the caller is a task with a stack, or a thread, which may be where it must not wait. */
static inline __attribute__((always_inline)) int join_begin(struct gstk_task *me, struct gstk_task *t, void **result,
							    uint64_t deadline_ns, bool stacked)
{
	int err;

	if (me == t)
		return -EDEADLK;
	if (!(atomic_load_explicit(gstk__peer(t), memory_order_acquire) & GSTK__PEER_DONE)) {
		if (gstk__cancel_pending(me))
			return -ECANCELED;
		if (deadline_ns == 0)
			return -ETIMEDOUT;
		if (stacked && gstk__no_wait_here())
			return NOT_HERE;
		err = join_register(me, t);
		if (__builtin_expect(err < 0, 0))
			return err;
		if (!err) {
			GSTK__INJECT(join_registered);
			if (__builtin_expect(gstk__locks_watched, 0))
				gstk__locks_joins(me, t, deadline_ns);
			return 1;
		}
	}
	return take_result(t, result);
}

int gstk__join_begin(struct gstk_task *me, struct gstk_task *t, void **result, uint64_t deadline_ns)
{
	int r = join_begin(me, t, result, deadline_ns, false);

	return r < 0 ? join_refused(t, r) : r;
}

static inline __attribute__((always_inline)) int join_end(struct gstk_task *me, struct gstk_task *t, void **result,
							  enum gstk__code code)
{
	if (__builtin_expect(code != GSTK__CODE_OK, 0)) {
		if (gstk__locks_watched) /* else it has ended, and its record says so */
			gstk__locks_waited(me);
		/* An end that waits for us to park must not wait for us to withdraw. */
		__atomic_store_n(&me->obj, NULL, __ATOMIC_RELEASE);
		GSTK__INJECT(join_withdraw);
		if (!join_withdraw(me, t))
			return gstk__code_errno(code);
		take_result(t, result);
		gstk__code_errno(code); /* last: see there */
		return 0;
	}
	return take_result(t, result);
}

int gstk__join_end(struct gstk_task *me, struct gstk_task *t, void **result, enum gstk__code code)
{
	return join_end(me, t, result, code);
}

static int joined(struct gstk_task *me, enum gstk__code code, void *result, uint32_t n)
{
	return join_end(me, gstk__task(n), result, code);
}

GSTK__FAR_RETURN int gstk__task_join(struct gstk_task *t, void **result, uint64_t deadline_ns)
{
	static _Atomic uint32_t no_lock; /* we are registered already. Not gstk__no_lock(): a call is 1 % of spawn.join */
	struct gstk_task *me = gstk__current();
	int r = me ? join_begin(me, t, result, deadline_ns, true) : -ESRCH;

	if (__builtin_expect(r < 0, 0))
		return join_refused(t, r);
	if (!r)
		return r;
	return gstk__block_then(&no_lock, GSTK__WAIT_JOIN, deadline_ns, joined, result, gstk__task_index(t));
}

int gstk__task_detach(struct gstk_task *t)
{
	for (;;) {
		_Atomic uint32_t *peer = gstk__peer(t);
		uint32_t old = atomic_load_explicit(peer, memory_order_acquire);

		if (old & GSTK__PEER_DETACHED)
			return detached(t, "gstk_detach");
		if (old & GSTK__PEER_DONE) {
			gstk__task_reap(t);
			return 0;
		}
		if (old & GSTK__PEER_INDEX && !(old & GSTK__PEER_EXT))
			return -EBUSY;
		if (old & (GSTK__PEER_LOCK | GSTK__PEER_EXT)) {
			gstk__cpu_relax();
			continue;
		}
		if (atomic_compare_exchange_weak_explicit(peer, &old, GSTK__PEER_DETACHED, memory_order_acq_rel,
							  memory_order_relaxed))
			return 0;
	}
}
