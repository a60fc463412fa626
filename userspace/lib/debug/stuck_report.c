// SPDX-License-Identifier: MIT
/*
 * A worker is stuck: who, for how long, where, and what waits for it. The process goes on.
 *
 * A thread in a system call is not disturbed, for the call might end with EINTR: the kernel tells its
 * stack pointer and pc, from which most code can be unwound. One that computes gets SIGURG, which
 * everybody ignores unless told otherwise, and prints its frames itself. An application that handles
 * SIGURG keeps it: then there are no frames.
 */
#include "debug/stuck_report.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "debug/annotate.h"
#include "debug/backtrace.h"
#include "debug/look.h"
#include "debug/out.h"
#include "host/host.h"
#include "sched/annex.h"
#include "sched/stuck.h"
#include "sched/worker.h"

#define FRAMES 16u

static struct gstk__symbols symbols;
static _Atomic uint32_t printing;  /* a lock: there is one table of symbols */
static _Atomic uint64_t asked;	   /* worker + 1 << 32 | task that is to print its frames */
static struct sigaction before;
static bool installed;

/* The caller's own stack, red zones included. */
static GSTK__RACY __attribute__((no_sanitize("address"))) void copy_words(uint64_t *to, const uint64_t *from, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		to[i] = *(const volatile uint64_t *)&from[i];
}

/* Where @t's stack is, which may just now be given another one. A stackless task's frames are @v's loop's. */
static GSTK__RACY void bounds(const struct gstk__worker *v, const struct gstk_task *t, uintptr_t *limit, uintptr_t *base)
{
	uint32_t i = gstk__stands_on(t);

	if (t->tier == GSTK__TIER_STACKLESS) {
		*base = v->loop_base;
		*limit = *base - GSTK__LOOP_BYTES;
	} else if (i <= gstk__windows.nr) {
		*limit = (uintptr_t)gstk__win_limit(i);
		*base = (uintptr_t)gstk__win_base(i);
	} else {
		*limit = (uintptr_t)gstk__win(i)->map + gstk__windows.guard;
		*base = (uintptr_t)gstk__win(i)->map + gstk__win(i)->map_size;
	}
}

/* Frames of @t, which @v runs, from @f on: by its own thread, or while that is in the kernel. */
static void print_frames(const struct gstk__worker *v, struct gstk_task *t, const struct gstk__cfi *f)
{
	static uint64_t copy[4096];
	uintptr_t sp = (uintptr_t)f->reg[GSTK__CFI_SP] & ~(uintptr_t)7, limit, base;
	struct gstk__cfi_stack stack = { .bytes = (const char *)copy };
	struct gstk__out o = { .fd = 2 };

	bounds(v, t, &limit, &base);
	stack.to = base;
	if (sp < limit || sp >= base || atomic_exchange(&printing, 1))
		return;
	if (sp - limit >= GSTK__CFI_POPPED)
		sp -= GSTK__CFI_POPPED;
	stack.from = sp;
	if (stack.to > sp + sizeof(copy))
		stack.to = sp + sizeof(copy);
	/* Another's thread may go on using it: what changes meanwhile gives wrong frames; and it may be sealed or
	 * unmapped by now. */
	if (v == gstk__self())
		copy_words(copy, (const uint64_t *)sp, (stack.to - sp) / sizeof(copy[0]));
	else if (!gstk__mem_peek(copy, (const void *)sp, stack.to - sp))
		goto out;
	gstk__outf(&o, "greenstk: task %u is at\n", (uint64_t)gstk__task_index(t));
	gstk__backtrace(&o, &symbols, f, &stack, FRAMES, 4);
	gstk__out_flush(&o);
out:
	atomic_store(&printing, 0);
}

static void on_urgent(int sig, siginfo_t *info, void *context)
{
	struct gstk__worker *w = gstk__self();
	uint64_t what = atomic_exchange(&asked, 0);
	struct gstk__cfi f;
	int saved;

	if (!w || !w->current || what != (((uint64_t)w->index + 1) << 32 | gstk__task_index(w->current)))
		return;
	gstk__cfi_interrupted(&f, context);
	saved = *w->errno_ptr;
	print_frames(w, w->current, &f);
	*w->errno_ptr = saved;
}

