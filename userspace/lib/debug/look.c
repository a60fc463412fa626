// SPDX-License-Identifier: MIT
#include "debug/look.h"

#include <sched.h>
#include <string.h>
#include "debug/annotate.h"
#include "host/host.h"
#include "park/lazy.h"
#include "park/tier.h"
#include "park/tier_pack.h"
#include "sched/annex.h"
#include "sched/stackless.h"
#include "sched/worker.h"
#include "wait/fd.h"

#define MAX_COPY ((size_t)1 << 20) /* of a larger stack the top is enough for its inner frames */
#define TRIES	 16		   /* at a stack that somebody else owns at the moment */
#define ALL_TRIES 4096		   /* of one reader: under load most shared windows are in use */

static _Atomic uint32_t lock;
static struct gstk__looker looker;

const char *gstk__why_name(unsigned int why)
{
	static const char *const names[] = {
#define GSTK__X(name, text) [GSTK__WAIT_##name] = text,
		GSTK__WAIT_REASONS(GSTK__X)
#undef GSTK__X
	};

	return why < GSTK__NR_WAIT_REASONS ? names[why] : "?";
}

struct gstk__looker *gstk__look_begin(void)
{
	gstk__lock(&lock);
	looker.tries = ALL_TRIES;
	looker.bytes = gstk__windows.size > MAX_COPY ? gstk__windows.size : MAX_COPY;
	looker.scratch = gstk__mem_reserve(2 * looker.bytes, 4096);
	if (!looker.scratch) {
		gstk__unlock(&lock);
		return NULL;
	}
	looker.annexes = looker.scratch + looker.bytes;
	return &looker;
}

void gstk__look_end(struct gstk__looker *l)
{
	gstk__mem_release(l->scratch, 2 * l->bytes);
	l->scratch = NULL;
	gstk__symbols_free(&l->symbols);
	gstk__unlock(&lock);
}

/* Other people's frames, red zones included: no sanitizer may look. */
__attribute__((no_sanitize("address", "thread"), noinline))
static void copy(char *to, const char *from, size_t bytes)
{
	const volatile uint64_t *s = (const volatile uint64_t *)from;
	volatile uint64_t *d = (volatile uint64_t *)to;

	for (size_t i = 0; i < bytes / 8; i++)
		d[i] = s[i];
}

/* Its annexes stand above what it has in its window, innermost first. */
static void take_annexes(struct gstk__looker *l, struct gstk_task *t, struct gstk__look *out)
{
	struct gstk__annex *a = gstk__annex(t);
	uintptr_t sp = a ? (uintptr_t)gstk__ext(t)->annex_sp : 0;
	struct gstk__cfi_stack own = out->stack, *at = &out->stack;
	size_t taken = 0;

	if (!a)
		return;
	for (unsigned int nr = 0; a;) {
		size_t used = (uintptr_t)gstk__win_base(a->window) - sp;
		size_t bytes = used < l->bytes - taken ? used : l->bytes - taken;

		out->annex_used += used;
		if (nr < GSTK__LOOK_ANNEXES) {
			copy(l->annexes + taken, (const char *)sp, bytes);
			*at = (struct gstk__cfi_stack){ sp, sp + bytes, l->annexes + taken, &out->outer[nr] };
			at = &out->outer[nr++];
			taken += bytes;
		}
		a = a->outer;
		sp = a ? (uintptr_t)a->sp : 0;
	}
	*at = own;
	gstk__cfi_parked(&out->top, l->annexes, out->stack.from);
}

/* The caller owns the bytes. */
static void take_stack(struct gstk__looker *l, struct gstk_task *t, struct gstk__look *out)
{
	uintptr_t base = (uintptr_t)gstk__win_base(t->window);
	size_t used = gstk__used(t), bytes = used;

	out->used = used;
	if (!used || (t->tier == GSTK__TIER_PACKED && used > l->bytes))
		return;
	if (bytes > l->bytes)
		bytes = l->bytes;
	switch ((enum gstk__tier)t->tier) {
	case GSTK__TIER_RESIDENT:
		if (gstk__windows.lazy && gstk__win(t->window)->flags & GSTK__WIN_LAZY)
			gstk__lazy_look(t->window, l->scratch, t->sp, bytes);
		else
			copy(l->scratch, t->sp, bytes);
		break;
	case GSTK__TIER_COPIED:
		copy(l->scratch, gstk__arena_ptr(t->image), bytes);
		break;
	case GSTK__TIER_DEEP:
	case GSTK__TIER_DEEP_PACKED:
		gstk__lazy_look_away(t, l->scratch, bytes);
		break;
	case GSTK__TIER_REMAPPED:
	case GSTK__TIER_COLD:
		gstk__remap_look(t, l->scratch, bytes);
		break;
	case GSTK__TIER_PACKED:
		if (gstk__unpack_image(l->scratch, (uint32_t)used, t->image, base - used))
			return;
		break;
	default:
		return;
	}
	out->stack = (struct gstk__cfi_stack){ base - used, base - used + bytes, l->scratch, NULL };
	gstk__cfi_parked(&out->top, l->scratch, base - used);
	take_annexes(l, t, out);
	out->has_stack = true;
}

