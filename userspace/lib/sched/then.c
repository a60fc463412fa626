// SPDX-License-Identifier: MIT
/*
 * A wait whose caller has nothing left to keep: what goes on when it ends is a function and three words, and the frames
 * that led here are gone. With a deadline the words lie beside its timer.
 */
#include <greenstk/base.h>

#include "arch/far.h"
#include "debug/annotate.h"
#include "debug/probe.h"
#include "sched/after.h"
#include "sched/block.h"
#include "sched/pick.h"
#include "sched/timer_pool.h"
#include "task/state.h"

static inline __attribute__((always_inline)) int end_wait(struct gstk__worker *w, const struct gstk__kept *kept)
{
	struct gstk_task *t = w->current;

	*w->errno_ptr = kept->err;
	return ((gstk__end_fn)kept->end)(t, gstk__code_of(atomic_load_explicit(&t->word, memory_order_relaxed)), kept->arg, kept->n);
}

static __attribute__((noinline)) int back_slow(struct gstk__worker *w, const struct gstk__kept *kept)
{
	gstk__after(w);
	return end_wait(w, kept);
}

static __attribute__((cold, noinline)) int back_canceled(struct gstk__worker *w, const struct gstk__kept *kept,
							 struct gstk_task *t, uint32_t word)
{
	gstk__parked_canceled(t, word);
	return end_wait(w, kept);
}

/*
 * The rest of a wait that began in gstk__block_then(): on the stack of its task, which runs again. Who was left for it waits,
 * too, mostly; the rest is jumped to, so that no register is saved here.
 */
static int back(uintptr_t arg, const struct gstk__kept *kept)
{
	struct gstk__worker *w = (struct gstk__worker *)arg;
	struct gstk_task *t = w->left;
	uint32_t word;

	if (__builtin_expect(w->after != GSTK__AFTER_UNLOCK, 0) || !gstk__after_is_short(w, t))
		return back_slow(w, kept);
	w->after = GSTK__AFTER_NOTHING;
	t->tick = w->tick;
	word = gstk__park_unlock(w, t);
	if (__builtin_expect(word, 0))
		return back_canceled(w, kept, t, word);
	return end_wait(w, kept);
}

void gstk__then_init(void)
{
	gstk__then_back = back;
}

_Atomic uint32_t *gstk__no_lock(void)
{
	static _Atomic uint32_t of_threads;
	struct gstk__worker *w = gstk__self();

	return w ? &w->no_lock : &of_threads;
}

/* Some keep more over a switch. */
static __attribute__((noinline)) GSTK__FAR_RETURN int
block_framed(_Atomic uint32_t *lock, enum gstk__why why, uint64_t deadline_ns, gstk__end_fn end, void *arg, uint32_t n)
{
	enum gstk__code code = gstk__block_unlock(lock, why, deadline_ns);

	return end(gstk__current(), code, arg, n);
}

#if defined(GSTK__HAVE_SWITCH_THEN) && !defined(GSTK__ASAN) && !defined(GSTK__TSAN)
static inline __attribute__((always_inline)) bool keeps_more(const struct gstk__worker *w, const struct gstk_task *t,
							     uint32_t flags)
{
	return __builtin_expect((t->flags & flags) || w->eh->caught || w->eh->uncaught, 0);
}

/* What a timed wait has beside its stack is put back before the rest of it runs. */
static int timed_end(struct gstk_task *t, enum gstk__code code, void *arg, uint32_t n)
{
	struct gstk__timed *x = arg;
	gstk__end_fn end = x->end;

	gstk__timer_disarm(&x->timer);
	arg = x->arg;
	n = x->n;
	gstk__timed_put(x);
	return end(t, code, arg, n);
}

static __attribute__((noinline)) GSTK__FAR_RETURN int
block_timed(_Atomic uint32_t *lock, enum gstk__why why, uint64_t deadline_ns, gstk__end_fn end, void *arg, uint32_t n)
{
	struct gstk__worker *w = gstk__self();
	struct gstk__timed *x;
	struct gstk_task *t;
	void *target;

	if (!w)
		return block_framed(lock, why, deadline_ns, end, arg, n);
	t = w->current;
	if (keeps_more(w, t, GSTK__T_PINNED | GSTK__T_FPMODE | GSTK__T_ANNEX))
		return block_framed(lock, why, deadline_ns, end, arg, n);
	x = gstk__timed_get();
	if (__builtin_expect(!x, 0)) /* there it is told */
		return block_framed(lock, why, deadline_ns, end, arg, n);
	gstk__set_timer(&x->timer, t, gstk__nearer(t, deadline_ns));
	x->end = end;
	x->arg = arg;
	x->n = n;
	GSTK__PROBE2(block, t, why);
	t->why = why;
	gstk__after_commit(w, gstk__commit_unlock, lock, &x->timer, 0);
	target = gstk__next_stack(w);
	w->left = t;
	return gstk__switch_then(&t->sp, target, (uintptr_t)w, (void (*)(void))timed_end, x, 0, *w->errno_ptr);
}
#endif

GSTK__FAR_RETURN int gstk__block_then(_Atomic uint32_t *lock, enum gstk__why why, uint64_t deadline_ns, gstk__end_fn end,
				      void *arg, uint32_t n)
{
#if !defined(GSTK__HAVE_SWITCH_THEN) || defined(GSTK__ASAN) || defined(GSTK__TSAN)
	return block_framed(lock, why, deadline_ns, end, arg, n);
#else
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t;
	void *target;

	if (__builtin_expect(!w || deadline_ns != GSTK_NEVER, 0))
		return block_timed(lock, why, deadline_ns, end, arg, n);
	t = w->current;
	if (keeps_more(w, t, GSTK__T_DEADLINE | GSTK__T_PINNED | GSTK__T_FPMODE | GSTK__T_ANNEX))
		return block_timed(lock, why, deadline_ns, end, arg, n);
	GSTK__PROBE2(block, t, why);
	t->why = why;
	w->after = GSTK__AFTER_UNLOCK;
	w->after_lock = lock;
	target = gstk__next_stack(w);
	w->left = t;
	return gstk__switch_then(&t->sp, target, (uintptr_t)w, (void (*)(void))end, arg, n, *w->errno_ptr);
#endif
}