static void ask(struct gstk__worker *v, struct gstk_task *t)
{
	struct sigaction now;

	if (!installed || sigaction(SIGURG, NULL, &now) || !(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_urgent)
		return;
	atomic_store(&asked, ((uint64_t)v->index + 1) << 32 | gstk__task_index(t));
	syscall(SYS_tgkill, getpid(), __atomic_load_n(&v->tid, __ATOMIC_RELAXED), SIGURG);
}

/* "NR six arguments sp pc": of a thread in a system call. */
static bool in_call(const char *text, struct gstk__cfi *f)
{
	const char *end = text + strlen(text);
	int spaces = 0;

	while (end > text && spaces < 2)
		spaces += *--end == ' ';
	memset(f, 0, sizeof(*f));
	f->reg[GSTK__CFI_SP] = strtoull(end, (char **)&end, 16);
	f->reg[GSTK__CFI_PC] = strtoull(end, NULL, 16);
	f->known = 1ull << GSTK__CFI_SP | 1ull << GSTK__CFI_PC;
	f->exact = true;
	return f->reg[GSTK__CFI_SP] && f->reg[GSTK__CFI_PC];
}

/* What the kernel says of a thread; false when it does not. */
static bool read_state(int tid, char *text, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

static GSTK__RACY struct gstk_task *running(struct gstk__worker *v)
{
	return *(struct gstk_task *volatile *)&v->current;
}

/* Of a task that may end just now. */
static GSTK__RACY void name_of(struct gstk_task *t, char name[32])
{
	const struct gstk__ext *x = gstk__ext(t); /* once: it may be gone the next time */
	const volatile char *p = x ? x->name : "";

	if (t->tier == GSTK__TIER_STACKLESS) {
		gstk__look_stackless(t, gstk__word(t), name);
		return;
	}
	for (size_t i = 0; i < 32; i++)
		if (!(name[i] = p[i]))
			break;
	name[31] = 0;
	if (!name[0])
		memcpy(name, "task", sizeof("task")); /* as gstk_task_name() */
}

static GSTK__RACY bool mates_wait(struct gstk_task *t)
{
	struct gstk__window *win = gstk__win(t->window);

	/* Or somebody would like to share it. */
	return (atomic_load_explicit(&t->poke, memory_order_relaxed) & GSTK__POKE_WANTED) ||
	       ((gstk__word(t) & GSTK__SHARED) &&
		(win->fifo_head || atomic_load_explicit(&win->word, memory_order_relaxed) >> 32));
}

static void report(uint32_t index, uint64_t stuck_ns, bool alone)
{
	struct gstk__worker *v = gstk__sched.worker[index];
	struct gstk_task *t = running(v);
	struct gstk__out o = { .fd = 2 };
	struct gstk__cfi f;
	char text[256], name[32];
	bool known, calls;

	if (!t)
		return; /* just now it came back */
	name_of(t, name);
	known = read_state(__atomic_load_n(&v->tid, __ATOMIC_RELAXED), text, sizeof(text));
	calls = known && text[0] >= '0' && text[0] <= '9' && in_call(text, &f);
	gstk__outf(&o, "greenstk: worker %u does not get back from task %u \"%s\" for %u ms", (uint64_t)index,
		   (uint64_t)gstk__task_index(t), name, stuck_ns / 1000000);
	if (calls) {
		text[strcspn(text, " \n")] = 0;
		gstk__outf(&o, ", in system call %s", text);
	} else if (known && text[0] == 'r') {
		gstk__outf(&o, ", computing");
	}
	gstk__outf(&o, "%s%s%s\n",
		   alone ? "; no other worker is free to take over: everything else waits (gstk_blocking() for calls that "
			   "block, gstk_check() in long computations)"
			 : "; others take over its queues and timers",
		   alone ? "" : atomic_load(&v->inbox) ? ", but not the tasks pinned to it, some of which can run" : "",
		   mates_wait(t) ? ", but mates wait for its window (GSTK_PRIVATE gives it one of its own)" : "");
	gstk__out_flush(&o);
	if (calls)
		print_frames(v, t, &f); /* or of what runs by now: then its stack pointer is elsewhere */
	else
		ask(v, t);
}

void gstk__stuck_report_init(uint64_t report_ns)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	gstk__stuck_reset();
	gstk__stuck_report_ns = report_ns;
	gstk__stuck_hook = report;
	sa.sa_sigaction = on_urgent;
	if (!report_ns || installed || sigaction(SIGURG, NULL, &before) || before.sa_flags & SA_SIGINFO ||
	    (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN))
		return;
	installed = !sigaction(SIGURG, &sa, NULL);
}

void gstk__stuck_report_fini(void)
{
	struct sigaction now;

	gstk__stuck_hook = NULL;
	if (installed && !sigaction(SIGURG, NULL, &now) && now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_urgent)
		sigaction(SIGURG, &before, NULL);
	installed = false;
}
