// SPDX-License-Identifier: MIT
#include "debug/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "debug/annotate.h"
#include "debug/backtrace.h"
#include "host/host.h"
#include "park/lazy.h"
#include "sched/annex.h"
#include "sched/worker.h"

/* What the kernel says of a worker's thread. */
struct thread_at {
	bool in_syscall;
	uint64_t syscall;
	uintptr_t sp, pc;
};

/* One question at a time (the looker's lock). Who asked may give up only while nobody answers. */
enum { NOTHING, ASKED, ANSWERING, ANSWERED, REFUSED };
static struct {
	_Atomic uint32_t state;
	struct gstk__worker *worker;
	struct gstk_task *task;
	char *to;
	size_t room;
	struct gstk__cfi top;
	uintptr_t sp, end;
} question;

/* 0: its thread has not begun. */
static int worker_tid(const struct gstk__worker *v)
{
	return (int)__atomic_load_n(&v->tid, __ATOMIC_RELAXED);
}

static void thread_at(const struct gstk__worker *v, struct thread_at *at)
{
	char path[64], text[256];
	ssize_t n = -1;
	char *p;
	int fd;

	memset(at, 0, sizeof(*at));
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", worker_tid(v));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return;
	text[n] = 0;
	if (text[0] < '0' || text[0] > '9')
		return; /* "running", or "-1 sp pc": blocked, but not in a system call */
	/* NR, six arguments, sp, pc. */
	at->in_syscall = true;
	at->syscall = strtoull(text, &p, 10);
	for (int i = 0; i < 6; i++)
		strtoull(p, &p, 16);
	at->sp = strtoull(p, &p, 16);
	at->pc = strtoull(p, &p, 16);
}

static GSTK__RACY struct gstk_task *running(const struct gstk__worker *v)
{
	return *(struct gstk_task *volatile *)&v->current;
}

/* The end of the stack that @sp is on, if that is @t's, or for a stackless one that of @v's loop, which runs it. */
static GSTK__RACY uintptr_t stack_end(const struct gstk__worker *v, const struct gstk_task *t, uintptr_t sp)
{
	uint32_t window = gstk__stands_on(t);

	if (t->tier == GSTK__TIER_STACKLESS)
		return v->loop_base - sp < GSTK__LOOP_BYTES ? v->loop_base & ~(uintptr_t)7 : 0;
	if (!window || sp < (uintptr_t)gstk__win_limit(window) || sp >= (uintptr_t)gstk__win_base(window))
		return 0;
	return (uintptr_t)gstk__win_base(window);
}

/* Other people's frames, red zones included: no sanitizer may look. */
__attribute__((no_sanitize("address", "thread"), noinline))
static void copy(char *to, const char *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((volatile uint64_t *)to)[i] = ((const volatile uint64_t *)from)[i];
}

bool gstk__running_answer(const siginfo_t *info, void *context)
{
	uint32_t asked = ASKED;
	struct gstk__worker *w;

	if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &question)
		return false;
	if (!atomic_compare_exchange_strong(&question.state, &asked, ANSWERING))
		return true; /* too late */
	w = gstk__self();
	gstk__cfi_interrupted(&question.top, context);
	question.sp = question.top.reg[GSTK__CFI_SP] & ~(uintptr_t)7;
	question.end = w && w == question.worker && w->current == question.task ? stack_end(w, w->current, question.sp) : 0;
	if (question.end) {
		if (stack_end(w, w->current, question.sp - GSTK__CFI_POPPED))
			question.sp -= GSTK__CFI_POPPED;
		if (question.end - question.sp > question.room)
			question.end = question.sp + question.room;
		copy(question.to, (const char *)question.sp, question.end - question.sp);
	}
	atomic_store(&question.state, question.end ? ANSWERED : REFUSED);
	gstk__futex_wake(&question.state, 1);
	return true;
}

/* True when the worker has answered from the stack of the task it runs. */
static bool ask(struct gstk__looker *l, struct gstk__worker *v, struct gstk_task *t, int sig, uint64_t patience_ns)
{
	siginfo_t info = { .si_code = SI_QUEUE, .si_signo = sig };
	uint64_t end = gstk__now_ns() + patience_ns;
	uint32_t s;

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = &question;
	question.worker = v;
	question.task = t;
	question.to = l->scratch;
	question.room = l->bytes;
	atomic_store(&question.state, ASKED);
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), worker_tid(v), sig, &info)) {
		atomic_store(&question.state, NOTHING);
		return false;
	}
	while ((s = atomic_load(&question.state)) == ASKED || s == ANSWERING) {
		uint64_t now = gstk__now_ns();

		if (now < end)
			gstk__futex_wait(&question.state, s, end - now);
		else if (s == ANSWERING)
			gstk__futex_wait(&question.state, s, UINT64_MAX);
		else if (atomic_compare_exchange_strong(&question.state, &s, NOTHING))
			return false;
	}
	return atomic_exchange(&question.state, NOTHING) == ANSWERED;
}