GSTK__RACY void gstk__look_stackless(struct gstk_task *t, uint32_t word, char name[32])
{
	struct gstk_future_type type = { .name = NULL };
	struct gstk__stackless s;
	size_t bytes;

	memcpy(name, "future", sizeof("future"));
	if (!gstk__mem_peek(&s, t->stackless, sizeof(s)) || gstk__state_of(gstk__word(t)) == GSTK__FREE ||
	    (gstk__word(t) ^ word) & GSTK__SEQ_MASK || !gstk__mem_peek(&type, s.type, sizeof(type)) || !type.name)
		return;
	bytes = 4096 - (uintptr_t)type.name % 4096; /* so much can be read, if anything */
	if (!gstk__mem_peek(name, type.name, bytes < 32 ? bytes : 32))
		memcpy(name, "future", sizeof("future"));
	name[31] = 0;
}

/* Fields as they are at the moment; exact when the caller owns the task. */
static GSTK__RACY void describe(struct gstk_task *t, uint32_t word, struct gstk__look *out)
{
	struct gstk__ext *x = gstk__ext(t);

	out->state = gstk__state_of(word);
	out->shared = word & GSTK__SHARED;
	out->foreign = t->flags & GSTK__T_FOREIGN;
	out->private_ = t->flags & GSTK__T_PRIVATE;
	out->tier = *(volatile uint8_t *)&t->tier;
	out->why = *(volatile uint8_t *)&t->why;
	out->window = *(volatile uint32_t *)&t->window;
	out->tick = *(volatile uint32_t *)&t->tick;
	out->obj = *(void *volatile *)&t->obj;
	out->name[0] = 0;
	if (x)
		for (size_t i = 0; i < sizeof(out->name); i++)
			out->name[i] = ((volatile char *)x->name)[i];
	out->name[sizeof(out->name) - 1] = 0;
	if (out->tier == GSTK__TIER_STACKLESS)
		gstk__look_stackless(t, word, out->name);
	else if (!out->name[0] && !out->foreign)
		memcpy(out->name, "task", sizeof("task")); /* as gstk_task_name() */
	out->worker = 0;
	if (out->state == GSTK__RUNNING)
		for (uint32_t i = 0; i < gstk__sched.nr; i++)
			if (*(struct gstk_task *volatile *)&gstk__sched.worker[i]->current == t)
				out->worker = i + 1;
}

