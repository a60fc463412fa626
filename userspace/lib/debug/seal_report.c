// SPDX-License-Identifier: MIT
/*
 * A fault in a window that a stack has left: whose stack, who touched it, and where both are. In the handler
 * of SIGSEGV, so: no malloc, no stdio; and it ends the process, so what it takes it need not give back.
 */
#include "debug/seal.h"

#include <greenstk/task.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "debug/annotate.h"
#include "debug/running.h"
#include "debug/spawned.h"
#include "host/host.h"
#include "sched/worker.h"

#define FRAMES	   24u
#define MAX_OWNERS 4u

/* The window that has @at, guard not included; 0: none. */
static uint32_t window_of(uintptr_t at)
{
	uint32_t i = gstk__win_at((const void *)at), high;

	if (i)
		return at >= (uintptr_t)gstk__win_limit(i) ? i : 0;
	high = gstk__win_private_high();
	for (i = (uint32_t)gstk__windows.nr + 1; i < high; i++)
		if (gstk__win(i)->map && at >= (uintptr_t)gstk__win_limit(i) && at < (uintptr_t)gstk__win_base(i))
			return i;
	return 0;
}

/* Tasks whose stacks belong where @at is and are elsewhere now; who left last comes first. */
static unsigned int owners_of(uint32_t window, uintptr_t at, uint32_t owner[MAX_OWNERS])
{
	uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire), last = gstk__seal_left(window)->task;
	uintptr_t base = (uintptr_t)gstk__win_base(window);
	unsigned int nr = 0;

	for (uint32_t i = 1; i < high; i++) {
		const struct gstk_task *t = gstk__task(i);
		enum gstk__state state = gstk__state_of(gstk__word(t));

		if (state == GSTK__FREE || state == GSTK__DONE || gstk__peek(&t->window) != window ||
		    gstk__peek_byte(&t->tier) == GSTK__TIER_NONE || gstk__peek_byte(&t->tier) == GSTK__TIER_RESIDENT ||
		    at < base - gstk__peek(&t->used))
			continue;
		if (nr < MAX_OWNERS)
			owner[nr++] = i;
		if (i == last) {
			owner[nr - 1] = owner[0];
			owner[0] = i;
		}
	}
	return nr;
}

static void print_spawn(struct gstk__out *o, struct gstk__symbols *symbols, const void *fn, const void *site)
{
	if (fn)
		gstk__print_place(o, symbols, ", runs ", fn, false);
	if (site)
		gstk__print_place(o, symbols, ", spawned at ", site, true);
	gstk__outf(o, "\n");
}

/* The frame that @at is in. */
static void print_frame_of(struct gstk__out *o, struct gstk__symbols *symbols, const struct gstk__look *k, uintptr_t at)
{
	struct gstk__cfi f = k->top;

	for (unsigned int i = 0; i < 1000; i++) {
		uintptr_t pc = f.reg[GSTK__CFI_PC], exact = f.exact;
		int step = gstk__cfi_step(&f, &k->stack);

		if (step < 0)
			return;
		if (at < f.reg[GSTK__CFI_SP] || !step) {
			gstk__print_place(o, symbols, "greenstk: the address is in the frame of ", (const void *)pc, !exact);
			gstk__outf(o, ", #%u below\n", (uint64_t)i);
			return;
		}
	}
}

static void print_owner(struct gstk__out *o, struct gstk__looker *l, uint32_t index, uintptr_t at)
{
	struct gstk__look k;

	if (!gstk__look(l, index, true, &k))
		return;
	gstk__outf(o, "greenstk: the owner: task %u \"%s\"", (uint64_t)index, k.name);
	print_spawn(o, &l->symbols, gstk__spawned[index].fn, gstk__spawned[index].site);
	if (k.has_stack)
		print_frame_of(o, &l->symbols, &k, at);
	gstk__look_print(o, l, &k, FRAMES);
}

static void print_toucher(struct gstk__out *o, struct gstk__looker *l, const void *context)
{
	static struct gstk__cfi_stack stack[GSTK__OWN_STACKS];
	struct gstk__worker *w = gstk__self();
	struct gstk_task *t = w ? w->current : NULL;
	struct gstk__cfi f;
	uintptr_t sp;

	gstk__cfi_interrupted(&f, context);
	sp = f.reg[GSTK__CFI_SP] & ~(uintptr_t)7;
	if (!t || !gstk__own_stacks(t, sp, stack))
		stack[0] = (struct gstk__cfi_stack){ sp, gstk__mem_end_of(sp), (const char *)sp, NULL };
	if (t) {
		gstk__outf(o, "greenstk: touched by task %u \"%s\" on worker %u", (uint64_t)gstk__task_index(t),
			   gstk_task_name(t), (uint64_t)w->index);
		print_spawn(o, &l->symbols, gstk__spawned[gstk__task_index(t)].fn,
			    gstk__spawned[gstk__task_index(t)].site);
	} else {
		gstk__outf(o, "greenstk: touched by thread %u%s\n", (uint64_t)gettid(),
			   w ? ", a worker that runs no task" : ", which is no worker");
	}
	gstk__backtrace(o, &l->symbols, &f, stack, FRAMES, 0);
}

static void __attribute__((noreturn)) report(uint32_t window, uintptr_t at, const void *context)
{
	static _Atomic bool busy;
	const struct gstk__left *left = gstk__seal_left(window);
	struct gstk__out o = { .fd = 2 };
	uint32_t owner[MAX_OWNERS];
	int wrote = gstk__context_wrote(context);
	struct gstk__looker *l;
	unsigned int nr;

	if (atomic_exchange(&busy, true)) /* a second one: the first ends the process */
		for (;;)
			pause();
	nr = owners_of(window, at, owner);
	gstk__outf(&o, "greenstk: GREENSTK_DEBUG=stacks: %p was %s, %s\n", (uint64_t)at,
		   wrote > 0 ? "written" : wrote ? "touched" : "read",
		   nr ? "which is on the stack of a task that is off the CPU"
		   : left->ended ? "which was on the stack of a task that has ended"
				 : "where no task has its stack any more");
	l = gstk__look_begin();
	if (l)
		print_toucher(&o, l, context);
	for (unsigned int i = 0; l && i < nr; i++) {
		if (i)
			gstk__outf(&o, "greenstk: or of this one, which shares the window\n");
		print_owner(&o, l, owner[i], at);
	}
	if (l && !nr && left->task) {
		gstk__outf(&o, "greenstk: the last there: task %u \"%s\"%s", (uint64_t)left->task,
			   left->name[0] ? left->name : "task", left->ended ? ", which has ended" : "");
		print_spawn(&o, &l->symbols, left->fn, left->site);
	}
	gstk__outf(&o, "greenstk: what others are to see needs a place that stays: a copied argument block "
		   "(gstk_spawn_opts.block), gstk_alloc(), the heap; or spawn its owner with GSTK_PRIVATE\n");
	gstk__out_flush(&o);
	abort();
}

void gstk__seal_fault(const siginfo_t *info, const void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	uint32_t window = gstk__sched.nr ? window_of(at) : 0;

	if (window)
		report(window, at, context);
}