static bool same(const struct thread_at *a, const struct thread_at *b)
{
	return a->in_syscall == b->in_syscall && a->syscall == b->syscall && a->sp == b->sp && a->pc == b->pc;
}

bool gstk__look_running(struct gstk__looker *l, struct gstk__worker *v, int sig, uint64_t patience_ns,
			struct gstk__look *out)
{
	struct gstk_task *t = running(v);
	struct thread_at at, then;
	uintptr_t from, to;

	if (!t)
		return false;
	thread_at(v, &at);
	if (at.in_syscall && v != gstk__self()) { /* for itself that is the read of this very file */
		from = at.sp & ~(uintptr_t)7;
		to = stack_end(v, t, at.sp);
		if (!to)
			return false;
		if (to - from > l->bytes)
			to = from + l->bytes;
		if (gstk__windows.lazy && gstk__win_at((const void *)from))
			gstk__lazy_look(gstk__win_at((const void *)from), l->scratch, (const char *)from, to - from);
		else if (!gstk__mem_peek(l->scratch, (const void *)from, to - from))
			return false;
		thread_at(v, &then);
		if (!same(&at, &then) || running(v) != t)
			return false;
		memset(&out->top, 0, sizeof(out->top));
		out->top.reg[GSTK__CFI_PC] = at.pc;
		out->top.reg[GSTK__CFI_SP] = at.sp;
		out->top.known = 1ull << GSTK__CFI_PC | 1ull << GSTK__CFI_SP;
		out->top.exact = true;
	} else {
		if (!sig || !ask(l, v, t, sig, patience_ns))
			return false;
		out->top = question.top;
		from = question.sp;
		to = question.end;
	}
	out->index = gstk__task_index(t);
	out->stack = (struct gstk__cfi_stack){ from, to, l->scratch, NULL };
	out->used = out->tier == GSTK__TIER_STACKLESS ? 0 : (uintptr_t)gstk__win_base(gstk__stands_on(t)) -
							      (uintptr_t)out->top.reg[GSTK__CFI_SP];
	out->has_stack = true;
	return true;
}

static struct gstk__cfi_stack in_place(uintptr_t from, uint32_t window)
{
	return (struct gstk__cfi_stack){ from, (uintptr_t)gstk__win_base(window), (const char *)from, NULL };
}

void gstk__own_stacks_on(struct gstk_task *t, uint32_t window, uintptr_t sp,
			 struct gstk__cfi_stack stack[GSTK__OWN_STACKS])
{
	struct gstk__annex *a = window == t->window ? NULL : gstk__annex(t);

	stack[0] = in_place(sp, window);
	for (unsigned int nr = 1; a && nr < GSTK__OWN_STACKS; a = a->outer) {
		stack[nr - 1].outer = &stack[nr];
		stack[nr++] = a->outer ? in_place((uintptr_t)a->outer->sp, a->outer->window)
				       : in_place((uintptr_t)t->sp, t->window);
	}
}

bool gstk__own_stacks(struct gstk_task *t, uintptr_t sp, struct gstk__cfi_stack stack[GSTK__OWN_STACKS])
{
	uintptr_t end = stack_end(gstk__self(), t, sp);

	if (!end)
		return false;
	if (t->tier == GSTK__TIER_STACKLESS) {
		stack[0] = (struct gstk__cfi_stack){ sp, end, (const char *)sp, NULL };
		return true;
	}
	gstk__own_stacks_on(t, gstk__stands_on(t), sp, stack);
	return true;
}

/* Not in the function that calls getcontext(), which returns twice for all that the compiler knows. */
static __attribute__((noinline)) unsigned int walk(struct gstk__cfi *f, const void *site, uintptr_t *pc, unsigned int most)
{
	struct gstk__cfi_stack stack[GSTK__OWN_STACKS];
	struct gstk__worker *w = gstk__self();
	uintptr_t sp = f->reg[GSTK__CFI_SP] & ~(uintptr_t)7;
	unsigned int nr = 0;
	bool found = false;

	if (!w || !w->current || !gstk__own_stacks(w->current, sp, stack))
		stack[0] = (struct gstk__cfi_stack){ sp, gstk__mem_end_of(sp), (const char *)sp, NULL };
	do {
		if (!found && f->reg[GSTK__CFI_PC] == (uintptr_t)site) {
			found = true;
			nr = 0;
		}
		if (nr < most)
			pc[nr++] = f->reg[GSTK__CFI_PC];
	} while ((nr < most || !found) && gstk__cfi_step(f, stack) > 0);
	return nr;
}

__attribute__((noinline)) unsigned int gstk__look_here(const void *site, uintptr_t *pc, unsigned int most)
{
	struct gstk__cfi f;
	ucontext_t here;

	getcontext(&here);
	gstk__cfi_interrupted(&f, &here);
	return walk(&f, site, pc, most);
}