static void release_window(uint32_t index)
{
	struct gstk__window *win = gstk__win(index);
	uint64_t old = atomic_load_explicit(&win->word, memory_order_relaxed), new;

	/* It was idle, so its FIFO is empty: only the inbox may have got somebody. */
	do {
		new = old >> 32 ? (old & ~(uint64_t)GSTK__WIN_STATE_MASK) | GSTK__WIN_QUEUED : GSTK__WIN_IDLE;
	} while (!atomic_compare_exchange_weak_explicit(&win->word, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	if (old >> 32) {
		gstk__inject(GSTK__ITEM_WINDOW | index);
		gstk__wake_idle(NULL);
	}
}

/* Own the task's bytes, take them, let go. False: not now. */
static bool look_alone(struct gstk__looker *l, struct gstk_task *t, struct gstk__look *out)
{
	if (!gstk__state_own(t))
		return false;
	describe(t, gstk__word(t), out);
	out->state = GSTK__PARKED;
	if (!out->foreign)
		take_stack(l, t, out);
	gstk__let_go(t);
	return true;
}

/* The task that asks has the shared window that it stands in. */
static bool is_mine(uint32_t window)
{
	const struct gstk__worker *w = gstk__self();

	return w && w->current && w->current->window == window && (gstk__word(w->current) & GSTK__SHARED);
}

static bool look_shared(struct gstk__looker *l, struct gstk_task *t, struct gstk__look *out)
{
	uint32_t window = gstk__peek(&t->window), word;
	uint64_t idle = GSTK__WIN_IDLE;
	bool there, mine = window && is_mine(window);

	if (!window || window > gstk__windows.nr ||
	    (!mine && !atomic_compare_exchange_strong(&gstk__win(window)->word, &idle, GSTK__WIN_OWNED)))
		return false;
	/* Whoever is bound to this window stays as he is now; but it may be another task by now. */
	word = gstk__word(t);
	there = (word & GSTK__SHARED) && gstk__peek(&t->window) == window &&
		(gstk__state_of(word) == GSTK__PARKED || gstk__state_of(word) == GSTK__RUNNABLE);
	if (there) {
		describe(t, word, out);
		take_stack(l, t, out);
	}
	if (!mine)
		release_window(window);
	return there;
}

bool gstk__look(struct gstk__looker *l, uint32_t index, bool stack, struct gstk__look *out)
{
	struct gstk_task *t = gstk__task(index);

	memset(out, 0, offsetof(struct gstk__look, stack));
	for (int tries = 0;; tries++) {
		uint32_t word = gstk__word(t);
		enum gstk__state state = gstk__state_of(word);

		out->index = index;
		if (state == GSTK__FREE)
			return false;
		if (stack && state == GSTK__PARKED &&
		    (word & GSTK__SHARED ? look_shared(l, t, out) : look_alone(l, t, out)))
			return true;
		if (!stack || (state != GSTK__PARKED && state != GSTK__OWNED) || tries == TRIES || !l->tries) {
			describe(t, word, out);
			out->busy = stack && (state == GSTK__PARKED || state == GSTK__OWNED);
			return true;
		}
		l->tries--;
		sched_yield();
	}
}

/* Of a mutex, whose word names it. The mutex may be gone when its waiter is not in time to say so. */
static void print_holder(struct gstk__out *o, const void *mutex)
{
	uint32_t word = 0;

	gstk__outf(o, " %p", (uint64_t)(uintptr_t)mutex);
	if (gstk__mem_peek(&word, mutex, sizeof(word)) && word >> 1)
		gstk__outf(o, ", held by task %u", (uint64_t)word >> 1);
}

/* What it waits for, if that has a number or an address to go by. */
static void print_object(struct gstk__out *o, const struct gstk__look *k)
{
	int fd;

	switch (k->why) {
	case GSTK__WAIT_MUTEX:
		print_holder(o, k->obj);
		break;
	case GSTK__WAIT_FD_READ:
	case GSTK__WAIT_FD_WRITE:
	case GSTK__WAIT_CONNECT:
		fd = gstk__fd_number_of(k->obj);
		if (fd >= 0)
			gstk__outf(o, ", descriptor %u", (uint64_t)fd);
		break;
	}
}

void gstk__look_print(struct gstk__out *o, struct gstk__looker *l, const struct gstk__look *k, unsigned int frames)
{
	static const char *const states[8] = { "free", "runnable", "running", "waiting", "waiting", "ended" };
	static const char *const tiers[GSTK__NR_TIERS] = {
		[GSTK__TIER_NONE] = "not started", [GSTK__TIER_RESIDENT] = "resident", [GSTK__TIER_COPIED] = "copied",
		[GSTK__TIER_PACKED] = "packed", [GSTK__TIER_REMAPPED] = "remapped", [GSTK__TIER_COLD] = "packed",
		[GSTK__TIER_DEEP] = "copied", [GSTK__TIER_DEEP_PACKED] = "packed", [GSTK__TIER_STACKLESS] = "stackless",
	};
	uint32_t age = (uint32_t)(gstk__now_ns() / 1000000) - k->tick;
	bool waits = k->state == GSTK__PARKED || k->state == GSTK__OWNED;

	gstk__outf(o, "task %u \"%s\" %s", (uint64_t)k->index, k->name, k->foreign ? "thread" : states[k->state & 7]);
	if (k->state == GSTK__RUNNING && k->worker)
		gstk__outf(o, " on worker %u", (uint64_t)k->worker - 1);
	if (waits)
		gstk__outf(o, " for %s", gstk__why_name(k->why));
	if (waits)
		print_object(o, k);
	if (!k->foreign && k->state != GSTK__DONE) {
		gstk__outf(o, ", %s", k->tier < GSTK__NR_TIERS ? tiers[k->tier] : "?");
		if (k->has_stack || k->used)
			gstk__outf(o, " %u bytes", k->used);
		if (k->annex_used)
			gstk__outf(o, " and %u of gstk_call_on_stack()", k->annex_used);
		if (k->window)
			gstk__outf(o, ", window %u%s", (uint64_t)k->window,
				   k->private_ ? " private" : k->shared ? " shared" : "");
		if (waits && k->tick == GSTK__TICK_UNPACKABLE)
			gstk__outf(o, ", for long");
		else if (waits)
			gstk__outf(o, ", for %u ms", (uint64_t)(age > INT32_MAX ? 0 : age));
	}
	if (k->busy)
		gstk__outf(o, ", its stack is in use");
	gstk__outf(o, "\n");
	if (k->has_stack && frames)
		gstk__backtrace(o, &l->symbols, &k->top, &k->stack, frames, 0);
}
